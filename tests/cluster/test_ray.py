"""Tests of cluster/ray.py: a job on a Ray cluster of two workers, whatever becomes of them."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from tests.cluster import words
from tests.cluster.words import Homesick, Letters, by_word
from warprefine import autolabel, load_recipe, open_dataset
from warprefine.cluster.crew import IN_HAND
from warprefine.cluster.ray import RayEngine, ray_engine
from warprefine.core.errors import ClusterError, LabelError
from warprefine.io.run import RunFolder
from warprefine.motion.dis import DISFlow
from warprefine.propagation.methods import PLUS

ray = pytest.importorskip("ray", reason="not installed: extra [cluster]")
MOTION_ONLY = ("motion-only",)
PRIVATE = {"cache", "log.txt", "manifest.sqlite"}


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """A Ray cluster of this machine with two workers of one CPU; they get what this module has by value."""
    before = dict(os.environ)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=100 * 2**20,
    )
    for module in (sys.modules[__name__], words):
        ray.cloudpickle.register_pickle_by_value(module)
    with ray_engine() as connected:
        yield connected
    for module in (sys.modules[__name__], words):
        ray.cloudpickle.unregister_pickle_by_value(module)
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)


def hashes(folder: Path) -> dict[str, str]:
    """Return a hash of every file below a folder that users of a run are meant to look at."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in PRIVATE
    }


def differing(one: Path, other: Path) -> list[str]:
    """Return the files that two runs do not have in common, byte for byte."""
    ours, theirs = hashes(one), hashes(other)
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def test_a_worker_that_dies_costs_what_it_had_in_hand(engine: RayEngine, tmp_path: Path) -> None:
    """Words that it had in hand are begun again, two at most; all other words arrive once."""
    words = ["ab", "cd", "e?f", "gh", "", "ij"]

    arrived = by_word(engine.stream(Letters(tmp_path, deaths=1), words))

    again = arrived.pop("e?f")
    assert set(arrived) == {*words} - {"e?f"}
    twice = [word for word, letters in arrived.items() if letters != [*word, None]]
    assert len(twice) < IN_HAND
    assert all(arrived[word] == [*word, *word, None] for word in twice)
    assert again == ["e", "e", "?", "f", None]
    assert len([*tmp_path.glob("died-*")]) == 1


def test_work_that_kills_every_worker_ends_the_job(engine: RayEngine, tmp_path: Path) -> None:
    """Workers are not sacrificed for ever; the message says what to do."""
    with pytest.raises(ClusterError, match=r"4 workers have died at the same part .* run the same command"):
        by_word(engine.stream(Letters(tmp_path, deaths=9), ["?"]))


def test_a_mistake_arrives_as_it_would_here(engine: RayEngine, tmp_path: Path) -> None:
    """An error that a worker raises is the one that is raised here, without the worker's traceback."""
    with pytest.raises(LabelError, match=r"^a! is no word$"):
        by_word(engine.stream(Letters(tmp_path, deaths=0), ["a!"]))


def test_items_are_taken_when_a_worker_is_free(engine: RayEngine, tmp_path: Path) -> None:
    """While the first results arrive a worker has two items at most, and one waits for each worker."""
    taken = []

    def words() -> Iterator[str]:
        for number in range(100):
            taken.append(number)
            yield f"{number}"

    results = RayEngine(workers=1).stream(Letters(tmp_path, deaths=0), words())
    next(results)
    results.close()

    assert taken == [0, 1, 2]


def test_nothing_waits_for_workers_without_room(engine: RayEngine, tmp_path: Path) -> None:
    """Of more workers than the machines have room for, those that there are do all the work."""
    words = ["ab", "cd", "ef", "gh", "ij", "kl"]

    arrived = by_word(RayEngine(workers=5).stream(Letters(tmp_path, deaths=0), words))

    assert arrived == {word: [*word, None] for word in words}


def test_workers_that_cannot_start_end_the_job(engine: RayEngine, tmp_path: Path) -> None:
    """The message has the reason of the last one, and says where to look."""
    with pytest.raises(ClusterError, match=r"4 workers could not start.*/no/such/place.*same installation"):
        by_word(engine.stream(Homesick(tmp_path, deaths=0), [f"{number}" for number in range(9)]))


def test_a_worker_that_fits_no_machine_is_refused(engine: RayEngine, monkeypatch: Any) -> None:
    """Nobody waits for a machine that the cluster does not have."""
    monkeypatch.setattr("torch.get_num_threads", lambda: 64)

    with pytest.raises(ClusterError, match="no machine of the Ray cluster has the 64 CPUs of a worker"):
        by_word(engine.stream(iter, ["a"]))
    with pytest.raises(ClusterError, match="64 CPUs and 1 GPU of a worker"):
        by_word(RayEngine(gpus=1).stream(iter, ["a"]))


def test_networks_and_labels_are_those_of_a_run_without_a_cluster(
    engine: RayEngine, tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """Trained at the same time and labelled in any order, a run has the same files, byte for byte."""
    settings: dict[str, Any] = {
        "horizon": 3,
        "methods": (*MOTION_ONLY, "warp-refine", PLUS, "oracle"),
        "recipe": load_recipe(tiny_recipe),
    }
    tasks = []

    autolabel(open_dataset(tiny_data), tmp_path / "here", **settings)
    autolabel(
        open_dataset(tiny_data),
        tmp_path / "ray",
        **settings,
        engine=engine,
        progress=lambda task, done, total, note="": tasks.append(task),
    )

    assert differing(tmp_path / "here", tmp_path / "ray") == []
    assert {"training segmenter", "training segmenter-fold0", "training the two-sided-refiner"} <= {*tasks}


class DeadlyFlow:
    """The flow of DIS; once, it kills the process that estimates it, unless that is the one that made it."""

    name = "deadly"

    def __init__(self, marker: Path) -> None:
        self.marker, self.home = marker, os.getpid()

    def __call__(self, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        if os.getpid() != self.home and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return DISFlow("ultrafast")(frame_b, frame_a)


def test_a_stopped_run_goes_on_and_survives_a_dead_worker(
    engine: RayEngine, tiny_data: Path, tmp_path: Path
) -> None:
    """Stopped by hand and started again, with a worker killed: no finished frame is labelled again."""
    settings: dict[str, Any] = {"horizon": 3, "methods": MOTION_ONLY}
    autolabel(open_dataset(tiny_data), tmp_path / "here", motion=DeadlyFlow(tmp_path / "never"), **settings)

    def stop(task: str, done: int, total: int, note: str = "") -> None:
        if task == "propagating" and done >= 4:
            raise KeyboardInterrupt

    motion, marker = DeadlyFlow(tmp_path / "died"), tmp_path / "died"
    marker.touch()  # nobody dies yet
    with pytest.raises(KeyboardInterrupt):
        autolabel(
            open_dataset(tiny_data), tmp_path / "ray", motion=motion, engine=engine, progress=stop, **settings
        )
    manifest = RunFolder(tmp_path / "ray", read_only=True).manifest
    labels = tmp_path / "ray/labels/motion-only"
    finished = {
        labels / video / f"{frame:06d}.png": (labels / video / f"{frame:06d}.png").stat().st_mtime_ns
        for video in ("street-000", "street-001")
        for frame in manifest.provenances(video, "motion-only")
    }
    marker.unlink()
    shutil.rmtree(tmp_path / "ray/cache")
    autolabel(open_dataset(tiny_data), tmp_path / "ray", motion=motion, engine=engine, **settings)

    assert marker.exists(), "a worker has died"
    assert 4 <= len(finished) < 12
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert differing(tmp_path / "here", tmp_path / "ray") == []
