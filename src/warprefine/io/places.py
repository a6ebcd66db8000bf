"""Where files are: paths, and folders here that stand for URLs of storages, whose files come when needed.

Nothing is opened here: `io.mirror` and `io.publishing` do that.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from platformdirs import user_cache_path

from warprefine.core.errors import StorageError

FOLDER_VARIABLE = "WARPREFINE_MIRRORS"
"""Names another folder for mirrors than one in the user's cache."""
_URL = re.compile(r"[a-z][a-z0-9+.-]+://.", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_WEB = ("http://", "https://")


@runtime_checkable
class MirroredFiles(Protocol):
    """The files of a folder that stands for a URL; `io.mirror.Mirror` is one."""

    @property
    def is_read_only(self) -> bool:
        """Whether nothing that is written there reaches the storage."""
        ...

    def fetch(self, path: Path) -> None:
        """Copy a file from the storage if it is not here."""
        ...

    def version(self, path: Path) -> tuple[int, float, str] | None:
        """Return size, time and version of a file that only the storage may change; None for others."""
        ...


_urls: dict[Path, str] = {}
_mirrors: dict[Path, MirroredFiles] = {}


def is_url(text: str) -> bool:
    """Return whether a text is the URL of a storage and no path.

    Example:
        >>> is_url("s3://bucket/data"), is_url("data/mine"), is_url("C://data")
        (True, False, False)
    """
    return _URL.match(text) is not None


def lost_url(path: Path) -> str | None:
    """Return the URL that a path was before it was made a path, without one of its slashes; None for others.

    Example:
        >>> lost_url(Path("s3://bucket/data")), lost_url(Path("data/mine"))
        ('s3://bucket/data', None)
    """
    scheme, *below = path.parts or ("",)
    return f"{scheme}//{'/'.join(below)}" if _SCHEME.fullmatch(scheme) else None


def check_no_web_address(url: str) -> None:
    """Raise if a URL is that of a web server, which lists no folders and is not written to.

    Raises:
        StorageError: It is.
    """
    if url.lower().startswith(_WEB):
        raise StorageError(
            f"{url} is a web address, which can only be read, file by file; expected a folder, or the URL of "
            "a storage such as s3://bucket/folder or gs://bucket/folder; download it first"
        )


def place_of(text: str | Path) -> Path:
    """Return the path of a folder; the URL of a storage becomes that of a folder of this machine.

    Raises:
        StorageError: It is a web address.

    Example:
        >>> place_of("runs/mine") == Path("runs/mine"), place_of("s3://bucket/data").name
        (True, 'data')
    """
    if isinstance(text, Path) or not is_url(text):
        return Path(text)
    check_no_web_address(text)
    url = text.rstrip("/")
    return mirror_folder(url if "://" in url else text, use="1")


def mirror_folder(url: str, *, use: str) -> Path:
    """Return the folder of this machine that stands for a URL.

    Args:
        url: The URL.
        use: "run" where a run is written; else a number, one for each process that reads at the same time.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    base = Path(chosen).resolve() if chosen else user_cache_path("warprefine") / "mirrors"
    root = (
        base / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{use}" / (url.rpartition("/")[2] or "root")
    )
    _urls[root] = url
    return root


def url_of(path: Path) -> str | None:
    """Return the URL that a path stands for; None for all that lie here."""
    for root, url in _urls.items():
        if path == root or root in path.parents:
            return "/".join((url, *path.relative_to(root).parts))
    return None


def address_of(path: Path) -> str:
    """Return the URL that a folder stands for, or its absolute path."""
    return url_of(path) or str(path.resolve())


def with_urls(text: str) -> str:
    """Put URLs in the place of the folders that stand for them, in a message."""
    for root, url in _urls.items():
        text = text.replace(str(root), url)
    return text


def at_hand(path: Path) -> Path:
    """Return a path whose file can be opened: one that stands for a URL is copied from there if need be.

    It stays until this thread asks for another one.

    Raises:
        StorageError: It cannot be copied, or has changed since it was listed.
    """
    for root, mirror in [*_mirrors.items()]:
        if root in path.parents:
            mirror.fetch(path)
    return path


def version_of(path: Path) -> tuple[int, float, str] | None:
    """Return size, time and version of a file of a URL, whether it is here or not; None for other files."""
    for root, mirror in [*_mirrors.items()]:
        if root in path.parents:
            return mirror.version(path)
    return None


def check_published(root: Path) -> None:
    """Raise if a run folder is a copy of one in a storage, where nothing goes that is written here.

    Raises:
        StorageError: It is.
    """
    mirror = _mirrors.get(root)
    url = url_of(root)
    if url is not None and (mirror is None or mirror.is_read_only):
        raise StorageError(
            f"{url} cannot be written by this command, which reads a copy of it; expected a run folder of "
            "this machine, such as a copy by the storage's own tools"
        )


def named_places() -> dict[Path, str]:
    """Return the URLs that folders of this machine stand for, as far as this process knows."""
    return dict(_urls)


def name_places(urls: Mapping[Path, str]) -> None:
    """Note which URLs folders of this machine stand for."""
    _urls.update(urls)


def mirrors() -> dict[Path, MirroredFiles]:
    """Return the files of all folders that `at_hand` knows."""
    return dict(_mirrors)


def register(root: Path, mirror: MirroredFiles) -> None:
    """Let `at_hand` find the files of a folder."""
    _mirrors[root] = mirror


def unregister(root: Path) -> None:
    """Leave the files of a folder as they are from now on."""
    _mirrors.pop(root, None)
