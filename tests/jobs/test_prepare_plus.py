"""Tests of jobs/prepare_plus.py: what warp-refine-plus needs is made once, and only what is asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine import Dataset, Recipe, load_recipe, open_dataset
from warprefine.core.errors import RecipeError
from warprefine.core.tensors import Flow, Frames
from warprefine.io.checkpoints import load_weights, read_card, save_checkpoint
from warprefine.jobs import prepare_plus
from warprefine.jobs.autolabel import start
from warprefine.jobs.prepare_plus import PlusPreparation
from warprefine.motion import MOTIONS
from warprefine.training.key_frame_pool import KeyFramePool
from warprefine.training.samples import labelled_frames
from warprefine.training.side_refiner import build_side_refiner
from warprefine.training.still_pool import StillPool

Prepare = Callable[..., PlusPreparation]
HOLDOUT_EVERY = 2


def with_plus(recipe: Recipe, refiner: dict[str, Any], **plus: Any) -> Recipe:
    """Change settings under [plus] and [plus.refiner]."""
    changes = {**plus, "refiner": recipe.plus.refiner.model_copy(update=refiner)}
    return recipe.model_copy(update={"plus": recipe.plus.model_copy(update=changes)})


@pytest.fixture(scope="module")
def trained(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which everything was made."""
    run = tmp_path_factory.mktemp("plus") / "run"
    started = start(open_dataset(tiny_data), run, horizon=3, recipe=load_recipe(tiny_recipe))
    PlusPreparation(preparation=started.preparation).refiner()
    return run


@pytest.fixture
def prepare(trained: Path, tiny_data: Path, tiny_recipe: Path, tmp_path: Path) -> Prepare:
    """A function that starts a run of other settings with the weights of `trained`, as far as wanted."""

    def prepared(*weights: str, refiner: dict[str, Any] | None = None, **plus: Any) -> PlusPreparation:
        recipe = with_plus(load_recipe(tiny_recipe), refiner or {}, **plus)
        run = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        preparation = start(open_dataset(tiny_data), run, horizon=3, recipe=recipe).preparation
        (run / "checkpoints").mkdir()
        for name in weights:
            for path in (trained / "checkpoints").glob(f"{name}.safetensors"):
                shutil.copy(path, run / "checkpoints")
        return PlusPreparation(preparation=preparation)

    return prepared


def checkpoints(plus: PlusPreparation) -> list[str]:
    return sorted(path.stem for path in (plus.preparation.run.root / "checkpoints").iterdir())


def made_sides(plus: PlusPreparation) -> list[str]:
    """Return the names of the sides that were made, by video and file."""
    folder = plus.preparation.run.cache / "side"
    return sorted("/".join(path.relative_to(folder).parts[1:]) for path in folder.rglob("*.bin"))


# trained once


