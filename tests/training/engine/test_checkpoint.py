"""Tests of training/engine/checkpoint.py: trainings that end in a checkpoint and leave nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from warprefine.io.checkpoints import Card, load_weights, read_card
from warprefine.recipe.optimisation import Optimisation
from warprefine.training.engine.checkpoint import is_trained, train_to_checkpoint

FEW = Optimisation(steps=6, learning_rate=0.05, optimiser="sgd", warmup=0, checkpoint_every=2)


def card_of(history: dict[str, Any]) -> Card:
    return Card(
        part="segmenter",
        network="small",
        class_names=("road", "car"),
        settings={"width": 4},
        recipe=FEW.model_dump(mode="json"),
        facts={"history": history},
    )


def small() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout2d(0.3), nn.Conv2d(4, 2, 1))


def batch_at(step: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(step).normal(size=(2, 3, 8, 8)).astype(np.float32))


def trained(path: Path, *, card: Callable[[dict[str, Any]], Card] = card_of, **further: Any) -> nn.Module:
    network = small()
    train_to_checkpoint(
        path,
        network,
        FEW,
        batch_at=batch_at,
        loss_of=lambda batch: network(batch).square().mean(),
        card=card,
        **further,
    )
    return network


def stop_at(step: int) -> Callable[..., None]:
    def stop(task: str, done: int, total: int, note: str = "") -> None:
        if done == step:
            raise KeyboardInterrupt

    return stop


def test_weights_and_card_are_written(tmp_path: Path) -> None:
    """The checkpoint holds the trained weights, and the card that was built from the history."""
    histories: list[dict[str, Any]] = []

    def card(history: dict[str, Any]) -> Card:
        histories.append(history)
        return card_of(history)

    network = trained(tmp_path / "a.safetensors", card=card, validate=lambda network: 0.5)

    read = small()
    load_weights(tmp_path / "a.safetensors", read)
    assert all(torch.equal(v, read.state_dict()[k]) for k, v in network.state_dict().items())
    assert not network.training
    assert read_card(tmp_path / "a.safetensors") == card_of(histories[0])
    assert len(histories) == 1
    assert histories[0]["validation"] == [[6, 0.5]]


def test_the_state_is_removed(tmp_path: Path) -> None:
    """Once the checkpoint is written, nothing else is left in its folder."""
    trained(tmp_path / "a.safetensors")

    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("killed_at", [1, 3, 6])
def test_a_killed_training_continues(tmp_path: Path, killed_at: int) -> None:
    """Killed anywhere and started again, a training writes the very bytes of an undisturbed one."""
    undisturbed, killed = tmp_path / "undisturbed.safetensors", tmp_path / "killed.safetensors"
    trained(undisturbed, seed=3)
    with pytest.raises(KeyboardInterrupt):
        trained(killed, seed=3, progress=stop_at(killed_at))
    assert not killed.exists()
    steps: list[int] = []

    trained(killed, seed=3, progress=lambda task, done, total, note="": steps.append(done))

    assert steps == list(range(killed_at - (killed_at - 1) % 2, 7))
    assert killed.read_bytes() == undisturbed.read_bytes()


def test_a_trained_network_is_not_trained_again(tmp_path: Path) -> None:
    """Killed between its last step and the checkpoint, a training only writes what it had trained."""

    def kill(history: dict[str, Any]) -> Card:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "a.safetensors", card=kill)
    assert (tmp_path / "a.state").exists()
    steps: list[int] = []

    trained(tmp_path / "a.safetensors", progress=lambda task, done, total, note="": steps.append(done))

    assert steps == []
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_first_rank_writes_and_all_wait(two_ranks: list[dict[str, Any]]) -> None:
    """Of two ranks one builds the card, and both find the checkpoint alone when they go on."""
    first, second = (rank["a_checkpoint_of_two_ranks"] for rank in two_ranks)

    assert first == {"cards": 1, "written": True, "state": False}
    assert second == {"cards": 0, "written": True, "state": False}


def test_a_state_beside_a_finished_checkpoint_is_removed(tmp_path: Path) -> None:
    """A process that was killed between the two left it; without a checkpoint the state is needed."""
    path = tmp_path / "small.safetensors"
    path.with_suffix(".state").touch()
    assert not is_trained(path)
    assert path.with_suffix(".state").exists()

    path.touch()

    assert is_trained(path)
    assert not path.with_suffix(".state").exists()
