"""Tests of jobs/rounds.py: segmenters learn from the pseudo-labels of the round before, if that helps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames
from warprefine.datasets import open_dataset
from warprefine.io.images import read_gray, read_labels
from warprefine.jobs import rounds
from warprefine.jobs.autolabel import autolabel
from warprefine.propagation.methods import PLUS
from warprefine.recipe.plus import RoundsSettings
from warprefine.recipe.recipe import Recipe, load_recipe

CONFIDENT = 0.5


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run of two rounds: where it lies, and the real scores of each trial."""

    data: Path
    last: Path
    trials: list[tuple[float, float]]

    @property
    def first(self) -> Path:
        return self.last / "rounds" / "1"


def twice(tiny_recipe: Path) -> Recipe:
    """Return the tiny recipe with two rounds."""
    once = load_recipe(tiny_recipe)
    return once.changed(("plus", "rounds"), RoundsSettings(count=2, confident=CONFIDENT))


def run(data: Path, out: Path, tiny_recipe: Path, *, helps: bool) -> Ran:
    """Run both rounds; whatever tiny networks are worth, the trial returns what `helps` asks for."""
    trials: list[tuple[float, float]] = []
    real = rounds._try_out

    def trial(*args: object, **settings: object) -> tuple[float, float]:
        trials.append(real(*args, **settings))  # type: ignore[arg-type]
        return 0.3, 0.4 if helps else 0.3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "_try_out", trial)
        autolabel(open_dataset(data), out, horizon=2, methods=[PLUS], recipe=twice(tiny_recipe))
    return Ran(data=data, last=out, trials=trials)


@pytest.fixture(scope="module")
def helped(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run in which learning from pseudo-labels helps."""
    return run(tiny_data, tmp_path_factory.mktemp("helped"), tiny_recipe, helps=True)


def test_what_helps_on_hidden_key_frames_is_used(helped: Ran) -> None:
    """The last round labels with segmenters that have learned, and trains a refiner beside them."""
    for name in ("segmenter", "segmenter-fold0", "segmenter-fold1", "two-sided-refiner"):
        path = f"checkpoints/{name}.safetensors"
        assert (helped.last / path).read_bytes() != (helped.first / path).read_bytes()
    assert json.loads((helped.first / "verdict.json").read_text()) == {
        "miou_before": 0.3,
        "miou_after": 0.4,
        "used": True,
    }


def test_the_trial_is_about_key_frames_that_were_hidden(helped: Ran) -> None:
    """Each fold's segmenter learns from pseudo-labels that were made without the fold's key frames."""
    (scores,) = helped.trials
    assert all(0 <= score <= 1 for score in scores)
    for fold, shown in ((0, "street-001"), (1, "street-000")):
        confident = helped.first / f"adapted/segmenter-fold{fold}/confident"
        assert [path.name for path in confident.iterdir()] == [shown]


def test_only_confident_labels_are_learned_from(helped: Ran) -> None:
    """Pseudo-labels below the recipe's confidence are VOID in the segmenter's training data."""
    classes = open_dataset(helped.data).classes
    (path, *others) = sorted((helped.first / "confident").rglob("*.png"))
    place = path.relative_to(helped.first / "confident")
    learned = read_labels(path, classes)
    pseudo_labels = read_labels(helped.first / "labels" / PLUS / place, classes)
    sure = read_gray(helped.first / "confidence" / PLUS / place) >= CONFIDENT

    assert len(others) == 7  # two clips, two frames on either side of the key frame
    assert torch.equal(learned[sure], pseudo_labels[sure])
    assert bool((learned[~sure] == 255).all())
    assert 0 < int(sure.sum()) < sure.numel()


def test_a_finished_run_is_left_as_it_is(helped: Ran, tiny_recipe: Path) -> None:
    """The same command again holds no trial, trains nothing and changes no label."""
    then = {path: path.stat().st_mtime_ns for path in helped.last.rglob("*.safetensors")}

    again = run(helped.data, helped.last, tiny_recipe, helps=True)

    assert not again.trials
    assert {path: path.stat().st_mtime_ns for path in helped.last.rglob("*.safetensors")} == then


def test_what_does_not_help_is_left_alone(tiny_data: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    """If hidden key frames are segmented no better, the labels are those of the round before."""
    ran = run(tiny_data, tmp_path, tiny_recipe, helps=False)

    written = sorted(path.relative_to(ran.first) for path in (ran.first / "labels").rglob("*.png"))
    assert written
    assert all((ran.last / path).read_bytes() == (ran.first / path).read_bytes() for path in written)
    assert not json.loads((ran.first / "verdict.json").read_text())["used"]


def test_a_segmenter_from_before_is_kept_with_a_warning(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Other labels of the run were made with it."""
    data, recipe = open_dataset(tiny_data), twice(tiny_recipe)
    autolabel(data, tmp_path, horizon=2, methods=["semantic-only"], recipe=recipe)
    path = tmp_path / "checkpoints" / "segmenter.safetensors"
    there = path.read_bytes()

    autolabel(data, tmp_path, horizon=2, methods=[PLUS], recipe=recipe)

    assert path.read_bytes() == there
    assert "has a segmenter already, so rounds = 2 changes nothing" in caplog.text


def test_the_segmenter_that_labels_is_the_last_to_be_taken_over(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its presence shows that all the others are there; a run that is killed before copies them again."""
    taken: list[str] = []
    real = rounds.copy_file

    def copy(source: Path, target: Path) -> None:
        taken.append(target.stem)
        real(source, target)

    monkeypatch.setattr(rounds, "copy_file", copy)

    run(tiny_data, tmp_path, tiny_recipe, helps=False)

    assert taken == ["segmenter-fold0", "segmenter-fold1", "two-sided-refiner", "segmenter"]


class Sure:
    """A segmenter that is sure of one class."""

    name, class_count, feature_channels = "sure", 11, 1

    def __call__(self, frames: Frames) -> Segmentation:
        logits = torch.zeros(frames.shape[0], 11, *frames.shape[-2:])
        logits[:, 2] = 9.0
        return Segmentation(logits=logits, features=frames[:, :1].float())


def test_a_supplied_segmenter_is_not_trained_in_rounds(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The labels are those of one round, and a warning tells that further rounds change nothing."""
    recipe = twice(tiny_recipe).changed(("plus", "refiner", "enabled"), False)

    finished = autolabel(
        open_dataset(tiny_data), tmp_path, horizon=2, methods=[PLUS], recipe=recipe, segmenter=Sure()
    )

    assert len(list(finished.labels("street-000"))) == 5
    assert not (tmp_path / "rounds").exists()
    assert "the segmenter sure is used as it is, so rounds = 2 changes nothing" in caplog.text
