"""Tests of jobs/finished.py: a finished run is opened again, read, scored, and used as training data."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine import FinishedRun, autolabel, load_recipe, open_dataset
from warprefine.core.errors import DatasetError, LabelError, RecipeError, RunFolderError
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID, Flow, Frames
from warprefine.io.frames import open_frames
from warprefine.io.images import read_frame, read_gray, read_labels
from warprefine.jobs.run_records import methods_of
from warprefine.jobs.start import start
from warprefine.motion.loading import load_motion
from warprefine.propagation.methods import PLUS

METHODS = ("motion-only", "oracle")
CPU = torch.device("cpu")


class Still:
    """Motion without any: nothing moves."""

    name = "still"

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        return torch.zeros(frame_b.shape[0], 2, *frame_b.shape[-2:])


class Blind:
    """A segmenter to which all classes are equally probable."""

    name, class_count, feature_channels = "blind", 11, 1

    def __call__(self, frames: Frames) -> Segmentation:
        b, _, h, w = frames.shape
        return Segmentation(logits=torch.zeros(b, 11, h, w), features=torch.zeros(b, 1, h, w))


@pytest.fixture(scope="module")
def run(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose videos are labelled by motion and by the truth, two frames either way of the key frame."""
    out = tmp_path_factory.mktemp("labelled") / "run"
    recipe = load_recipe(tiny_recipe)
    autolabel(open_dataset(tiny_data), out, horizon=2, methods=METHODS, recipe=recipe, motion="dis-ultrafast")
    return out


# opened again


def test_a_run_opened_again_is_the_one_that_ended(tiny_data: Path, tmp_path: Path) -> None:
    """Data set, horizon, recipe, methods and videos left out are those of the run."""
    finished = autolabel(open_dataset(tiny_data), tmp_path, horizon=2, methods=METHODS)

    again = FinishedRun.open(str(tmp_path))

    assert (again.dataset, again.horizon, again.recipe) == (finished.dataset, 2, finished.recipe)
    assert again.methods == finished.methods == METHODS
    assert again.failures == finished.failures == {}
    assert again.evaluate() == finished.scores


def test_a_run_shows_what_it_holds(run: Path) -> None:
    """Folder, methods, frames and scores: in a line as an object, in full when it is printed."""
    finished = FinishedRun.open(run)
    scored = replace(finished, scores=finished.evaluate(), failures={"clip": "it is broken"})

    assert repr(finished) == f"<FinishedRun {run}: motion-only, oracle; 10 of 14 frames labelled>"
    assert re.fullmatch(r"<FinishedRun .*; 10 of 14 frames labelled, mIoU \d+\.\d %>", repr(scored))
    lines = str(scored).splitlines()
    assert lines[:4] == [
        f"run {repr(scored)[len('<FinishedRun ') : -1]}",
        "street-000: 5 of 7 frames labelled, 2 out of reach (0, 6)",
        "street-001: 5 of 7 frames labelled, 2 out of reach (0, 6)",
        "clip: left out, it is broken",
    ]
    assert [line.split()[0] for line in lines[4:]] == ["mIoU", "motion-only", "oracle"]


def test_a_run_without_labels_shows_so(tiny_data: Path, tmp_path: Path) -> None:
    """It can be printed too."""
    start(open_dataset(tiny_data), tmp_path / "run", horizon="all")

    finished = FinishedRun.open(tmp_path / "run", labelled=False)

    assert repr(finished).endswith("run: no labels>")
    assert str(finished).endswith("run: no labels")


def test_a_video_that_was_left_out_is_left_out_again(data: Path, tmp_path: Path) -> None:
    """It is no part of the data set, and its problem is kept."""
    (data / "videos/street-000/frames/000003.jpg").write_bytes(b"")
    autolabel(open_dataset(data), tmp_path / "run", horizon=3, methods=["motion-only"])

    again = FinishedRun.open(tmp_path / "run")

    assert [video.name for video in again.dataset.videos] == ["street-001"]
    assert "000003.jpg" in again.failures["street-000"]
    with pytest.raises(RecipeError, match="no video is called 'street-000'; did you mean 'street-001'"):
        list(again.labels("street-000"))


