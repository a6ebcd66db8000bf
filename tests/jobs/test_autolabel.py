"""Tests of jobs/autolabel.py: from a data set to labels, scores and a report, in one call."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from warprefine import Dataset, load_recipe, open_dataset
from warprefine.core.errors import (
    DeviceError,
    FrameError,
    KeyFrameError,
    LabelError,
    RecipeError,
    RunFolderError,
)
from warprefine.core.tensors import VOID
from warprefine.datasets.class_file import write_classes
from warprefine.evaluation.scores import MethodScores
from warprefine.io.frames import open_frames
from warprefine.io.images import read_gray, read_labels
from warprefine.jobs.autolabel import Outcome, autolabel, evaluate_run, start
from warprefine.propagation.methods import METHODS

STEMS = [f"{number:06d}" for number in range(7)]


def labelled(run: Path, method: str = "motion-only", video: str = "street-000") -> list[str]:
    """Return the names of the frames that a method labelled."""
    return sorted(path.stem for path in (run / "labels" / method / video).iterdir())


def label(dataset: Dataset, run: Path, **options: Any) -> Outcome:
    """Label by motion alone, which trains nothing."""
    return autolabel(dataset, run, **{"horizon": 3, "methods": ["motion-only"], **options})


def test_a_video_is_labelled_in_a_few_lines_of_python(tiny_data: Path, tmp_path: Path) -> None:
    """Open a data set, label it, look at the scores and the labels."""
    from warprefine import autolabel, open_dataset

    data = open_dataset(tiny_data)
    outcome = autolabel(data, tmp_path / "run", horizon=3, methods=["motion-only", "oracle"])
    best = max(outcome.scores, key=lambda method: outcome.scores[method].miou)
    labels = sorted((tmp_path / "run/labels/motion-only").glob("*/*.png"))

    assert best == "oracle"
    assert len(labels) == 14
    assert outcome.run.report_path.is_file()


# what a whole run leaves


@pytest.mark.parametrize("method", METHODS)
def test_every_frame_in_reach_has_labels_and_confidence(runs: Any, tiny_data: Path, method: str) -> None:
    """Each method labels all frames of both videos at the size of the frames, and says how sure it is."""
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
    """What a person said has full confidence, and what was carried has less."""
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
        made = read_labels(runs.whole / f"labels/oracle/street-001/{stem}.png", classes)
        truth = read_labels(tiny_data / f"videos/street-001/truth/{stem}.png", classes)
        assert torch.equal(made, truth)
    assert json.loads((runs.whole / "metrics.json").read_text())["oracle"]["miou"] == 100


def test_scores_are_numbers_in_percent_by_method(runs: Any, tiny_data: Path) -> None:
    """metrics.json has one entry per method with the fields of MethodScores; metrics.csv has the rows."""
    metrics = json.loads((runs.whole / "metrics.json").read_text())
    classes = open_dataset(tiny_data).classes.names

    assert list(metrics) == list(METHODS)
    for scores in metrics.values():
        assert set(scores) == {field.name for field in fields(MethodScores)}
        assert set(scores["iou_by_class"]) == set(classes)
        assert scores["frames_by_distance"] == [4, 4, 4]
        assert len(scores["miou_by_distance"]) == 3
        assert all(0 <= share <= 100 for share in scores["miou_by_distance"])
        assert scores["miou"] == pytest.approx(np.mean(scores["miou_by_distance"]), abs=1e-3)
    rows = (runs.whole / "metrics.csv").read_text().splitlines()
    assert rows[0] == "method,distance,class,iou"
    assert len(rows) == 1 + len(METHODS) * 3 * len(classes)


def test_a_run_can_be_scored_again(runs: Any) -> None:
    """Its files say as much as the run itself did, to the four decimals that it wrote down."""
    again = evaluate_run(runs.whole)
    metrics = json.loads((runs.whole / "metrics.json").read_text())

    assert list(again) == list(metrics)
    for method, scores in again.items():
        assert scores.miou_by_distance == pytest.approx(metrics[method]["miou_by_distance"], abs=1e-4)
    assert evaluate_run(runs.whole, void_as_class=True)["motion-only"] != again["motion-only"]


def test_recipe_report_and_log_lie_beside_the_labels(runs: Any, tiny_recipe: Path) -> None:
    """The resolved recipe can be used again, the page shows what came out, the log what happened."""
    page = (runs.whole / "report.html").read_text()

    assert load_recipe(runs.whole / "recipe.toml") == load_recipe(tiny_recipe)
    assert "warp-refine" in page
    assert "RGB distance" in page
    assert (runs.whole / "log.txt").is_file()


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
    """From the first key frame only forwards, from the last only backwards, and no further than asked."""
    outcome = label(open_dataset(tiny_data, key_frames=key_frames), tmp_path / "run", horizon=horizon)

    assert labelled(tmp_path / "run") == reached
    assert outcome.failures == {}


def test_without_truth_there_are_labels_and_a_report_but_no_scores(data: Path, tmp_path: Path) -> None:
    """A user who has labelled a few frames and nothing else gets all the rest."""
    for video in ("street-000", "street-001"):
        shutil.rmtree(data / "videos" / video / "truth")

    outcome = label(open_dataset(data), tmp_path / "run")

    assert labelled(tmp_path / "run") == STEMS
    assert outcome.scores == {}
    assert not (tmp_path / "run/metrics.json").exists()
    assert "There is no truth to compare with" in (tmp_path / "run/report.html").read_text()


def test_one_key_frame_in_one_video_is_enough(data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """With a single labelled frame no fold can be held back, and all methods still run."""
    shutil.rmtree(data / "videos/street-001")

    outcome = autolabel(
        open_dataset(data), tmp_path / "run", horizon=1, methods=METHODS, recipe=load_recipe(tiny_recipe)
    )

    assert list(outcome.scores) == list(METHODS)
    for method in ("warp-refine", "warp-refine-plus"):
        assert labelled(tmp_path / "run", method) == STEMS[2:5]


def test_unless_told_otherwise_only_our_own_refiner_is_trained(
    tiny_data: Path, tmp_path: Path, tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The paper's methods, which want tau and a refiner of their own, are run where they are asked for."""
    reported: dict[str, Any] = {}
    monkeypatch.setattr("warprefine.jobs.autolabel.write_report", lambda path, **said: reported.update(said))
    run = tmp_path / "run"

    outcome = autolabel(open_dataset(tiny_data), run, horizon=1, recipe=load_recipe(tiny_recipe))

    assert list(outcome.scores) == ["motion-only", "semantic-only", "warp-refine-plus", "oracle"]
    assert (run / "checkpoints/side-refiner.safetensors").is_file()
    assert not (run / "checkpoints/refiner.safetensors").exists()
    assert not (run / "tau.json").exists()
    assert list(reported["curves"]) == ["segmenter: loss", "side-refiner: loss"]
    assert "tau" not in reported["facts"]


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

    outcome = label(open_dataset(data), tmp_path / "run")

    assert labelled(tmp_path / "run") == STEMS
    assert outcome.scores["motion-only"].miou_by_distance[0] > 60


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


