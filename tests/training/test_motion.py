"""Tests of training/motion.py: motion learned without labels, from frames that are to be rebuilt."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine.core.video import Dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.checkpoints import Card, read_card
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.motion.dis import DISFlow
from warprefine.motion.loading import load_motion
from warprefine.motion.sdcnet import SDCNet
from warprefine.recipe.motion import MotionRecipe
from warprefine.recipe.optimisation import Optimisation
from warprefine.training.data.motion_samples import Footage
from warprefine.training.motion import loss_of, photometric_error, train_motion

QUICK = Optimisation(
    steps=4,
    batch=2,
    learning_rate=1e-3,
    weight_decay=0,
    warmup=0,
    average_decay=0,
    mixed_precision=False,
    checkpoint_every=2,
    validate_every=2,
)


class Still:
    """An estimator that finds no motion anywhere."""

    name = "still"

    def __call__(self, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        return torch.zeros(len(frame_b), 2, *frame_b.shape[-2:])


def quick(**changes: Any) -> MotionRecipe:
    """Return a recipe whose network is trained in a moment."""
    return MotionRecipe(**{"width": 0.05, "crop": (64, 64), "optimisation": QUICK, **changes})


def trained(path: Path, dataset: Dataset, recipe: MotionRecipe, **changes: Any) -> Card:
    """Train a network from no motion and return its card."""
    given = {"motion": Still(), "cache": ArrayCache(path.parent / "cache"), "device": torch.device("cpu")}
    train_motion(path, dataset=dataset, recipe=recipe, **{**given, **changes})
    return read_card(path)


@pytest.mark.parametrize(("starts_from_flow", "kernel_taps"), [(True, 0), (False, 0), (True, 5)])
def test_held_out_frames_are_rebuilt_better_after_training(
    tmp_path: Path, dataset: Dataset, starts_from_flow: bool, kernel_taps: int
) -> None:
    """In a few steps a network that starts from no motion learns enough to beat it on held-out frames."""
    longer = QUICK.model_copy(update={"steps": 60, "validate_every": 30, "learning_rate": 2e-3})
    recipe = quick(
        starts_from_flow=starts_from_flow, kernel_taps=kernel_taps, flip=0, reverse=0, optimisation=longer
    )

    error = trained(tmp_path / "motion.safetensors", dataset, recipe).facts["photometric"]

    assert error["after"] < 0.8 * error["before"]


def test_both_errors_are_recorded(tmp_path: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    """The card and the log hold the error of held-out frames before and after; the card, all the rest."""
    recipe = quick(frames=3, kernel_taps=3)
    path = tmp_path / "checkpoints" / "motion.safetensors"
    with caplog.at_level(logging.INFO):
        card = trained(path, dataset, recipe, seed=7)

    assert (card.part, card.network, card.class_names) == ("motion", "sdcnet", ())
    assert card.recipe == json.loads(recipe.model_dump_json())
    assert (card.facts["seed"], card.facts["motion"]) == (7, "still")
    assert card.facts["normalisation"] == {"mean": [0.0, 0.0], "std": pytest.approx([0.1, 0.1])}
    before, after = card.facts["photometric"]["before"], card.facts["photometric"]["after"]
    validated = [score for _, score in card.facts["history"]["validation"]]
    assert [step for step, _ in card.facts["history"]["validation"]] == [2, 4]
    assert after == pytest.approx(-max(validated), abs=1e-5)
    assert f"{before:.5f} before, {after:.5f} after" in caplog.text
    assert [file.name for file in path.parent.iterdir() if file.is_file()] == ["motion.safetensors"]


def test_the_first_error_is_that_of_the_given_flow(tmp_path: Path, dataset: Dataset) -> None:
    """DIS, which finds how the wall moves, begins far below an estimator that finds no motion."""
    errors = [
        trained(tmp_path / f"{motion.name}.safetensors", dataset, quick(), motion=motion).facts["photometric"]
        for motion in (Still(), DISFlow())
    ]

    assert errors[1]["before"] < 0.5 * errors[0]["before"]


@pytest.mark.parametrize(("reverse", "orders"), [(0.0, {True}), (0.5, {True, False})])
def test_motion_is_estimated_in_the_orders_that_are_shown(
    tmp_path: Path, dataset: Dataset, reverse: float, orders: set[bool]
) -> None:
    """Where no frames are shown backwards in time, nothing is trained, measured or estimated backwards."""
    trained(tmp_path / "motion.safetensors", dataset, quick(reverse=reverse))

    pairs = [path.stem.split("_")[:2] for path in (tmp_path / "cache").rglob("*.bin")]
    assert {b > a for b, a in pairs} == orders


@pytest.mark.parametrize("killed_at", [1, 3])
def test_a_killed_training_writes_the_same_file(tmp_path: Path, dataset: Dataset, killed_at: int) -> None:
    """The weights of a training that was killed and resumed are the same, byte for byte."""

    def kill(task: str, done: int, total: int, note: str = "") -> None:
        if done == killed_at:
            raise KeyboardInterrupt

    trained(tmp_path / "calm.safetensors", dataset, quick())
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed.safetensors", dataset, quick(), progress=kill)
    assert not (tmp_path / "killed.safetensors").exists()

    trained(tmp_path / "killed.safetensors", dataset, quick())

    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("calm", "killed")]
    assert files[0] == files[1]


def test_a_checkpoint_becomes_an_estimator(tmp_path: Path, dataset: Dataset) -> None:
    """What was trained is loaded with its settings, and named by its weights and by what it starts from."""
    path = tmp_path / "motion.safetensors"
    trained(path, dataset, quick(kernel_taps=3, input_motion="dis-fast"))

    motion = load_motion(str(path))

    assert motion.name == f"sdcnet-{fingerprint_of_file(path)}-dis-fast"
    frames = torch.zeros(1, 3, 40, 50, dtype=torch.uint8)
    assert motion(frames, frames).shape == (1, 2, 40, 50)


def test_pixels_that_come_from_outside_teach_nothing() -> None:
    """A pixel whose source lies beyond the border of the crop does not count, whatever it looks like."""
    network = SDCNet(2, width=0.05, starts_from_flow=True)
    frames = torch.randint(0, 256, (1, 2, 3, 64, 64), dtype=torch.uint8)
    flows = torch.zeros(1, 1, 2, 64, 64)
    flows[..., 0, :, :5] = -6
    changed = frames.clone()
    changed[:, 1, :, :, :5] = 0

    # The change is part of the input, but the output of the untrained network does not depend on it yet.
    losses = [loss_of(network, Footage(frames=shown, flows=flows), quick()) for shown in (frames, changed)]

    assert losses[0] == losses[1]
    changed[:, 1, :, :, 5:9] = 0
    assert loss_of(network, Footage(frames=changed, flows=flows), quick()) != losses[0]


def test_kernels_are_held_near_the_flow(dataset: Dataset) -> None:
    """What kernels differ from one in the middle adds to the loss, by the recipe's weight."""
    network = SDCNet(2, width=0.05, starts_from_flow=True, kernel_taps=3)
    footage = Footage(
        frames=torch.zeros(1, 2, 3, 64, 64, dtype=torch.uint8), flows=torch.zeros(1, 1, 2, 64, 64)
    )
    assert network.final_kernels is not None
    with torch.no_grad():
        network.final_kernels.vertical.bias[0] += 2

    assert loss_of(network, footage, quick(kernel_weight=0.5)).item() == pytest.approx(0.5 * 2**2)