def test_the_refiner_is_trained_once(
    prepare: Prepare, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the same wherever it is trained, and where its weights lie they are used as they are."""
    anew, found = prepare("segmenter*"), prepare("*")
    _, of_anew = anew.refiner()
    monkeypatch.setattr(prepare_plus, "train_side_refiner", None)

    _, of_found = found.refiner()

    assert of_anew == of_found == anew.refiner()[1]
    path = anew.preparation.run.checkpoint_path("side-refiner")
    assert path.read_bytes() == (trained / "checkpoints/side-refiner.safetensors").read_bytes()
    assert list(path.parent.glob("*.state")) == []


def test_a_checkpoint_says_what_it_was_trained_with(trained: Path, tiny_recipe: Path) -> None:
    """Recipe, seed, curve, and how sides were made lie in the file of the weights."""
    card = read_card(trained / "checkpoints/side-refiner.safetensors")

    assert card.part == "side-refiner"
    assert card.recipe == load_recipe(tiny_recipe).plus.refiner.model_dump(mode="json")
    assert card.facts["seed"] == 0
    assert len(card.facts["history"]["loss"]) > 0
    assert card.facts["ways"] == load_recipe(tiny_recipe).plus.way_settings


@pytest.mark.parametrize(
    "changes",
    [
        {"slack": 2.0},
        {"trust": "none"},
        {"soft": False},
        {"carry": "steps"},
        {"reach": 5},
        {"sides": 1},
        {"smoothing": 0.0},
        {"refine": False},
        {"refiner": {"mirrored": False}},
    ],
    ids=str,
)
def test_labels_are_made_anew_when_a_setting_changes(prepare: Prepare, changes: dict[str, Any]) -> None:
    """Whatever the labels depend on is part of their fingerprint."""
    assert prepare("*", **changes).job().fingerprint != prepare("*").job().fingerprint


@pytest.mark.parametrize(
    "changes", [{"stills": 5}, {"variants": 3}, {"refiner": {"real_share": 0.5}}], ids=str
)
def test_what_only_a_training_asks_for_leaves_labels_alone(prepare: Prepare, changes: dict[str, Any]) -> None:
    """The weights say already what the refiner was taught on; equal weights make equal labels."""
    assert prepare("*", **changes).job().fingerprint == prepare("*").job().fingerprint


def test_labels_are_made_anew_when_the_weights_change(prepare: Prepare) -> None:
    """Two refiners of one recipe are two refiners."""
    plus, other = prepare("*"), prepare("*")
    path = other.preparation.run.checkpoint_path("side-refiner")
    card = read_card(path)
    network = build_side_refiner(
        other.recipe.refiner,
        class_count=len(card.class_names),
        feature_channels=card.settings["feature_channels"],
        seed=0,
    )
    load_weights(path, network)
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    save_checkpoint(path, network, card)

    assert other.job().fingerprint != plus.job().fingerprint


# only what is asked for


def test_a_vote_trains_no_refiner(prepare: Prepare) -> None:
    """Nor the folds' segmenters, which only a refiner learns beside."""
    plus = prepare(refine=False)

    assert plus.job().setting.refiner is None
    assert checkpoints(plus) == ["segmenter"]
    assert made_sides(plus) == []


def test_no_clips_are_made_of_stills_where_none_are_wanted(prepare: Prepare) -> None:
    """With a share of 0 the refiner learns from key frames alone."""
    usual = prepare("segmenter*", refiner={"synthetic_share": 0.3})
    without = prepare("segmenter*")
    usual.refiner()
    without.refiner()

    assert [name for name in made_sides(without) if "film" in name] == []
    assert made_sides(without) == [name for name in made_sides(usual) if "film" not in name] != []
    assert len(made_sides(usual)) == len(made_sides(without)) + 2 * usual.recipe.variants


@pytest.mark.parametrize(
    ("refiner", "expected"),
    [
        ({}, [(KeyFramePool, 0.5), (KeyFramePool, 0.5)]),
        (
            {"synthetic_share": 0.3},
            [(KeyFramePool, 0.35), (KeyFramePool, 0.35), (StillPool, 0.3)],
        ),
        ({"segmenters": "seen", "synthetic_share": 0.3}, [(KeyFramePool, 0.7), (StillPool, 0.3)]),
        ({"segmenters": "unseen"}, [(KeyFramePool, 1.0)]),
        ({"synthetic_share": 1.0}, [(StillPool, 1.0)]),
    ],
    ids=str,
)
def test_samples_are_drawn_as_often_as_the_recipe_says(
    prepare: Prepare, refiner: dict[str, Any], expected: list[tuple[type, float]]
) -> None:
    """Key frames seen beside either kind of segmenter share what single pictures leave."""
    pools = prepare("segmenter*", refiner=refiner)._pools()

    assert [type(pool) for pool, _ in pools] == [kind for kind, _ in expected]
    assert [share for _, share in pools] == pytest.approx([share for _, share in expected])


def test_without_stills_key_frames_take_their_share(prepare: Prepare) -> None:
    """A recipe that allows no single picture still draws all its samples."""
    pools = prepare("segmenter*", stills=0, refiner={"synthetic_share": 0.3})._pools()

    assert [share for _, share in pools] == [0.5, 0.5]


# further data


@pytest.fixture
def further(data: Path) -> Dataset:
    """Eight labelled pictures, in videos that are called like those to be labelled."""
    return open_dataset(data, key_frames="0::2")


def with_further(prepare: Prepare, further: Dataset, **plus: Any) -> PlusPreparation:
    """Give a run further data, of which one picture in `HOLDOUT_EVERY` is held out."""
    made = prepare(**plus)
    teachers = made.preparation.teachers
    settings = teachers.recipe.model_copy(update={"holdout_every": HOLDOUT_EVERY})
    changed = replace(teachers, also_train=[further], recipe=settings)
    return replace(made, preparation=replace(made.preparation, teachers=changed))


def test_of_further_data_only_what_was_held_out_is_a_still(prepare: Prepare, further: Dataset) -> None:
    """What a segmenter was trained on it knows too well: a refiner would learn to believe it."""
    stills = with_further(prepare, further, stills=99)._stills()

    held_out = labelled_frames(further)[HOLDOUT_EVERY // 2 :: HOLDOUT_EVERY]
    key_frames, others = stills[:2], stills[2:]
    assert [(still.video.name, still.frame) for still in key_frames] == [("street-000", 3), ("street-001", 3)]
    assert [still.video.name for still in others] == [f"further-0/{one.video.name}" for one in held_out]
    assert [still.label_path for still in others] == [one.label_path for one in held_out]


@pytest.mark.parametrize(("most", "expected"), [(99, [0, 1, 2, 3, 4, 5]), (2, [0, 3]), (4, [0, 1, 3, 4])])
def test_of_many_stills_some_are_taken_evenly(
    prepare: Prepare, further: Dataset, most: int, expected: list[int]
) -> None:
    """A limit leaves pictures of every origin."""
    everything = with_further(prepare, further, stills=99)._stills()

    assert with_further(prepare, further, stills=most)._stills() == [everything[i] for i in expected]


def test_videos_of_one_name_are_not_taken_for_one_another(prepare: Prepare, further: Dataset) -> None:
    """What is kept of further data lies in a folder of its own, beside that of the videos."""
    plus = with_further(prepare, further, stills=99, refiner={"synthetic_share": 0.3})
    plus.refiner()

    films = [name for name in made_sides(plus) if "film" in name]
    assert {name.rpartition("/")[0] for name in films} == {
        *("street-000", "street-001"),
        *("further-0/street-000", "further-0/street-001"),
    }
    assert len(films) == 6 * plus.recipe.variants
    assert {"segmenter-base", "segmenter", "side-refiner"} <= set(checkpoints(plus))


# flow straight to the key frame


class Rigid:
    """Motion that can only be asked for from one frame to the next: nothing moves."""

    name = "rigid"

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        return torch.zeros(frame_b.shape[0], 2, *frame_b.shape[-2:])


def test_long_range_wants_motion_that_can_begin_from_a_flow(
    prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other motion is refused before anything is claimed, and does where only neighbours are asked for."""
    monkeypatch.setitem(MOTIONS, "rigid", Rigid)

    with pytest.raises(
        RecipeError,
        match=r"long_range wants motion that can begin from a flow, but rigid cannot; set motion under",
    ):
        prepare(motion="rigid", long_range=True)
    assert list(tmp_path.rglob("job.json")) == []

    assert prepare(motion="rigid").motion().name == "rigid"
    assert prepare("*", long_range=True).job().setting.ways.long_range is not None
