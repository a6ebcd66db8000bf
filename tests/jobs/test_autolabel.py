"""Tests of jobs/autolabel.py: from a data set to labels, scores and a report, in one call."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import av
import numpy as np
import pytest
import torch
from PIL import Image

from warprefine import (
    Dataset,
    FinishedRun,
    Recipe,
    RefinerInput,
    Segmentation,
    TwoSidedInput,
    load_recipe,
    open_dataset,
)
from warprefine.core.errors import DeviceError, KeyFrameError, LabelError, RecipeError, RunFolderError
from warprefine.core.tensors import VOID, Flow, Frames, Logits
from warprefine.datasets.class_file import write_classes
from warprefine.io.frames import open_frames
from warprefine.io.images import read_gray, read_labels
from warprefine.jobs.autolabel import autolabel, with_networks
from warprefine.jobs.autolabel import label as propagate_and_report
from warprefine.jobs.networks import Networks
from warprefine.jobs.results import motion_of_methods
from warprefine.jobs.start import start
from warprefine.metrics.scores import MethodScores
from warprefine.motion.loading import load_motion
from warprefine.propagation.evidence import Evidence
from warprefine.propagation.methods import METHODS, ORACLE, PLUS
from warprefine.segmentation.compact import CompactSegmenter

STEMS = [f"{number:06d}" for number in range(7)]


def labelled(run: Path, method: str = "motion-only", video: str = "street-000") -> list[str]:
    """Return the names of the frames that a method labelled."""
    return sorted(path.stem for path in (run / "labels" / method / video).iterdir())


def label(dataset: Dataset, run: Path, **options: Any) -> FinishedRun:
    """Label by motion alone, which trains nothing."""
    return autolabel(dataset, run, **{"horizon": 3, "methods": ["motion-only"], **options})


def test_a_video_is_labelled_in_a_few_lines_of_python(tiny_data: Path, tmp_path: Path) -> None:
    """Open a data set, label it, look at the scores and the labels."""
    from warprefine import autolabel, open_dataset

    data = open_dataset(tiny_data)
    run = autolabel(data, tmp_path / "run", horizon=3, methods=["motion-only", "oracle"])
    best = max(run.scores, key=lambda method: run.scores[method].miou)
    labels = sorted((tmp_path / "run/labels/motion-only").glob("*/*.png"))

    assert best == "oracle"
    assert len(labels) == 14
    assert [frame.labels.shape for frame in run.labels("street-000")] == [(1, 48, 64)] * 7
    assert run.run.report_path.is_file()


def test_the_folder_of_a_data_set_is_enough(tiny_data: Path, tmp_path: Path) -> None:
    """Whoever has nothing to choose need not open it."""
    run = autolabel(str(tiny_data), tmp_path / "run", horizon=1, methods=["motion-only"])

    assert [one.labelled for one in run.coverage] == [3, 3]


# a cache that runs share


@pytest.fixture
def estimated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every flow that is estimated, not found in a cache."""
    found: list[str] = []
    original = Evidence._estimate_flow

    def watched(self: Evidence, b: int, a: int) -> Flow:
        found.append(f"{self.video.name} {b} {a}")
        return original(self, b, a)

    monkeypatch.setattr(Evidence, "_estimate_flow", watched)
    return found


def test_runs_that_share_a_cache_compute_no_flow_twice(
    tiny_data: Path, tmp_path: Path, estimated: list[str]
) -> None:
    """A new run folder finds the flow of unchanged frames; those that changed are computed anew."""
    data, cache = Path(shutil.copytree(tiny_data, tmp_path / "data")), tmp_path / "cache"
    label(open_dataset(data), tmp_path / "one", cache=cache)
    assert estimated
    estimated.clear()

    label(open_dataset(data), tmp_path / "two", cache=str(cache))
    assert estimated == []
    assert not (tmp_path / "two/cache").exists()
    frames = data / "videos/street-000/frames"
    shutil.copy(frames / "000000.jpg", frames / "000001.jpg")
    label(open_dataset(data), tmp_path / "three", cache=cache)

    assert sorted(estimated) == ["street-000 0 1", "street-000 1 2"]
    for method in ("labels", "confidence"):
        one, two = (sorted((tmp_path / run / method).rglob("*.png")) for run in ("one", "two"))
        assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_a_cache_in_the_data_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(RunFolderError, match=r"the cache .* lies in .*, which is read"):
        label(open_dataset(tiny_data), tmp_path / "run", cache=tiny_data / "cache")

    assert not (tmp_path / "run").exists()


