"""Tests of jobs/stages.py: labels after a minute, better ones later, and never a frame without."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from warprefine import FinishedRun, autolabel, label_frames, load_recipe, open_dataset
from warprefine.core import time_limit
from warprefine.core.errors import RecipeError
from warprefine.core.stages import STAGES, Stage
from warprefine.io.frames import open_frames
from warprefine.io.images import read_labels
from warprefine.jobs import over_ranks
from warprefine.jobs.autolabel import label_in_stages
from warprefine.jobs.networks import Networks
from warprefine.jobs.stages import check_stage_name, due_stages, plan_passes
from warprefine.jobs.start import start
from warprefine.propagation.methods import PLUS
from warprefine.recipe.recipe import Recipe
from warprefine.recipe.stages import StageSettings
from warprefine.training.segmenter import load_segmenter


def times(folder: Path) -> dict[str, int]:
    """Return when each file below a folder was written."""
    return {path.as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


VIDEOS = ("street-000", "street-001")
FRAMES = (0, 1, 2, 4, 5, 6)


@dataclass(frozen=True)
class Staged:
    """A run that ended with stage first, one that ended with good, and how to start further ones."""

    first: Path
    good: Path
    words: tuple[str, ...]
    recipe: Recipe
    data: Path

    def relabelling(self, folder: Path) -> Path:
        """Return a run with labels of stage first and the networks of stage good."""
        shutil.copytree(self.first, folder)
        for name in ("checkpoints", "cache"):
            shutil.copytree(self.good / name, folder / name, dirs_exist_ok=True)
        return folder

    def label(self, folder: Path, until: Stage, **options: Any) -> FinishedRun:
        """Label in this process."""
        dataset = open_dataset(self.data)
        return autolabel(
            dataset, folder, horizon=3, methods=[PLUS], recipe=self.recipe, until=until, **options
        )


@pytest.fixture(scope="module")
def staged(
    tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory, processes_of_module: Any
) -> Staged:
    folder = tmp_path_factory.mktemp("stages")
    recipe = folder / "recipe.toml"
    recipe.write_text(tiny_recipe.read_text() + "\n[stages.first]\nenabled = true\n")
    words = ["autolabel", str(tiny_data), "--horizon=3", f"--recipe={recipe}", f"--method={PLUS}"]
    words += ["--threads=1"]
    first, good = folder / "first", folder / "good"
    calls = [([*words, "--until=first", f"--out={first}"], None), ([*words, f"--out={good}"], None)]
    assert [code for code, _ in processes_of_module(calls)] == [0, 0]
    return Staged(first=first, good=good, words=tuple(words), recipe=load_recipe(recipe), data=tiny_data)


def maps_of(folder: Path, video: str) -> dict[int, tuple[torch.Tensor, torch.Tensor, Stage | None]]:
    """Return labels, confidence and stage of each frame, as users of a run read them."""
    run = FinishedRun.open(folder)
    assert PLUS in run.methods
    return {one.frame: (one.labels, one.confidence, one.stage) for one in run.labels(video, PLUS)}


def assert_each_frame_is_of_its_stage(folder: Path, staged: Staged) -> list[Stage | None]:
    """Check that labels and confidence of each frame are those of the recorded stage; return the stages."""
    stages = []
    for video in VIDEOS:
        wanted = {"first": maps_of(staged.first, video), "good": maps_of(staged.good, video)}
        found = maps_of(folder, video)
        assert sorted(found) == list(range(7))
        for frame, (labels, confidence, stage) in found.items():
            right = wanted[stage or "good"][frame]
            assert torch.equal(labels, right[0])
            assert torch.equal(confidence, right[1])
            stages.append(stage)
    return stages


def test_each_stage_ends_in_complete_labels_and_a_report(staged: Staged) -> None:
    """Stage first has labels, confidence, scores and a report; its networks lie in a folder of its own."""
    run = FinishedRun.open(staged.first)

    assert run.methods == (PLUS,)
    assert run.stages == {"first": 12}
    assert "stage first" in str(run)
    assert set(run.evaluate()) == {PLUS}
    assert "stage first" in (staged.first / "report.html").read_text()
    assert json.loads((staged.first / "metrics.json").read_text())[PLUS]["frames_by_stage"] == {"first": 12}
    weights = [path.relative_to(staged.first).as_posix() for path in staged.first.rglob("*.safetensors")]
    assert weights == ["stages/first/checkpoints/segmenter.safetensors"]


def test_a_later_stage_replaces_all_labels(staged: Staged) -> None:
    """The labels of stage good differ from those of stage first, and say so frame by frame."""
    run = FinishedRun.open(staged.good)

    assert run.stages == {"good": 12}
    first, good = (maps_of(folder, VIDEOS[0]) for folder in (staged.first, staged.good))
    assert {good[frame][2] for frame in FRAMES} == {"good"}
    assert good[3][2] is None
    assert any(not torch.equal(first[frame][1], good[frame][1]) for frame in FRAMES)


MOMENTS = (
    ("os.rename", f"labels/{PLUS}/street-001", 3),  # the second frame is being written
    ("os.rename", f"labels/{PLUS}/street-001", 4),  # it is recorded, and not in its place
    ("os.rename", f"confidence/{PLUS}/street-001", 4),  # its labels are in their place, its confidence not
)


def test_a_killed_run_has_each_frame_of_one_stage_and_the_manifest_tells_which(
    staged: Staged, tmp_path: Path, processes: Callable[..., list[tuple[int, int]]]
) -> None:
    """Killed in the middle of replacing labels, at any moment; the same command ends as if undisturbed."""
    killed = [staged.relabelling(tmp_path / f"run{number}") for number in range(len(MOMENTS))]
    calls = [
        ([*staged.words, f"--out={folder}"], moment) for folder, moment in zip(killed, MOMENTS, strict=True)
    ]

    codes = [code for code, _ in processes(calls)]

    assert codes == [-signal.SIGKILL] * len(MOMENTS)
    for folder, replaced in zip(killed, (7, 8, 8), strict=True):
        stages = assert_each_frame_is_of_its_stage(folder, staged)
        assert stages.count("good") == replaced
        assert stages.count("first") == 12 - replaced
        assert set(FinishedRun.open(folder).evaluate()) == {PLUS}
    codes = [code for code, _ in processes([(words, None) for words, _ in calls])]
    assert codes == [0] * len(MOMENTS)
    for folder in killed:
        assert set(assert_each_frame_is_of_its_stage(folder, staged)) == {"good", None}
        assert not (folder / "arriving").exists()
        assert (folder / "metrics.json").read_bytes() == (staged.good / "metrics.json").read_bytes()


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second whenever somebody looks whether time is up."""
    clock = itertools.count()
    monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))