def test_a_broken_clip_costs_only_itself(data: Path, tmp_path: Path) -> None:
    """The others are finished and scored, and once it is mended the same call finishes it too."""
    picture = data / "videos/street-000/frames/000005.jpg"
    sound = picture.read_bytes()
    picture.write_bytes(sound[:200])

    outcome = label(open_dataset(data), tmp_path / "run")

    assert list(outcome.failures) == ["street-000"]
    assert "000005.jpg" in outcome.failures["street-000"]
    assert labelled(tmp_path / "run", video="street-001") == STEMS
    assert not (tmp_path / "run/labels/motion-only/street-000").exists()
    assert "000005.jpg" in (tmp_path / "run/report.html").read_text()
    assert evaluate_run(tmp_path / "run") == outcome.scores

    picture.write_bytes(sound)
    mended = label(open_dataset(data), tmp_path / "run")

    assert mended.failures == {}
    assert labelled(tmp_path / "run") == STEMS
    assert mended.scores["motion-only"].frames == 2 * outcome.scores["motion-only"].frames
    assert evaluate_run(tmp_path / "run") == mended.scores


def test_a_clip_that_breaks_while_it_is_labelled_is_left_out_too(
    data: Path, tmp_path: Path, tiny_recipe: Path
) -> None:
    """A file that vanishes after the check is reported like one that was broken before."""
    started = start(open_dataset(data), tmp_path / "run", horizon=3)
    (data / "videos/street-001/frames/000000.jpg").unlink()

    from warprefine.jobs.autolabel import label as propagate_and_report

    outcome = propagate_and_report(started, ["motion-only"])

    assert list(outcome.failures) == ["street-001"]
    assert list(outcome.scores) == ["motion-only"]


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
        (lambda _: {"horizon": 7}, KeyFrameError, "horizon 7 lies beyond"),
        (lambda _: {"device": "quantum"}, DeviceError, "device 'quantum' cannot be used"),
        (
            with_other_classes,
            LabelError,
            "data has the classes heaven, .* needs the same classes in the same",
        ),
    ],
    ids=["method", "horizon", "device", "further classes"],
)
def test_a_mistake_can_be_mended_in_the_same_folder(
    tiny_data: Path, data: Path, tmp_path: Path, mistake: tuple[Any, type[Exception], str]
) -> None:
    """What is refused leaves no run behind that would stand in the way of the right one."""
    wrong, error, message = mistake
    with pytest.raises(error, match=message):
        label(open_dataset(tiny_data), tmp_path / "run", **wrong(data))

    assert label(open_dataset(tiny_data), tmp_path / "run").failures == {}


