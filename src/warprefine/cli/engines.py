"""The engine that a command's options name: this process, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import typer

from warprefine.core.engine import HERE, Engine
from warprefine.core.errors import DeviceError, WarpRefineError
from warprefine.core.threads import use_threads


@contextmanager
def engine_of(arguments: dict[str, Any]) -> Iterator[Engine]:
    """Return the engine of a command's options; end what was started for it.

    Raises:
        WarpRefineError: Ray is not installed, or there is no cluster at the address.
    """
    address, workers, device = arguments["address"], arguments["workers"], arguments["device"]
    if arguments["engine"] == "here":
        if address is not None or workers is not None:
            raise typer.BadParameter("--address and --workers need --engine ray")
        yield HERE
        return
    if find_spec("ray") is None:
        raise WarpRefineError(
            "--engine ray needs Ray, which is not installed; run `pip install -e '.[cluster]'` in a clone of "
            "the repository"
        )
    if ":" in device:
        raise DeviceError(
            f"--device {device} names a GPU of this machine; with --engine ray give --device cuda, each "
            "worker then has a GPU of its own"
        )
    from warprefine.cluster.ray import ray_engine

    use_threads(arguments["threads"])  # each worker has as many
    with ray_engine(address=address, workers=workers, gpus=int(device == "cuda")) as engine:
        yield engine