@pytest.mark.usefixtures("ticking")
def test_a_time_limit_ends_between_two_frames(
    staged: Staged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is labelled by then stays, and report and scores tell of both stages."""
    folder = staged.relabelling(tmp_path / "run")
    options: dict[str, Any] = {"horizon": 3, "recipe": staged.recipe, "until": "good"}
    networks = Networks(start(open_dataset(staged.data), folder, **options))

    finished = label_in_stages(networks, [PLUS], until="good", deadline=3.0)

    assert finished.stages == {"first": 8, "good": 4}
    assert (
        "the time limit is over: 12 frames are labelled: 8 frames of stage first, 4 frames of stage good; "
        "run the same command again, it goes on from there"
    ) in caplog.messages
    assert "8 frames of stage first, 4 frames of stage good" in (folder / "report.html").read_text()
    scores = json.loads((folder / "metrics.json").read_text())
    assert scores[PLUS]["frames_by_stage"] == {"first": 8, "good": 4}
    assert_each_frame_is_of_its_stage(folder, staged)

    assert staged.label(folder, "good").stages == {"good": 12}
    assert set(assert_each_frame_is_of_its_stage(folder, staged)) == {"good", None}


@pytest.mark.usefixtures("ticking")
def test_a_time_limit_ends_a_training_after_a_step_and_saves_its_state(
    staged: Staged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing is labelled by then there are no labels, and the same call goes on."""
    folder = tmp_path / "run"
    networks = Networks(start(open_dataset(staged.data), folder, horizon=3, recipe=staged.recipe))

    finished = label_in_stages(networks, [PLUS], until="first", deadline=0.0)

    assert (finished.methods, finished.stages, finished.scores) == ((), {}, {})
    assert "no labels" in str(finished)
    assert any("no frame is labelled yet; run the same command again" in line for line in caplog.messages)
    assert (folder / "stages/first/checkpoints/segmenter.state").exists()
    assert not (folder / "report.html").exists()

    assert staged.label(folder, "first").stages == {"first": 12}


def test_ctrl_c_says_which_stage_the_labels_are_from(
    staged: Staged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note of the exception, which commands print."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    folder = staged.relabelling(tmp_path / "run")
    monkeypatch.setattr(over_ranks, "propagate", stop)

    with pytest.raises(KeyboardInterrupt) as stopped:
        staged.label(folder, "good")

    assert stopped.value.__notes__ == ["12 frames are labelled: stage first"]


def test_a_segmenter_of_ones_own_is_used_in_stage_first_too(staged: Staged, tmp_path: Path) -> None:
    """Nothing is trained for it then."""
    path = staged.good / "checkpoints/segmenter.safetensors"
    dataset = open_dataset(staged.data)
    segmenter, _ = load_segmenter(path, dataset.classes, torch.device("cpu"), mirrored=False)

    finished = autolabel(
        dataset,
        tmp_path / "run",
        horizon=1,
        methods=[PLUS],
        recipe=staged.recipe,
        segmenter=segmenter,
        until="first",
    )

    assert finished.stages == {"first": 4}
    assert list((tmp_path / "run").rglob("*.safetensors")) == []


def test_frames_in_memory_are_labelled_until_a_stage_or_a_time(staged: Staged) -> None:
    """The result tells the stage of each frame, and has those that were labelled by then."""
    dataset = open_dataset(staged.data)
    video = dataset.videos[0]
    with open_frames(video) as source:
        frames = [source[k][0].permute(1, 2, 0).numpy() for k in range(len(video))]
    key_labels = {3: read_labels(video.labels[3], dataset.classes)[0].numpy()}
    options: dict[str, Any] = {"class_names": dataset.classes.names, "recipe": staged.recipe, "horizon": 1}

    with label_frames(frames, key_labels, until="first", **options) as result:
        assert result.stages == {2: "first", 4: "first"}
        assert list(result.labels) == [2, 3, 4]
    with label_frames(frames, key_labels, time_limit=0.001, **options) as nothing:
        assert (dict(nothing.stages), list(nothing.labels), list(nothing.confidence)) == ({}, [], [])


def test_nothing_is_downgraded(staged: Staged, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A call for an earlier stage than the one that is finished changes no label, and says so."""
    folder = tmp_path / "run"
    shutil.copytree(staged.good, folder)
    before = times(folder / "labels")

    finished = staged.label(folder, "first")

    assert finished.stages == {"good": 12}
    assert times(folder / "labels") == before
    assert any("of stage good already, and none becomes one of stage first" in m for m in caplog.messages)


def test_best_goes_on_from_good(staged: Staged, tmp_path: Path) -> None:
    """It has networks of its own; those of good stay, and so do its labels when good is asked for again."""
    folder = tmp_path / "run"
    shutil.copytree(staged.good, folder)
    networks = times(folder / "checkpoints")

    assert staged.label(folder, "best").stages == {"best": 12}

    assert times(folder / "checkpoints") == networks
    assert (folder / "stages/best/checkpoints/two-sided-refiner.safetensors").exists()
    assert (folder / "stages/best/rounds/1/verdict.json").exists()
    before = times(folder / "labels")
    assert staged.label(folder, "good").stages == {"best": 12}
    assert times(folder / "labels") == before


def test_other_methods_belong_to_stage_good(
    staged: Staged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Until stage first they are left out, which is said; alone they have no stages."""
    folder = tmp_path / "run"
    shutil.copytree(staged.first, folder)
    options: dict[str, Any] = {"horizon": 3, "recipe": staged.recipe}

    first = autolabel(
        open_dataset(staged.data), folder, methods=["motion-only", PLUS], until="first", **options
    )
    assert first.methods == (PLUS,)
    assert "motion-only: labelled from stage good on (--until good)" in caplog.messages

    other = autolabel(
        open_dataset(staged.data), tmp_path / "other", methods=["motion-only"], until="first", **options
    )
    assert (other.methods, other.stages) == (("motion-only",), {})


def test_a_stage_that_is_off_cannot_be_asked_for(tiny_data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """The message says how to switch it on."""
    with pytest.raises(RecipeError, match=r"no stage 'first' \(enabled = false under \[stages\.first"):
        autolabel(tiny_data, tmp_path / "run", recipe=load_recipe(tiny_recipe), until="first")


def test_a_quick_segmenter_that_cannot_be_had_is_no_obstacle(
    staged: Staged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Stage first is left out then, and said to be; asked for, it is an error before anything is written."""
    settings = StageSettings(changes={"segmenter.network": "lite0-frozen", "segmenter.pretrained": False})
    recipe = staged.recipe.changed(("stages", "first"), settings)
    networks = Networks(start(open_dataset(staged.data), tmp_path / "run", horizon=3, recipe=recipe))

    assert [one.stage for one in plan_passes(networks, [PLUS], until="good")] == ["good"]

    assert any(message.startswith("stage first is left out: the trunk of") for message in caplog.messages)
    with pytest.raises(RecipeError, match="the trunk of 'lite0-frozen' is not trained, so it needs weights"):
        autolabel(staged.data, tmp_path / "other", horizon=3, recipe=recipe, until="first")
    assert not (tmp_path / "other/job.json").exists()


def test_where_the_networks_of_good_are_there_no_other_labels_come_first(
    staged: Staged, tmp_path: Path
) -> None:
    """As in a run that was labelled with `warprefine propagate`."""
    folder = staged.relabelling(tmp_path / "run")
    (folder / "stages.json").unlink()
    networks = Networks(start(open_dataset(staged.data), folder, horizon=3, recipe=staged.recipe))

    assert [one.stage for one in plan_passes(networks, [PLUS], until="good")] == ["good"]


def test_a_stage_of_another_name_has_the_nearest_one() -> None:
    """From Python, where nobody checks types."""
    with pytest.raises(RecipeError, match="no stage is called 'bets'; did you mean 'best'"):
        check_stage_name("bets")


@pytest.mark.parametrize(
    ("until", "reached", "due"),
    [
        ("first", None, ("first",)),
        ("good", "first", ("good",)),
        ("best", None, ("first", "good", "best")),
        ("best", "first", ("good", "best")),
        ("good", "best", ("best",)),
        ("first", "first", ("first",)),
    ],
)
def test_stages_go_on_from_the_one_that_is_reached(
    until: Stage, reached: Stage | None, due: tuple[Stage, ...]
) -> None:
    """No stage is run twice, but for the last one, which looks whether data have changed."""
    assert due_stages(Recipe(), until=until, reached=reached) == due


def test_a_stage_that_is_off_is_passed_over() -> None:
    """Stage good is then the first one."""
    recipe = Recipe().changed(("stages", "first", "enabled"), False)

    assert due_stages(recipe, until="best", reached=None) == STAGES[1:]
