"""How many cores the process of a job may take while its workers rest."""

from __future__ import annotations

import pytest
import torch

from warprefine.cluster import processes, ray
from warprefine.cluster.processes import ProcessEngine
from warprefine.cluster.ray import RayEngine
from warprefine.core import parallel
from warprefine.core.engine import HERE, Engine, while_workers_rest
from warprefine.core.parallel import thread_count


@pytest.fixture(autouse=True)
def a_large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve cores, of which each worker takes two."""
    for module in (processes, ray):
        monkeypatch.setattr(module, "available_cores", lambda: 12)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


@pytest.mark.parametrize(
    ("engine", "threads"),
    [
        (HERE, 2),
        (ProcessEngine(workers=1), 2),
        (ProcessEngine(workers=3), 6),
        (ProcessEngine(workers=50), parallel.MOST_THREADS),
        (RayEngine(workers=3), 6),
        (RayEngine(workers=50), parallel.MOST_THREADS),
        (RayEngine(), parallel.MOST_THREADS),
    ],
    ids=["here", "one process", "processes", "too many processes", "ray", "a cluster", "all of a cluster"],
)
def test_the_cores_of_resting_workers_read_and_count(engine: Engine, threads: int) -> None:
    """Checks, scores and the report take what the job was given, and not more; afterwards it is as before."""
    with while_workers_rest(engine):
        assert thread_count() == threads
    assert thread_count() == 2


def test_there_are_not_more_than_this_machine_has() -> None:
    """Actors may be on other machines."""
    assert RayEngine(workers=50).cores_here == RayEngine().cores_here == 12
    assert ProcessEngine(workers=50).cores_here == 12