def test_only_a_run_can_be_opened(tmp_path: Path) -> None:
    """A folder of something else is told apart, and left as it is."""
    with pytest.raises(
        RunFolderError, match=r"holds no job\.json; expected a folder made by `warprefine autolabel`"
    ):
        FinishedRun.open(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_run_without_labels_is_not_finished(tiny_data: Path, tmp_path: Path) -> None:
    """The message names what is missing in a run that was only started."""
    start(open_dataset(tiny_data), tmp_path / "run", horizon=3)

    with pytest.raises(
        RunFolderError, match=r"run holds no labels yet; run `warprefine autolabel` with the same"
    ):
        FinishedRun.open(tmp_path / "run")
    assert FinishedRun.open(tmp_path / "run", labelled=False).methods == ()


def test_a_data_set_made_in_memory_cannot_be_opened_again(tiny_data: Path, tmp_path: Path) -> None:
    """Its scores are what `autolabel` returned, as the message tells."""
    dataset = replace(open_dataset(tiny_data), origin={})
    finished = autolabel(dataset, tmp_path / "run", horizon=3, methods=["motion-only"])

    assert finished.scores["motion-only"].frames == 12
    with pytest.raises(
        RunFolderError, match=r"was made from a data set in memory, expected one opened by `open_"
    ):
        FinishedRun.open(tmp_path / "run")


def test_a_data_set_that_is_gone_is_missed(data: Path, tmp_path: Path) -> None:
    """A run does not hold the frames."""
    autolabel(open_dataset(data), tmp_path / "run", horizon=1, methods=["motion-only"])
    shutil.rmtree(data)

    with pytest.raises(DatasetError, match="data does not exist"):
        FinishedRun.open(tmp_path / "run")


def test_data_and_run_may_be_moved_together(tiny_data: Path, tmp_path: Path) -> None:
    """Where the data are as seen from the run folder is recorded."""
    data = shutil.copytree(tiny_data, tmp_path / "here" / "data")
    autolabel(data, tmp_path / "here" / "runs" / "run", horizon=1, methods=["motion-only"])
    moved = (tmp_path / "here").rename(tmp_path / "elsewhere")

    finished = FinishedRun.open(moved / "runs" / "run")

    assert finished.dataset.root == moved / "data"
    assert finished.evaluate()["motion-only"].miou is not None


def test_data_that_were_moved_are_given_once(data: Path, tmp_path: Path) -> None:
    """Further data too: nothing is labelled again, and a copy elsewhere is another data set."""
    options: dict[str, Any] = {"horizon": 1, "methods": ["motion-only"]}
    autolabel(data, tmp_path / "run", also_train=[open_dataset(data)], **options)
    labels = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "labels").rglob("*.png")}
    copy = shutil.copytree(data, tmp_path / "copy")
    with pytest.raises(
        RunFolderError, match=r"holds a run with also_train = |holds a run with data\.root = "
    ):
        autolabel(copy, tmp_path / "run", also_train=[open_dataset(copy)], **options)
    shutil.rmtree(data)
    with pytest.raises(
        DatasetError, match="if they were moved, run `warprefine autolabel` once with the new"
    ):
        FinishedRun.open(tmp_path / "run")

    autolabel(copy, tmp_path / "run", also_train=[open_dataset(copy)], **options)

    assert FinishedRun.open(tmp_path / "run").dataset.root == copy
    assert labels == {path: path.stat().st_mtime_ns for path in labels}


def test_methods_are_those_that_have_labels(run: Path, tmp_path: Path) -> None:
    """A folder that is not there has none, nor has an empty one."""
    assert methods_of(run) == METHODS
    with pytest.raises(RunFolderError, match="none is no folder; expected one that `warprefine autolabel`"):
        methods_of(tmp_path / "none")
    with pytest.raises(RunFolderError, match="holds no labels yet; run `warprefine autolabel`"):
        methods_of(tmp_path)


# labels


def test_labels_come_in_order_of_time_with_key_frames_among_them(run: Path, tiny_data: Path) -> None:
    """A key frame has distance 0, confidence 1 and itself as its source; the others have their provenance."""
    frames = list(FinishedRun.open(run).labels("street-001"))

    assert [frame.frame for frame in frames] == [1, 2, 3, 4, 5]
    assert [frame.distance for frame in frames] == [2, 1, 0, 1, 2]
    assert [frame.key_frames for frame in frames] == [(3,)] * 5
    classes = open_dataset(tiny_data).classes
    key_frame = frames[2]
    by_hand = read_labels(tiny_data / "videos/street-001/labels/000003.png", classes)
    assert torch.equal(key_frame.labels, by_hand)
    assert bool((key_frame.confidence == 1).all())
    for frame in (*frames[:2], *frames[3:]):
        place = f"motion-only/street-001/{frame.frame:06d}.png"
        assert torch.equal(frame.labels, read_labels(run / "labels" / place, classes))
        assert torch.equal(frame.confidence, read_gray(run / "confidence" / place))


