"""The engine that a command's options name: this process, several of this machine, or a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

from warprefine.core.engine import HERE, Engine
from warprefine.core.errors import DeviceError, WarpRefineError
from warprefine.core.threads import available_cores, use_threads
from warprefine.io.sharing import check_reach


def threads_of(arguments: Mapping[str, Any]) -> int:
    """Return the threads that each process of a command computes with; 0 means one for each core.

    Without --threads the processes of --workers share the cores of this machine, and so does the command
    itself, so that its results are those of its workers. What an explicit --threads says holds for each.
    """
    if arguments["threads"] or _engine_name(arguments) != "processes":
        return int(arguments["threads"])
    workers: int = arguments["workers"]
    return max(available_cores() // workers, 1)


@contextmanager
def engine_of(arguments: Mapping[str, Any]) -> Iterator[Engine]:
    """Return the engine of a command's options; end what was started for it.

    Raises:
        WarpRefineError: Ray is not installed, there is no cluster at the address, or workers cannot reach
            data or run.
    """
    address, workers, device = arguments["address"], arguments["workers"], arguments["device"]
    name = _engine_name(arguments)
    if name == "here":
        yield HERE
        return
    places = [place for key in ("data", "out") if isinstance(place := arguments.get(key), Path)]
    check_reach(places, same_machine=name == "processes")
    if "WORLD_SIZE" in os.environ:
        raise typer.BadParameter("--engine and --workers are for one process; torchrun has started several")
    use_threads(threads_of(arguments))  # each worker has as many
    if name == "processes":
        from warprefine.cluster.processes import ProcessEngine

        with ProcessEngine(workers=workers, gpus=_gpus() if device == "cuda" else 0) as engine:
            yield engine
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

    with ray_engine(address=address, workers=workers, gpus=int(device == "cuda")) as engine:
        yield engine


def _engine_name(arguments: Mapping[str, Any]) -> str:
    """Return the engine that is meant: --workers alone means processes of this machine."""
    name, workers = arguments["engine"], arguments["workers"]
    if arguments["address"] is not None and name != "ray":
        raise typer.BadParameter("--address needs --engine ray")
    if name == "here" and workers is not None:
        raise typer.BadParameter(
            "--workers is for --engine processes or ray; leave --engine out for processes"
        )
    if name == "processes" and workers is None:
        raise typer.BadParameter("--engine processes needs --workers, the number of processes")
    return name or ("here" if workers is None else "processes")


def _gpus() -> int:
    """Return how many GPUs this machine has."""
    import torch

    return torch.cuda.device_count()
