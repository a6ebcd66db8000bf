"""Tests of jobs/calibration.py, calibration_file.py and held_out_networks.py: calibrated runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from warprefine import FinishedRun, Recipe, autolabel, load_recipe, open_dataset
from warprefine.core.classes import ClassSet
from warprefine.core.errors import RunFolderError
from warprefine.core.video import Dataset, Video
from warprefine.io.checkpoints import read_card
from warprefine.io.images import read_gray, read_labels
from warprefine.io.run import RunFolder
from warprefine.jobs.calibration import grouped, plan_rehearsals
from warprefine.jobs.calibration_file import read_calibrations
from warprefine.jobs.held_out_networks import HeldOutNetworks, can_hold_out, short_trainings
from warprefine.jobs.networks import Networks
from warprefine.jobs.plan import tasks_of
from warprefine.jobs.stages import plan_passes
from warprefine.jobs.training_data import check_networks
from warprefine.metrics.expected import is_calibrated
from warprefine.ops.calibration import calibrate
from warprefine.propagation import unit_work
from warprefine.propagation.methods import METHODS, PAPER_METHODS, PLUS

ALL = ("motion-only", "semantic-only", PLUS)


def data_set(*keys: int, frames: int = 30) -> Dataset:
    """Return a data set of one video of which nothing is opened."""
    labels = {k: Path(f"{k}.png") for k in keys}
    stems = [str(k) for k in range(frames)]
    video = Video(name="drive", stems=stems, container=Path("drive.mp4"), labels=labels)
    classes = ClassSet(names=("road",), colors=((1, 2, 3),))
    return Dataset(root=Path(), classes=classes, videos=(video,))


def test_every_method_is_calibrated_on_every_key_frame(calibrated_run: Path) -> None:
    """Each key frame was labelled from its neighbours, and all its pixels counted."""
    found = read_calibrations(RunFolder(calibrated_run, read_only=True))

    assert set(found) == set(ALL)
    for one in found.values():
        assert [(frame, kind, k) for _, frame, kind, k in one.rehearsals] == [
            (0, "hold-out", 4),
            (4, "hold-out", 4),
            (8, "hold-out", 4),
            (12, "hold-out", 4),
        ]
        assert one.hits.sum() == one.confusion[:-1].sum() > 0
        assert (one.hits[..., 1].sum(axis=1)[:-1] == np.diagonal(one.confusion)[:-1]).all()


def test_written_confidence_is_the_calibrated_raw_one(calibrated_run: Path) -> None:
    """The raw confidence is kept, and the table of the run folder leads from one to the other."""
    finished = FinishedRun.open(calibrated_run)
    run, (video,) = finished.run, finished.dataset.videos
    tables = {method: one.table for method, one in read_calibrations(run).items()}
    for method in ALL:
        stem = video.stems[3]
        labels = read_labels(run.labels_path(method, video.name, stem), finished.dataset.classes)
        raw = read_gray(run.raw_confidence_path(method, video.name, stem))
        written = read_gray(run.confidence_path(method, video.name, stem))

        # Raw confidence was calibrated before it was rounded for its file.
        assert torch.allclose(calibrate(labels, raw, tables[method]), written, atol=0.005)


def test_expected_scores_and_reliability_are_written(calibrated_run: Path) -> None:
    """expected.json has them for each method, with truth the errors of confidence before and after."""
    expected = json.loads((calibrated_run / "expected.json").read_text())
    metrics = json.loads((calibrated_run / "metrics.json").read_text())

    assert set(expected) == set(ALL)
    for method in ALL:
        assert 0 <= expected[method]["accuracy"] <= 100
        assert len(expected[method]["miou_by_distance"]) == 1
        assert metrics[method]["reliability"] == expected[method]["reliability"]
        assert {"raw", "calibrated"} == set(metrics[method]["reliability"])
    moved = expected["motion-only"]
    assert moved["accuracy"] == pytest.approx(moved["reliability"]["calibrated"]["accuracy"], abs=15)


def test_nothing_is_calibrated_twice(calibrated_run: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    """Running the same job again finds labels and calibration done; another label map makes both anew."""
    shutil.copytree(calibrated_run.parent, tmp_path / "copy")
    data, out = calibrated_run.parent / "data", tmp_path / "copy/run"
    recipe = load_recipe(tiny_recipe).changed(("propagation", "calibration_steps"), 2)
    recipe = recipe.changed(("propagation", "calibration_key_frames"), 8)
    before, seen = (out / "calibration.json").read_bytes(), set()

    def note(task: str, done: int, total: int, note: str = "") -> None:
        seen.add(task)

    autolabel(open_dataset(data), out, horizon=1, methods=ALL, recipe=recipe, progress=note)

    assert (out / "calibration.json").read_bytes() == before
    assert "calibrating confidence" not in seen
    assert not any(task.startswith("training") for task in seen)


def outputs(run: Path) -> dict[str, bytes]:
    """Return labels, confidence and calibration of a run, by name."""
    folders = ("labels", "confidence", "raw_confidence")
    paths = [path for name in folders for path in (run / name).rglob("*.png")]
    return {str(path.relative_to(run)): path.read_bytes() for path in [*paths, run / "calibration.json"]}


def test_a_run_can_be_calibrated_later(
    calibrated_run: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is then as if it had been from the start: no network is trained, and no frame labelled, again."""
    plain = load_recipe(tiny_recipe)
    calibrating = plain.changed(("propagation", "calibration_steps"), 2)
    calibrating = calibrating.changed(("propagation", "calibration_key_frames"), 8)
    dataset, due = open_dataset(calibrated_run.parent / "data"), []
    autolabel(dataset, tmp_path, horizon=1, methods=ALL, recipe=plain)
    weights = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()}
    monkeypatch.setattr(unit_work, "label_due_unit", lambda *_: due.append(1) or iter(()))

    finished = autolabel(dataset, tmp_path, horizon=1, methods=ALL, recipe=calibrating)

    assert due == []
    assert outputs(tmp_path) == outputs(calibrated_run)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()} == weights
    for method in ALL:
        assert is_calibrated(finished.run, finished.dataset, method)
    (video,) = finished.dataset.videos
    for recorded in ("errors", "sums"):
        now, from_start = (
            getattr(RunFolder(root, read_only=True).expectations, recorded)(video.name, PLUS)
            for root in (tmp_path, calibrated_run)
        )
        assert {k: np.asarray(v).tolist() for k, v in now.items()} == {
            k: np.asarray(v).tolist() for k, v in from_start.items()
        }

    autolabel(dataset, tmp_path, horizon=1, methods=ALL, recipe=plain)  # it stays calibrated
    assert due == []
    assert outputs(tmp_path) == outputs(calibrated_run)
    assert FinishedRun.open(tmp_path).recipe.propagation.calibration_key_frames == 8