def test_a_cache_that_cannot_be_written_is_told_at_the_start(tiny_data: Path, tmp_path: Path) -> None:
    """Not after the first hour."""
    (tmp_path / "cache").write_text("a file")

    with pytest.raises(RunFolderError, match=r"cannot write .*cache: there is a file of that name"):
        label(open_dataset(tiny_data), tmp_path / "run", cache=tmp_path / "cache")


# what a whole run leaves


@pytest.mark.parametrize("method", METHODS)
def test_every_frame_in_reach_has_labels_and_confidence(runs: Any, tiny_data: Path, method: str) -> None:
    """Each method writes labels and confidence of all frames of both videos, at the size of the frames."""
    dataset = open_dataset(tiny_data)
    for video in dataset.videos:
        assert labelled(runs.whole, method, video.name) == STEMS
        for stem in STEMS:
            labels = read_labels(
                runs.whole / f"labels/{method}/{video.name}/{stem}.png", dataset.classes, size=(48, 64)
            )
            confidence = read_gray(runs.whole / f"confidence/{method}/{video.name}/{stem}.png")
            assert confidence.shape == labels.shape


def test_key_frames_are_certain(runs: Any) -> None:
    """Hand-made labels have full confidence, and propagated ones have less."""
    confidence = runs.whole / "confidence/motion-only/street-000"

    assert bool((read_gray(confidence / "000003.png") == 1).all())
    assert (
        float(read_gray(confidence / "000006.png").mean())
        < float(read_gray(confidence / "000004.png").mean())
        < 1
    )


def test_the_oracle_is_the_truth(runs: Any, tiny_data: Path) -> None:
    """The upper bound repeats what the evaluation compares with, and scores full marks."""
    classes = open_dataset(tiny_data).classes
    for stem in STEMS[:3]:
        written = read_labels(runs.whole / f"labels/oracle/street-001/{stem}.png", classes)
        truth = read_labels(tiny_data / f"videos/street-001/truth/{stem}.png", classes)
        assert torch.equal(written, truth)
    assert json.loads((runs.whole / "metrics.json").read_text())["oracle"]["miou"] == 100


def test_scores_are_numbers_in_percent_by_method(runs: Any, tiny_data: Path) -> None:
    """metrics.json has one entry per method with the fields of MethodScores; metrics.csv has the rows."""
    metrics = json.loads((runs.whole / "metrics.json").read_text())
    classes = open_dataset(tiny_data).classes.names

    assert list(metrics) == list(METHODS)
    for method, scores in metrics.items():
        named = {field.name for field in fields(MethodScores)} - {"between"}  # one key frame
        named |= {"frames_by_stage"} | ({"reliability"} if method != ORACLE else set())
        assert set(scores) == named
        assert scores["beside"]["miou"] == scores["miou"]
        assert set(scores["iou_by_class"]) == set(classes)
        assert scores["frames_by_distance"] == [4, 4, 4]
        assert len(scores["miou_by_distance"]) == 3
        assert all(0 <= share <= 100 for share in scores["miou_by_distance"])
        assert scores["miou"] == pytest.approx(np.mean(scores["miou_by_distance"]), abs=1e-3)
    rows = (runs.whole / "metrics.csv").read_text().splitlines()
    assert rows[0] == "method,distance,class,iou"
    assert len(rows) == 1 + len(METHODS) * 3 * len(classes)


def test_recipe_report_and_log_lie_beside_the_labels(runs: Any, tiny_recipe: Path) -> None:
    """The resolved recipe can be used again, the page shows what came out, the log what happened."""
    page = (runs.whole / "report.html").read_text()

    assert load_recipe(runs.whole / "recipe.toml") == load_recipe(tiny_recipe)
    assert "warp-refine" in page
    assert "RGB distance" in page
    assert (runs.whole / "log.txt").is_file()


