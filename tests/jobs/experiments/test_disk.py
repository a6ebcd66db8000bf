"""Tests of jobs/experiments/disk.py and storage.py: what an experiment writes, and whether there is room."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from warprefine.core.errors import RunFolderError
from warprefine.jobs.experiments import plan_experiment
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.disk import Disk, check_disk, free_bytes
from warprefine.jobs.experiments.plan import THROUGHPUTS, Plan
from warprefine.jobs.experiments.recipe import load_experiment_recipe

TINY = Path(__file__).parents[2] / "experiment.toml"
PIXELS = 48 * 64
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the street is rendered once: two clips of seven frames, the middle one labelled."""
    return tmp_path_factory.mktemp("disk") / "out"


def planned(out: Path, name: str, *, keep: str = "all", network: str = "compact") -> Plan:
    recipe = load_experiment_recipe(name, str(TINY))
    labels = recipe.labels.changed(("propagation", "keep"), keep).changed(("segmenter", "network"), network)
    recipe = recipe.model_copy(update={"labels": labels})
    context = ExperimentContext(experiment=name, out=out, root=None, recipe=recipe)
    return plan_experiment(context, THROUGHPUTS["cpu"])


def test_what_is_kept_is_counted(out: Path) -> None:
    """Flow of 14 frames in both directions, and their segmentations; labels are the same in all cases."""
    nothing, flow, everything = (
        planned(out, "quality", keep=keep).disk for keep in ("nothing", "flow", "all")
    )

    assert nothing.cache == 0
    assert flow.cache == pytest.approx(2.5 * 14 * PIXELS)
    assert everything.cache > flow.cache
    assert nothing.labels == flow.labels == everything.labels == pytest.approx(0.26 * 4 * 12 * PIXELS)


def test_features_of_crops_are_counted_where_they_are_kept(out: Path) -> None:
    """Those of a frozen trunk, as many crops as the recipe has at most."""
    some, none = (
        planned(out, "quality", keep=keep, network="lite0-frozen").disk.cache for keep in ("all", "flow")
    )

    assert some - none > 6.5 * 550 * (32 + 64) * (48 + 128)


def test_samples_of_refiners_and_propagated_images_are_counted(out: Path) -> None:
    """Cycles of 1 and 2 frames in both directions at two key frames, by two segmenters; images."""
    cycles = 2.2 * 2 * 8 * PIXELS

    assert planned(out, "quality", keep="nothing").disk.samples == pytest.approx(cycles)
    assert planned(out, "utility").disk.samples == pytest.approx(cycles + 1.8 * 4 * PIXELS)


def test_motion_estimators_have_flow_of_their_own(out: Path) -> None:
    """`motion` labels with two: their flow lies in one cache, and is not the same."""
    assert planned(out, "motion").disk.cache == pytest.approx(2 * 2.5 * 14 * PIXELS)


def test_the_ablation_shares_sides_that_are_carried_alike(out: Path) -> None:
    """Variants that carry labels otherwise have sides of their own; flow is that of two estimators."""
    disk = planned(out, "ablation").disk

    assert disk.samples > 2.2 * 2 * 8 * PIXELS + 4 * 2.8 * 8 * PIXELS
    assert disk.checkpoints > 0


def test_a_disk_with_room_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder need not be there: that above it counts."""
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(9, 5, 4 * 10**9 * (place == tmp_path)))

    assert free_bytes(tmp_path / "a/b") == 4e9
    check_disk(Disk(labels=4e9), tmp_path / "a/b", remedy="")


def test_a_disk_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has what is needed, of what, what is free, and the way on."""
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(9, 5, 4 * 10**9))

    with pytest.raises(
        RunFolderError,
        match=r"needs about 4\.1 GB: 3\.0 of labels, 1\.1 of cache.*; but 4\.0 GB are free.* or go on",
    ):
        check_disk(Disk(labels=3e9, cache=1.1e9), tmp_path, remedy="or go on")
