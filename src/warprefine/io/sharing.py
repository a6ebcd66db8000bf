"""Let the processes of a command use its mirrors of storages: what they are told, and what they do then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from warprefine.core.errors import ClusterError
from warprefine.io.mirror import Mirror
from warprefine.io.places import mirrors, name_places, named_places, register, unregister, url_of

_OWN_MEMORY = "memory"
"""The protocol of a storage that each process has for itself."""


@dataclass(frozen=True, kw_only=True)
class SharedMirrors:
    """What this process knows of storages, for other processes of this machine.

    Attributes:
        urls: What folders of this machine stand for.
        mirrors: The mirrors in these folders, each with a share of its bound.
    """

    urls: Mapping[Path, str]
    mirrors: Mapping[Path, Mirror]


def share_mirrors(processes: int) -> SharedMirrors:
    """Return the mirrors of this process for others; all keep to their shares of the bound from now on.

    Args:
        processes: How many others there are at most.
    """
    shared = {root: mirror for root, mirror in mirrors().items() if isinstance(mirror, Mirror)}
    for mirror in shared.values():
        mirror.share(processes + 1)
    return SharedMirrors(urls=named_places() if shared else {}, mirrors=shared)


def use_mirrors(shared: SharedMirrors) -> None:
    """Use mirrors of another process in this one, and no others."""
    name_places(shared.urls)
    known = mirrors()
    for root in known.keys() - shared.mirrors.keys():
        unregister(root)
    for root, mirror in shared.mirrors.items():
        before = known.get(root)
        if isinstance(before, Mirror):
            before.take_over(mirror)
        else:
            register(root, mirror)


def check_reach(places: Iterable[Path], *, same_machine: bool) -> None:
    """Raise if workers cannot reach places.

    Args:
        places: Data and run folders.
        same_machine: Whether the workers are processes of this machine.

    Raises:
        ClusterError: One is a URL that only the command's own process, or its machine, can read.
    """
    for url in map(url_of, places):
        if url is None:
            continue
        if url.partition("://")[0].lower() == _OWN_MEMORY:
            raise ClusterError(
                f"{url} is a URL of the memory of this process, which no worker reads; expected another "
                "storage, or folders; leave out --workers and --engine"
            )
        if not same_machine:
            raise ClusterError(
                f"{url} is a URL, which only the machine of the command reads; expected folders that all "
                "workers reach at the same path; mount the storage there, or use --workers without --engine"
            )
