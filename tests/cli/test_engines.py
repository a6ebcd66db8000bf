"""Tests of cli/engines.py: what --engine, --address and --workers mean before anything begins."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from warprefine.cli import engines
from warprefine.cli.engines import engine_of
from warprefine.core.engine import HERE
from warprefine.core.errors import DeviceError, WarpRefineError

USUAL = {"engine": "here", "address": None, "workers": None, "device": "cpu", "threads": 1}


def test_work_is_done_here_unless_another_engine_is_named() -> None:
    """Without options the command's own process works."""
    with engine_of(USUAL) as engine:
        assert engine is HERE


@pytest.mark.parametrize("option", [{"address": "auto"}, {"workers": 2}], ids=str)
def test_options_of_a_cluster_need_one(option: dict[str, Any]) -> None:
    """Nobody who asks for a cluster gets a run without one."""
    with pytest.raises(typer.BadParameter, match="--address and --workers need --engine ray"):
        engine_of(USUAL | option).__enter__()


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