def test_labels_are_of_the_method_that_is_named(run: Path, tiny_data: Path) -> None:
    """By default it is the one whose labels are meant to be used: never the oracle."""
    finished = FinishedRun.open(run)
    default, motion_only, oracle = (
        [frame.labels for frame in finished.labels("street-000", method)]
        for method in (None, "motion-only", "oracle")
    )
    classes = open_dataset(tiny_data).classes

    assert all(torch.equal(one, other) for one, other in zip(default, motion_only, strict=True))
    truth = read_labels(tiny_data / "videos/street-000/truth/000001.png", classes)
    assert torch.equal(oracle[0], truth)
    assert not torch.equal(motion_only[0], truth)


def test_labels_from_two_key_frames_name_both(tiny_data: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    """Warp-refine-plus labels from both sides; the nearer key frame comes first."""
    finished = autolabel(
        open_dataset(tiny_data, key_frames="0::6"),
        tmp_path,
        horizon=2,
        methods=[PLUS, "motion-only"],
        recipe=load_recipe(tiny_recipe).changed(("plus", "refiner", "enabled"), False),
        motion=Still(),
        segmenter=Blind(),
    )
    both = {frame.frame: (frame.distance, frame.key_frames) for frame in finished.labels("street-000")}
    one = {f.frame: (f.distance, f.key_frames) for f in finished.labels("street-000", "motion-only")}

    assert both == {
        0: (0, (0,)),
        1: (1, (0, 6)),
        2: (2, (0, 6)),
        4: (2, (6, 0)),
        5: (1, (6, 0)),
        6: (0, (6,)),
    }
    assert one == {frame: (distance, keys[:1]) for frame, (distance, keys) in both.items()}


def test_a_video_that_there_is_not_has_no_labels(run: Path) -> None:
    """The message has the nearest name."""
    with pytest.raises(RecipeError, match="no video is called 'street-002'; did you mean"):
        list(FinishedRun.open(run).labels("street-002"))


def test_reading_a_run_writes_nothing(run: Path) -> None:
    """A finished run may lie where writing is not allowed."""
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}

    finished = FinishedRun.open(run)
    list(finished.labels(finished.dataset.videos[0].name))
    finished.evaluate()

    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_lost_manifest_is_noticed(tiny_data: Path, tmp_path: Path) -> None:
    """Labels whose origin is not recorded are not passed over in silence."""
    finished = autolabel(open_dataset(tiny_data), tmp_path, horizon=1, methods=["motion-only"])
    (tmp_path / "manifest.sqlite").unlink()

    with pytest.raises(
        RunFolderError, match=r"cannot read .*manifest\.sqlite: .*; run `warprefine autolabel` with the same"
    ):
        list(FinishedRun.open(tmp_path).labels("street-000"))
    assert finished.methods == ("motion-only",)


def test_a_method_without_labels_is_named(run: Path) -> None:
    """The message has the nearest name."""
    finished = FinishedRun.open(run)

    with pytest.raises(RecipeError, match="no method of this run is called 'motion'; did you mean"):
        list(finished.labels(finished.dataset.videos[0].name, "motion"))


def test_a_label_map_that_is_gone_is_missed(tiny_data: Path, tmp_path: Path) -> None:
    """A frame that was finished is not skipped in silence."""
    finished = autolabel(open_dataset(tiny_data), tmp_path, horizon=1, methods=["motion-only"])
    (tmp_path / "labels/motion-only/street-000/000004.png").unlink()

    labels = finished.labels("street-000")

    assert [next(labels).frame, next(labels).frame] == [2, 3]
    with pytest.raises(LabelError, match=r"street-000/000004\.png"):
        next(labels)


# scores


def test_a_run_can_be_scored_again(runs: Any) -> None:
    """Its files give the scores of the run itself, to the four decimals that it wrote down."""
    finished = FinishedRun.open(runs.whole)
    again = finished.evaluate()
    metrics = json.loads((runs.whole / "metrics.json").read_text())

    assert list(again) == list(metrics)
    for method, scores in again.items():
        assert scores.miou_by_distance == pytest.approx(metrics[method]["miou_by_distance"], abs=1e-4)
    assert finished.evaluate(void_as_class=True)["motion-only"] != again["motion-only"]