def test_the_error_is_a_share_of_full_brightness() -> None:
    """Black for white is an error of 1."""
    assert photometric_error(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 255.0)) == 1


def test_kernels_in_a_recipe_have_a_middle() -> None:
    """An even length is refused where the recipe is read."""
    with pytest.raises(ValueError, match="an odd number has a middle"):
        MotionRecipe(kernel_taps=4)


def test_the_published_loss_counts_pixels_that_come_from_outside() -> None:
    """With it the same change beyond the border of the crop changes the loss."""
    network = SDCNet(2, width=0.05, starts_from_flow=True)
    frames = torch.randint(1, 256, (1, 2, 3, 64, 64), dtype=torch.uint8)
    flows = torch.zeros(1, 1, 2, 64, 64)
    flows[..., 0, :, :5] = -6
    changed = frames.clone()
    changed[:, 1, :, :, :4] = 0
    published = quick(ignore_outside=False)

    losses = [loss_of(network, Footage(frames=shown, flows=flows), published) for shown in (frames, changed)]

    assert losses[0] != losses[1]


def test_input_flow_is_kept_or_estimated_again(tmp_path: Path, dataset: Dataset) -> None:
    """Without it on disk, the same network comes of the training."""
    folders = {keep: tmp_path / keep for keep in ("flow", "nothing")}

    cards = {
        keep: trained(folder / "motion.safetensors", dataset, quick(), keep=keep)
        for keep, folder in folders.items()
    }

    assert list((folders["flow"] / "cache").rglob("*.bin"))
    assert not (folders["nothing"] / "cache").exists()
    assert cards["flow"].facts["history"]["loss"] == cards["nothing"].facts["history"]["loss"]