@pytest.mark.parametrize(("reach", "group"), [(20, "between"), (2, "beside")])
def test_frames_lie_between_key_frames_within_the_reach_of_the_recipe(
    tiny_data: Path, tmp_path: Path, reach: int, group: str
) -> None:
    """Key frames 0 and 6: with a reach of 2 no frame has labels from both; scored again, it is the same."""
    data = open_dataset(tiny_data, key_frames="0::6")
    recipe = Recipe().changed(("plus", "choose", "reach"), reach)

    finished = autolabel(data, tmp_path / "run", horizon=2, methods=["motion-only"], recipe=recipe)

    scores = finished.scores["motion-only"]
    assert [name for name in ("between", "beside") if getattr(scores, name)] == [group]
    assert getattr(scores, group).frames_by_distance == scores.frames_by_distance == [4, 4]
    assert finished.evaluate() == finished.scores


# what decides which frames are labelled


@pytest.mark.parametrize(
    ("key_frames", "horizon", "reached"),
    [
        ("0::100", 2, STEMS[:3]),
        ("6::100", 2, STEMS[4:]),
        ("3::100", 1, STEMS[2:5]),
        ("0::6", 6, STEMS),
    ],
    ids=["forwards", "backwards", "both ways", "from both ends"],
)
def test_labels_reach_as_far_as_the_horizon(
    tiny_data: Path, tmp_path: Path, key_frames: str, horizon: int, reached: list[str]
) -> None:
    """From the first key frame only forwards, from the last only backwards, and no further."""
    finished = label(open_dataset(tiny_data, key_frames=key_frames), tmp_path / "run", horizon=horizon)

    assert labelled(tmp_path / "run") == reached
    assert finished.failures == {}


def test_without_truth_there_are_labels_and_a_report_but_no_scores(data: Path, tmp_path: Path) -> None:
    """A user who has labelled a few frames and nothing else gets all the rest."""
    for video in ("street-000", "street-001"):
        shutil.rmtree(data / "videos" / video / "truth")

    finished = label(open_dataset(data), tmp_path / "run")

    assert labelled(tmp_path / "run") == STEMS
    assert finished.scores == {}
    assert not (tmp_path / "run/metrics.json").exists()
    assert (
        "No frame has ground truth, so the labels cannot be scored"
        in (tmp_path / "run/report.html").read_text()
    )


def test_one_key_frame_in_one_video_is_enough(data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """With a single labelled frame no fold can be held back, and all methods still run."""
    shutil.rmtree(data / "videos/street-001")

    finished = autolabel(
        open_dataset(data),
        tmp_path / "run",
        horizon=1,
        methods=tuple(METHODS),
        recipe=load_recipe(tiny_recipe),
    )

    assert list(finished.scores) == list(METHODS)
    for method in ("warp-refine", "warp-refine-plus"):
        assert labelled(tmp_path / "run", method) == STEMS[2:5]


def test_by_default_only_the_two_sided_refiner_is_trained(
    tiny_data: Path, tmp_path: Path, tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The paper's methods, which need tau and a refiner of their own, are run where they are named."""
    reported: dict[str, Any] = {}
    monkeypatch.setattr(
        "warprefine.jobs.results.write_report", lambda path, **content: reported.update(content)
    )
    run = tmp_path / "run"

    finished = autolabel(open_dataset(tiny_data), run, horizon=1, recipe=load_recipe(tiny_recipe))

    assert list(finished.scores) == ["motion-only", "semantic-only", "warp-refine-plus", "oracle"]
    assert (run / "checkpoints/two-sided-refiner.safetensors").is_file()
    assert not (run / "checkpoints/refiner.safetensors").exists()
    assert not (run / "tau.json").exists()
    assert list(reported["curves"]) == ["segmenter: loss", "two-sided-refiner: loss"]
    assert "tau" not in reported["facts"]
    assert reported["facts"]["Segmenter"].startswith("compact, weights ")
    assert reported["facts"]["Motion"] == "dis-medium (motion-only); dis-ultrafast (warp-refine-plus)"
    assert finished.tau is None


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        (
            ["motion-only", "warp-inpaint", PLUS],
            "dis-fast (motion-only, warp-inpaint); still (" + PLUS + ")",
        ),
        (["motion-only", "semantic-only", "oracle"], "dis-fast"),
        (["semantic-only", "oracle"], ""),
    ],
    ids=["two", "one", "none"],
)
def test_the_report_names_the_motion_of_each_method(methods: list[str], said: str) -> None:
    """Methods that move nothing have none."""
    names = {"stepwise": "dis-fast", "two-sided": "still"}
    networks = Mock(spec=Networks)
    networks.motion.side_effect = lambda kind: SimpleNamespace(name=names[kind])

    assert motion_of_methods(networks, methods) == said