def test_without_key_frames_to_calibrate_on_nothing_changes(
    calibrated_run: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """Nothing is calibrated unless the recipe asks for it."""
    autolabel(
        open_dataset(calibrated_run.parent / "data"),
        tmp_path,
        horizon=1,
        methods=["motion-only"],
        recipe=load_recipe(tiny_recipe),
    )

    assert not (tmp_path / "calibration.json").exists()
    assert not (tmp_path / "raw_confidence").exists()
    assert (
        json.loads((tmp_path / "expected.json").read_text())["motion-only"]["reliability"]["calibrated"]
        is None
    )


def test_a_method_without_a_held_out_segmenter_keeps_its_confidence(
    calibrated_run: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """No segmenter is trained to calibrate alone; motion-only has none and is calibrated."""
    finished = autolabel(
        open_dataset(calibrated_run.parent / "data"),
        tmp_path,
        horizon=1,
        methods=["motion-only", "semantic-only"],
        recipe=load_recipe(tiny_recipe).changed(("propagation", "calibration_key_frames"), 8),
    )

    assert set(read_calibrations(finished.run)) == {"motion-only"}


def test_a_method_that_refines_is_calibrated_only_with_held_out_refiners(
    workshop: Any, calibrated_run: Path
) -> None:
    """A refiner remembers its key frames: by default its confidence stays as it is."""
    plain = Recipe()

    assert plain.propagation.calibration_steps == 0
    assert (calibrated_run / "held_out/fold0/checkpoints/two-sided-refiner.safetensors").exists()
    assert (calibrated_run / "held_out/fold1/checkpoints/two-sided-refiner.safetensors").exists()


def test_held_out_networks_have_not_seen_the_fold(workshop: Any) -> None:
    """Their data set has the other key frames alone, their segmenter is that of the fold."""
    networks = workshop.networks()
    for fold in (0, 1):
        assert not can_hold_out(networks, fold, METHODS[PLUS].needs)
        networks.teachers.train_held_out(fold)
        held_out = HeldOutNetworks(networks, fold)

        shown = {(v.name, k) for v in held_out.context.dataset.videos for k in v.key_frames}
        assert shown == {(one.video.name, one.frame) for one in networks.teachers.outside_fold(fold)}
        assert held_out.segmenter()[1] == networks.held_out(fold)[1]
        assert can_hold_out(networks, fold, METHODS["warp-refine"].needs)


def test_a_correction_moves_no_key_frame_to_another_fold(workshop: Any) -> None:
    """What is held out from a fold would be scored on key frames that it was trained on."""
    networks = workshop.networks()
    videos, folds = networks.context.dataset.videos, networks.teachers.fold_of
    before = {(video.name, k): folds(video, k) for video in videos for k in video.key_frames}
    first = replace(videos[0], labels={0: videos[0].labels[3], **videos[0].labels})
    corrected = replace(networks.context.dataset, videos=(first, *videos[1:]))

    later = Networks(replace(networks.context, dataset=corrected)).teachers

    assert {(one.video.name, one.frame) for one in later.key_frames} == {*before, (first.name, 0)}
    assert {
        place: later.fold_of(video, place[1])
        for video in corrected.videos
        for place in before
        if place[0] == video.name
    } == before


def test_a_held_out_refiner_of_other_steps_is_trained_anew(workshop: Any) -> None:
    """The number of steps may change in a run; what was trained before it did would stay for good."""
    steps = ("propagation", "calibration_steps")
    networks = workshop.networks(workshop.recipe.changed(steps, 1))
    networks.teachers.train_held_out(0)
    recipe = networks.context.recipe.changed(steps, 2)
    more = Networks(replace(networks.context, recipe=recipe))

    short = HeldOutNetworks(networks, 0).refiner("two-sided")[1]

    assert HeldOutNetworks(networks, 0).refiner("two-sided")[1] == short
    assert HeldOutNetworks(more, 0).refiner("two-sided")[1] != short
    path = networks.context.run.for_fold(0).checkpoint_path("two-sided-refiner")
    assert read_card(path).recipe["optimisation"]["steps"] == 2


def test_where_the_base_is_held_out_it_is_adapted_to_the_other_folds(workshop: Any) -> None:
    """Cycles use the base, which knows less than the segmenter that labels: it would expect too little."""
    context = workshop.networks(workshop.recipe.changed(("segmenter", "held_out"), "base")).context
    further = replace(context.dataset, videos=context.dataset.videos[:1])
    networks = Networks(replace(context, also_train=(further,)))
    assert not can_hold_out(networks, 0, METHODS["semantic-only"].needs)
    base = networks.held_out(0)

    held_out = HeldOutNetworks(networks, 0)
    adapted = held_out.segmenter()

    assert can_hold_out(networks, 0, METHODS["semantic-only"].needs)
    assert networks.held_out(1) == base
    assert adapted[1] not in {base[1], networks.segmenter()[1]}
    assert context.run.for_fold(0).checkpoint_path("segmenter").exists()
    (other,) = networks.teachers.outside_fold(0)
    assert held_out.held_out_models(other.video, other.frame).segmenter_fingerprint == base[1]


def test_without_other_key_frames_the_refiner_is_untrained(workshop: Any) -> None:
    """It votes then; the paper's refiner would know nothing, so its method is not held out."""
    whole = workshop.networks()
    (first, *_) = whole.context.dataset.videos
    alone = type(whole)(replace(whole.context, dataset=replace(whole.context.dataset, videos=(first,))))
    alone.teachers.train_held_out(0)

    assert not alone.teachers.is_held_out(0)
    assert not alone.teachers.outside_fold(0)
    held_out = HeldOutNetworks(alone, 0)
    held_out.segmenter = alone.segmenter  # type: ignore[method-assign]
    assert held_out.refiner("two-sided")[1] == "untrained"


def test_networks_that_are_held_out_are_trained_anew_with_all_others(workshop: Any) -> None:
    """When data change, --retrain deletes them too."""
    networks = workshop.networks()
    run, dataset = networks.context.run, networks.context.dataset
    stale = run.for_fold(0).checkpoint_path("two-sided-refiner")
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"")
    fewer = replace(dataset, videos=dataset.videos[:1])

    check_networks(run, fewer, (), horizon=3, retrain=True)

    assert not stale.exists()


@pytest.mark.parametrize("steps", [0, 2])
def test_the_forecast_counts_what_calibration_trains(workshop: Any, steps: int) -> None:
    """Without steps no refiner is trained for it, with them one for each fold."""
    recipe = workshop.recipe.changed(("propagation", "calibration_key_frames"), 8)
    networks = workshop.networks(recipe.changed(("propagation", "calibration_steps"), steps))

    tasks = tasks_of(plan_passes(networks, [PLUS], until=None))

    names = [task.name for task in tasks]
    assert names.count("training the two-sided-refiner") == (3 if steps else 1)
    assert names.index("calibrating confidence") < names.index("propagating")
    assert [task.units for task in tasks if task.name == "calibrating confidence"] == [2]


def test_short_trainings_are_as_long_as_the_recipe_says() -> None:
    """Never longer than the training itself; 0 means as long."""
    recipe = Recipe()
    short = short_trainings(recipe.changed(("propagation", "calibration_steps"), 400))

    assert short.plus.refiner.optimisation.steps == recipe.plus.refiner.optimisation.steps == 300
    assert short.refiner.optimisation.steps == 400
    assert short_trainings(recipe) == recipe


def test_key_frames_near_each_other_are_held_out_and_others_go_through_cycles() -> None:
    """The horizon does not count: what is farther away shows more errors, but cycles hide them."""
    near = plan_rehearsals(data_set(3, 42, frames=50), horizon=10, reach=20, most=8)
    far = plan_rehearsals(data_set(3, 43, frames=60), horizon=10, reach=20, most=8)

    assert [(one.kind, one.key_frame, one.distance) for one in near] == [
        ("hold-out", 3, 39),
        ("hold-out", 42, 39),
    ]
    assert [(one.key_frame, one.distance) for one in far if one.kind == "cycle"] == [
        *((3, k) for k in (1, 5, 10)),
        *((43, k) for k in (1, 5, 10)),
    ]


def test_no_more_key_frames_are_used_than_the_recipe_has() -> None:
    """They are spread over all; 0 is none."""
    dataset = data_set(*range(0, 30, 3))

    assert [one.key_frame for one in plan_rehearsals(dataset, horizon=3, reach=9, most=3)] == [0, 9, 18]
    assert plan_rehearsals(dataset, horizon=3, reach=9, most=0) == []


def test_methods_that_learn_are_apart_and_the_truth_is_left_out() -> None:
    """Motion-only needs no held-out networks."""
    assert grouped(PAPER_METHODS) == [("motion-only",), ("semantic-only", "warp-inpaint", "warp-refine")]
    assert grouped(["oracle"]) == []


def test_a_damaged_calibration_is_refused(tmp_path: Path) -> None:
    """The message names the file and what to do."""
    run = RunFolder(tmp_path)
    run.calibration_path.write_text("{}")

    with pytest.raises(RunFolderError, match=r"calibration.json is damaged .* delete it"):
        read_calibrations(run)