def test_a_run_without_truth_cannot_be_scored(data: Path, tmp_path: Path) -> None:
    """It has labels all the same."""
    for video in ("street-000", "street-001"):
        shutil.rmtree(data / "videos" / video / "truth")
    autolabel(open_dataset(data), tmp_path / "run", horizon=1, methods=["motion-only"])
    finished = FinishedRun.open(tmp_path / "run")

    with pytest.raises(DatasetError, match="has no truth for any frame within 1 of a key frame"):
        finished.evaluate()
    assert len(list(finished.labels("street-000"))) == 3


# pseudo-labels to train on


def test_frames_of_motion_only_come_with_propagated_images(run: Path) -> None:
    """The oracle's frames are the real ones, those of motion-only were warped from the key frame."""
    finished = FinishedRun.open(run)

    assert all(member.picture is None for member in finished.pseudo_labels("oracle", offsets=(1,)))
    propagated = finished.pseudo_labels("motion-only", offsets=(1,))
    assert len(propagated) == 4  # two videos, both ways
    assert all(member.picture is not None and member.picture.exists() for member in propagated)


def test_labels_without_confidence_become_void(run: Path, tmp_path: Path) -> None:
    """In maps of their own: those of the run stay as they are."""
    finished = FinishedRun.open(run)
    (before, *_) = finished.pseudo_labels("motion-only", offsets=(2,), out=tmp_path)
    stem = before.video.stems[before.frame]
    confidence = read_gray(finished.run.confidence_path("motion-only", before.video.name, stem))
    least = float(confidence.median())

    (member, *_) = finished.pseudo_labels("motion-only", offsets=(2,), out=tmp_path, confident=least)

    labels, masked = (read_labels(one.label_path, one.classes) for one in (before, member))
    assert (confidence < least).any()
    assert torch.equal(masked, labels.masked_fill(confidence < least, VOID))
    assert tmp_path in member.label_path.parents
    assert member.picture == before.picture


def test_labels_that_are_not_there_are_missed(run: Path) -> None:
    """Neither a method that was not run nor a distance beyond the horizon can be had."""
    finished = FinishedRun.open(run)

    with pytest.raises(
        RunFolderError, match=r"no labels of warp-refine at .1, 2.*is missing; make them with"
    ):
        finished.pseudo_labels("warp-refine", offsets=(1, 2))
    with pytest.raises(RunFolderError, match="a horizon of at least 3"):
        finished.pseudo_labels("oracle", offsets=(3,))
    with pytest.raises(RunFolderError, match="has no such frame"):
        finished.pseudo_labels("oracle", offsets=(50,))


def test_images_are_propagated_by_the_motion_of_the_labels(run: Path, tmp_path: Path) -> None:
    """Opened again, a run loads the motion that its recipe names."""
    copy = shutil.copytree(run, tmp_path / "run")
    FinishedRun.open(copy).pseudo_labels("motion-only", offsets=(2,))
    own = sorted((copy / "joint").rglob("*.png"))
    before = [path.read_bytes() for path in own]

    named = load_motion("dis-ultrafast", device=CPU)
    replace(FinishedRun.open(copy), motion=named).pseudo_labels("motion-only", offsets=(2,))
    assert [path.read_bytes() for path in own] == before

    replace(FinishedRun.open(copy), motion=Still()).pseudo_labels("motion-only", offsets=(2,))
    assert [path.read_bytes() for path in own] != before


def test_supplied_motion_propagates_images_only_while_it_is_at_hand(tiny_data: Path, tmp_path: Path) -> None:
    """What `autolabel` returned has it; a run opened again does not, and does not take another."""
    dataset = open_dataset(tiny_data)
    finished = autolabel(dataset, tmp_path, horizon=1, methods=METHODS, motion=Still())

    (member, *_) = finished.pseudo_labels("motion-only", offsets=(1,))
    assert member.picture is not None
    with open_frames(dataset.videos[0]) as frames:
        assert torch.equal(read_frame(member.picture), frames[3])
    again = FinishedRun.open(tmp_path)
    with pytest.raises(
        RunFolderError,
        match="labelled with the motion 'still', supplied as an object; take the pseudo-labels of motion-o",
    ):
        again.pseudo_labels("motion-only", offsets=(1,))
    assert len(again.pseudo_labels("oracle", offsets=(1,))) == 4