def test_the_oracle_has_labels_only_where_there_is_truth(data: Path, tmp_path: Path) -> None:
    """Copies of key frames alone would look like its work."""
    shutil.rmtree(data / "videos/street-000/truth")
    methods = ["motion-only", "oracle"]
    some = label(open_dataset(data), tmp_path / "some", methods=methods)
    shutil.rmtree(data / "videos/street-001/truth")
    none = label(open_dataset(data), tmp_path / "none", methods=methods)

    assert [path.name for path in (tmp_path / "some/labels/oracle").iterdir()] == ["street-001"]
    assert some.methods == ("motion-only", "oracle")
    assert not (tmp_path / "none/labels/oracle").exists()
    assert none.methods == ("motion-only",)


def test_the_oracle_alone_is_a_run_too(data: Path, tmp_path: Path) -> None:
    """It has no pictures to compare with the truth that it is."""
    finished = label(open_dataset(data), tmp_path / "run", methods=["oracle"])

    assert finished.scores["oracle"].miou == 100
    assert (tmp_path / "run/report.html").exists()


def test_frames_of_a_video_file_are_labelled_by_their_number(data: Path, tmp_path: Path) -> None:
    """An MP4 beside its folder of label maps gives one label map per decoded frame."""
    dataset = open_dataset(data)
    for video in dataset.videos:
        with open_frames(video) as frames, av.open(str(data / f"videos/{video.name}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            for number in range(len(video)):
                picture = frames[number][0].permute(1, 2, 0).contiguous().numpy()
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        shutil.rmtree(data / f"videos/{video.name}/frames")

    finished = label(open_dataset(data), tmp_path / "run")

    assert labelled(tmp_path / "run") == STEMS
    assert finished.scores["motion-only"].miou_by_distance[0] > 60


def test_further_labelled_data_are_trained_on_before_the_key_frames(
    data: Path, tmp_path: Path, tiny_recipe: Path
) -> None:
    """A network trained on pictures from elsewhere is adapted to the key frames."""
    dataset = open_dataset(data)
    options: dict[str, Any] = {"methods": ["semantic-only"], "recipe": load_recipe(tiny_recipe)}

    label(dataset, tmp_path / "run", also_train=[open_dataset(data, key_frames="0::2")], **options)

    trained = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir())
    assert trained == ["segmenter-base.safetensors", "segmenter.safetensors"]


# videos that are left out


def test_a_damaged_frame_costs_itself_and_those_behind_it(data: Path, tmp_path: Path) -> None:
    """What key frames reach is labelled, motion is not followed across; a mended frame brings the rest."""
    picture = data / "videos/street-000/frames/000005.jpg"
    sound = picture.read_bytes()
    picture.write_bytes(sound[:200])

    finished = label(open_dataset(data), tmp_path / "run")

    assert list(finished.failures) == ["street-000/frames/000005"]
    assert labelled(tmp_path / "run", video="street-000") == STEMS[:5]
    assert "street-000: 5 of 7 frames labelled, 2 out of reach (5 to 6)" in str(finished)
    assert "000005.jpg" in (tmp_path / "run/report.html").read_text()
    assert FinishedRun.open(tmp_path / "run").evaluate() == finished.scores

    picture.write_bytes(sound)
    mended = label(open_dataset(data), tmp_path / "run")

    assert mended.failures == {}
    assert labelled(tmp_path / "run", video="street-000") == STEMS


def test_every_method_labels_around_a_damaged_frame(data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """Cycles, walks, trajectories and averages stay on their side of it."""
    (data / "videos/street-000/frames/000001.jpg").write_bytes(b"")

    finished = autolabel(
        open_dataset(data),
        tmp_path / "run",
        horizon=3,
        methods=tuple(METHODS),
        recipe=load_recipe(tiny_recipe),
    )

    assert list(finished.failures) == ["street-000/frames/000001"]
    for method in METHODS:
        assert labelled(tmp_path / "run", method, video="street-000") == STEMS[2:]


def test_a_broken_clip_costs_only_itself(data: Path, tmp_path: Path) -> None:
    """The others are finished and scored, and once it is mended the same call finishes it too."""
    picture = data / "videos/street-000/frames/000003.jpg"
    sound = picture.read_bytes()
    picture.write_bytes(sound[:200])

    finished = label(open_dataset(data), tmp_path / "run")

    assert list(finished.failures) == ["street-000"]
    assert "000003.jpg" in finished.failures["street-000"]
    assert labelled(tmp_path / "run", video="street-001") == STEMS
    assert not (tmp_path / "run/labels/motion-only/street-000").exists()
    assert "000003.jpg" in (tmp_path / "run/report.html").read_text()
    assert FinishedRun.open(tmp_path / "run").evaluate() == finished.scores

    picture.write_bytes(sound)
    mended = label(open_dataset(data), tmp_path / "run")

    assert mended.failures == {}
    assert labelled(tmp_path / "run") == STEMS
    assert mended.scores["motion-only"].frames == 2 * finished.scores["motion-only"].frames
    assert FinishedRun.open(tmp_path / "run").evaluate() == mended.scores


@pytest.mark.parametrize("calibration_key_frames", [0, 8])
def test_a_clip_that_breaks_while_it_is_labelled_is_left_out_too(
    data: Path, tmp_path: Path, calibration_key_frames: int
) -> None:
    """A file that vanishes after the check is reported like one that was broken before."""
    recipe = Recipe().changed(("propagation", "calibration_key_frames"), calibration_key_frames)
    networks = Networks(start(open_dataset(data), tmp_path / "run", horizon=3, recipe=recipe))
    (data / "videos/street-001/frames/000000.jpg").unlink()

    finished = propagate_and_report(networks, ["motion-only"])

    assert list(finished.failures) == ["street-001"]
    assert list(finished.scores) == ["motion-only"]


# what is refused before anything is written


def rename_class(root: Path) -> None:
    dataset = open_dataset(root)
    write_classes(
        root / "classes.toml", replace(dataset.classes, names=("heaven", *dataset.classes.names[1:]))
    )


def with_other_classes(data: Path) -> Mapping[str, Any]:
    rename_class(data)
    return {"also_train": [open_dataset(data)]}


@pytest.mark.parametrize(
    "mistake",
    [
        (
            lambda _: {"methods": ["warp-refin"]},
            RecipeError,
            "no method is called 'warp-refin'; did you mean 'warp",
        ),
        (lambda _: {"horizon": 0}, KeyFrameError, "horizon 0 is no number"),
        (lambda _: {"device": "quantum"}, DeviceError, "device 'quantum' cannot be used"),
        (
            with_other_classes,
            LabelError,
            "data has the classes heaven, .* needs the same classes in the same",
        ),
        (lambda _: {"motion": "dis-mediun"}, RecipeError, "no motion estimator is called 'dis-mediun'"),
        (lambda _: {"segmenter": "compakt"}, RecipeError, "no segmenter is called 'compakt'"),
        (lambda _: {"refiner": "compakt"}, RecipeError, "no refiner is called 'compakt'"),
        (
            lambda _: {"two_sided_refiner": "two-sidet"},
            RecipeError,
            "no two-sided refiner is called 'two-sidet'",
        ),
    ],
    ids=[
        "method",
        "horizon",
        "device",
        "further classes",
        "motion",
        "segmenter",
        "refiner",
        "two-sided refiner",
    ],
)
def test_a_mistake_can_be_mended_in_the_same_folder(
    tiny_data: Path, data: Path, tmp_path: Path, mistake: tuple[Any, type[Exception], str]
) -> None:
    """What is refused leaves no run behind that would stand in the way of the right one."""
    wrong, error, message = mistake
    with pytest.raises(error, match=message):
        label(open_dataset(tiny_data), tmp_path / "run", **wrong(data))

    assert label(open_dataset(tiny_data), tmp_path / "run").failures == {}


def test_void_of_the_key_frame_is_propagated(data: Path, tmp_path: Path) -> None:
    """Pixels that a person left unlabelled stay so where motion takes them."""
    dataset = open_dataset(data)
    path = data / "videos/street-000/labels/000003.png"
    with Image.open(path) as picture:
        bare = picture.point(lambda index: VOID)
        bare.putpixel((0, 0), 0)  # a key frame has a labelled pixel
        bare.save(path)

    label(dataset, tmp_path / "run")

    propagated = read_labels(tmp_path / "run/labels/motion-only/street-000/000005.png", dataset.classes)
    assert bool((propagated[:, 8:] == VOID).all())


# parts of one's own


CLASSES = 11
BY_SEGMENTER, BY_REFINER, BY_TWO_SIDED = 2, 5, 7
"""Classes that the parts below always choose."""


class Still:
    """Motion without any: nothing moves."""

    name = "still"

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        return torch.zeros(frame_b.shape[0], 2, *frame_b.shape[-2:])


def scores_of(frames: Frames, chosen: int, channels: int) -> Logits:
    """Return scores of which one class is by far the highest."""
    logits = torch.zeros(frames.shape[0], channels, *frames.shape[-2:])
    logits[:, chosen] = 9.0
    return logits


class Sure:
    """A segmenter that is sure of one class."""

    name, class_count, feature_channels = "sure", CLASSES, 1

    def __call__(self, frames: Frames) -> Segmentation:
        logits = scores_of(frames, BY_SEGMENTER, CLASSES)
        return Segmentation(logits=logits, features=frames[:, :1].float())


class Stubborn:
    """A refiner that replaces all labels by one class."""

    name, class_count = "stubborn", CLASSES

    def __call__(self, inputs: RefinerInput) -> Logits:
        return scores_of(inputs.frame, BY_REFINER, CLASSES + 1)


class StubbornOfTwo:
    """A two-sided refiner that replaces all labels by one class."""

    name, class_count = "stubborn of two", CLASSES

    def __call__(self, inputs: TwoSidedInput) -> Logits:
        return scores_of(inputs.frame, BY_TWO_SIDED, CLASSES + 1)


def classes_in(run: FinishedRun, method: str) -> set[int]:
    """Return the classes that a method has given to frames that are no key frames."""
    frames = [frame for frame in run.labels("street-000", method) if frame.distance > 0]
    assert len(frames) == 6
    return {int(label) for frame in frames for label in frame.labels.unique()}


@pytest.fixture
def own_parts() -> dict[str, Any]:
    return {
        "motion": Still(),
        "segmenter": Sure(),
        "refiner": Stubborn(),
        "two_sided_refiner": StubbornOfTwo(),
    }


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The content of the last report, which is not written."""
    content: dict[str, Any] = {}
    monkeypatch.setattr("warprefine.jobs.results.write_report", lambda path, **given: content.update(given))
    return content


def test_parts_of_ones_own_are_used_as_they_are(
    tiny_data: Path, tmp_path: Path, tiny_recipe: Path, own_parts: dict[str, Any], reported: dict[str, Any]
) -> None:
    """Nothing is trained in their place; each shows in the labels of the methods that use it."""
    recipe = load_recipe(tiny_recipe).changed(("plus", "smooth", "decay"), 0.0)

    run = label(open_dataset(tiny_data), tmp_path, methods=tuple(METHODS), recipe=recipe, **own_parts)

    assert list(run.scores) == list(METHODS)
    assert not (tmp_path / "checkpoints").exists()
    by_hand, *others = [frame.labels for frame in run.labels("street-000", "motion-only")][3:]
    assert all(torch.equal(other, by_hand) for other in others)
    assert classes_in(run, "semantic-only") == {BY_SEGMENTER}
    assert classes_in(run, "warp-refine") == {BY_REFINER}
    assert classes_in(run, "warp-refine-plus") == {BY_TWO_SIDED}
    assert json.loads((tmp_path / "job.json").read_text())["parts"] == {
        "motion": "still",
        "segmenter": "sure",
        "refiner": "stubborn",
        "two_sided_refiner": "stubborn of two",
    }
    assert [path.name for path in (tmp_path / "cache/flow").iterdir()] == ["still"]
    assert reported["facts"]["Motion"] == "still"
    assert reported["facts"]["Segmenter"].startswith("sure, weights ")


def test_what_is_not_given_is_trained_beside_what_is(
    tiny_data: Path, tmp_path: Path, tiny_recipe: Path
) -> None:
    """A refiner learns beside a segmenter of one's own, in place of those of the folds too."""
    recipe = load_recipe(tiny_recipe)
    methods = ("warp-refine", "warp-refine-plus")

    run = label(open_dataset(tiny_data), tmp_path, methods=methods, recipe=recipe, segmenter=Sure())

    trained = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert trained == ["refiner.safetensors", "two-sided-refiner.safetensors"]
    assert len(list((tmp_path / "cache/segmentation").iterdir())) == 1
    assert list(run.scores) == list(methods)


def test_a_run_goes_on_with_the_parts_that_it_began_with(
    tiny_data: Path, tmp_path: Path, tiny_recipe: Path, own_parts: dict[str, Any], runs: Any
) -> None:
    """The same ones leave it as it is; another one, or none, would mix its labels with its own."""
    dataset, options = (
        open_dataset(tiny_data),
        {"recipe": load_recipe(tiny_recipe), "methods": ["semantic-only"]},
    )
    label(dataset, tmp_path, **options, **own_parts)
    before = runs.times(tmp_path / "labels")

    label(dataset, tmp_path, **options, **own_parts)
    assert runs.times(tmp_path / "labels") == before

    class Other(Sure):
        name = "other"

    with pytest.raises(
        RunFolderError, match=r"parts\.segmenter = 'sure', but this command says 'other'; choose another"
    ):
        label(dataset, tmp_path, **options, **{**own_parts, "segmenter": Other()})
    with pytest.raises(RunFolderError, match=r"parts\.refiner = 'stubborn', but this command says None"):
        label(dataset, tmp_path, **options, **{**own_parts, "refiner": None})
    with pytest.raises(RunFolderError, match=r"parts\.motion = 'still', but this command says None"):
        label(dataset, tmp_path, **options)
    assert runs.times(tmp_path / "labels") == before


def test_other_weights_are_another_part(tiny_data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """A network of the same name that was trained further is not taken for the one of the run."""
    segmenter = CompactSegmenter(CLASSES, widths=(4, 4, 4, 4, 4))
    dataset = open_dataset(tiny_data)
    options = {"recipe": load_recipe(str(tiny_recipe)), "methods": ["semantic-only"]}
    label(dataset, tmp_path, **options, segmenter=segmenter)
    with torch.no_grad():
        next(segmenter.parameters()).add_(1.0)

    with pytest.raises(
        RunFolderError, match=r"parts\.segmenter = 'compact [0-9a-f]{16}', but this command says"
    ):
        label(dataset, tmp_path, **options, segmenter=segmenter)


def test_names_stand_for_networks_of_the_recipe() -> None:
    """Each name has its place, motion has two; what is not named stays as it is."""
    names = {"motion": "dis-ultrafast", "segmenter": "lite0", "refiner": "pix2pix"}
    recipe = with_networks(Recipe(), names | {"two_sided_refiner": "two-sided"})

    assert recipe.propagation.motion == recipe.plus.carry.motion == "dis-ultrafast"
    assert (recipe.segmenter.network, recipe.refiner.network) == ("lite0", "pix2pix")
    assert recipe.plus.refiner.network == "two-sided"
    assert with_networks(Recipe(), {}) == Recipe()


def test_a_name_is_trained_like_one_of_the_recipe(tiny_data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """The run is the same as with a recipe that has these names, and goes on as such."""
    dataset, recipe = open_dataset(tiny_data), load_recipe(tiny_recipe)
    options: dict[str, Any] = {"horizon": 1, "methods": ["semantic-only", "motion-only"]}

    run = label(dataset, tmp_path, recipe=recipe, motion="dis-fast", segmenter="compact", **options)

    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["segmenter.safetensors"]
    assert [path.name for path in (tmp_path / "cache/flow").iterdir()] == [load_motion("dis-fast").name]
    assert load_recipe(tmp_path / "recipe.toml") == run.recipe
    label(dataset, tmp_path, recipe=run.recipe, **options)
