"""Tests of cli/engines.py: what --engine, --address and --workers mean before anything begins."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from warprefine.cli import engines
from warprefine.cli.engines import engine_of, threads_of
from warprefine.cluster.processes import ProcessEngine
from warprefine.core.engine import HERE
from warprefine.core.errors import ClusterError, DeviceError, WarpRefineError
from warprefine.io.places import place_of

USUAL: dict[str, Any] = {"engine": None, "address": None, "workers": None, "device": "cpu", "threads": 1}


def test_work_is_done_here_unless_another_engine_is_named() -> None:
    """Without options the command's own process works."""
    with engine_of(USUAL) as engine:
        assert engine is HERE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"address": "auto"}, "--address needs --engine ray"),
        ({"address": "auto", "workers": 2}, "--address needs --engine ray"),
        ({"engine": "here", "workers": 2}, "leave --engine out for processes"),
        ({"engine": "processes"}, "--engine processes needs --workers"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    """Nobody who asks for a cluster or for processes gets a run without them."""
    with pytest.raises(typer.BadParameter, match=message):
        engine_of(USUAL | options).__enter__()


@pytest.mark.parametrize("place", ["data", "out"])
def test_workers_on_other_machines_cannot_reach_urls(place: str) -> None:
    """They are refused before anything is read or written; processes of this machine take them."""
    arguments = USUAL | {"workers": 2, place: place_of("s3://bucket/here")}

    with pytest.raises(
        ClusterError, match=r"^s3://bucket/here is a URL, which only the machine of the comma"
    ):
        engine_of(arguments | {"engine": "ray"}).__enter__()
    with engine_of(arguments) as engine:
        assert isinstance(engine, ProcessEngine)


def test_workers_alone_are_processes_that_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets an equal share, at least one; what --threads says holds for each."""
    monkeypatch.setattr(engines, "available_cores", lambda: 8)
    arguments = USUAL | {"workers": 3, "threads": 0}

    assert threads_of(arguments) == 2
    assert threads_of(arguments | {"workers": 20}) == 1
    assert threads_of(arguments | {"threads": 5}) == 5
    assert threads_of(arguments | {"engine": "ray"}) == threads_of(USUAL | {"threads": 0}) == 0
    with engine_of(USUAL | {"workers": 2}) as engine:
        assert isinstance(engine, ProcessEngine)


def test_ranks_of_torchrun_have_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would start its own, for the same trainings."""
    monkeypatch.setenv("WORLD_SIZE", "2")

    with pytest.raises(typer.BadParameter, match="torchrun has started several"):
        engine_of(USUAL | {"workers": 2}).__enter__()


def test_a_missing_ray_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the command that adds it."""
    monkeypatch.setattr(engines, "find_spec", lambda name: None)

    with pytest.raises(WarpRefineError, match=r"needs Ray, which is not installed.*\[cluster\]"):
        engine_of(USUAL | {"engine": "ray"}).__enter__()


def test_a_gpu_of_this_machine_is_none_of_a_cluster() -> None:
    """cuda:1 names one GPU, of which other machines have none."""
    pytest.importorskip("ray", reason="not installed: extra [cluster]")

    with pytest.raises(DeviceError, match="cuda:1 names a GPU of this machine"):
        engine_of(USUAL | {"engine": "ray", "device": "cuda:1"}).__enter__()