def test_the_folder_of_another_job_is_refused_before_the_data_are_read(data: Path, tmp_path: Path) -> None:
    """A run's folder belongs to its data set, horizon, seed and recipe."""
    label(open_dataset(data), tmp_path / "run")
    (data / "videos/street-000/frames/000005.jpg").write_bytes(b"")

    with pytest.raises(
        RunFolderError, match=r"run holds a run with seed = 0, but this command says 1; choose anot"
    ):
        label(open_dataset(data), tmp_path / "run", seed=1)


def test_a_run_with_nothing_to_label_claims_no_folder(data: Path, tmp_path: Path) -> None:
    """If every clip is broken, the folder is free for whatever comes next."""
    for picture in data.rglob("*.jpg"):
        picture.write_bytes(b"no picture")

    with pytest.raises(FrameError, match="all 2 videos are broken"):
        label(open_dataset(data), tmp_path / "run")

    assert not (tmp_path / "run/job.json").exists()


# scoring what is not there


def test_only_a_run_can_be_scored(tmp_path: Path) -> None:
    """A folder of something else is told apart, and left as it is."""
    with pytest.raises(
        RunFolderError, match=r"holds no job\.json; expected a folder made by `warprefine autolabel`"
    ):
        evaluate_run(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_run_without_labels_has_no_scores_yet(tiny_data: Path, tmp_path: Path) -> None:
    """A run that was only prepared says what is missing."""
    start(open_dataset(tiny_data), tmp_path / "run", horizon=3)

    with pytest.raises(
        RunFolderError, match=r"run holds no labels yet; run `warprefine autolabel` with the same"
    ):
        evaluate_run(tmp_path / "run")


def test_a_data_set_made_in_memory_cannot_be_opened_again(tiny_data: Path, tmp_path: Path) -> None:
    """Its scores are what `autolabel` returned, which the message says."""
    outcome = label(replace(open_dataset(tiny_data), origin={}), tmp_path / "run")

    assert outcome.scores["motion-only"].frames == 12
    with pytest.raises(
        RunFolderError, match=r"was made from a data set in memory, expected one opened by `open_"
    ):
        evaluate_run(tmp_path / "run")


def test_void_of_the_key_frame_is_carried_along(data: Path, tmp_path: Path) -> None:
    """What a person left unlabelled stays so where motion carries it."""
    dataset = open_dataset(data)
    path = data / "videos/street-000/labels/000003.png"
    with Image.open(path) as picture:
        picture.point(lambda index: VOID).save(path)

    label(dataset, tmp_path / "run")

    carried = read_labels(tmp_path / "run/labels/motion-only/street-000/000005.png", dataset.classes)
    assert bool((carried == VOID).all())
