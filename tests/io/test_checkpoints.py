"""Tests of io/checkpoints.py: weights come back to the bit, and wrong ones are refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError
from warprefine.io.checkpoints import (
    Card,
    begin_from,
    check_classes,
    fingerprint,
    load_weights,
    read_card,
    save_checkpoint,
)

CARD = Card(
    part="segmenter",
    network="compact",
    class_names=("road", "sky"),
    settings={"widths": [4, 8]},
    recipe={"steps": 3, "crop": [64, 96]},
    facts={"tau": 0.12, "history": {"loss": [[1, 0.5]]}},
)


class Trap:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def network(channels: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels), nn.ReLU())


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint of a small network."""
    save_checkpoint(tmp_path / "a.safetensors", network(), CARD)
    return tmp_path / "a.safetensors"


def test_weights_come_back_to_the_bit(tmp_path: Path) -> None:
    """A network filled from a checkpoint equals the saved one, counters included, whatever its layout."""
    saved, filled = network().to(memory_format=torch.channels_last), network()
    saved(torch.randn(2, 3, 8, 8))
    save_checkpoint(tmp_path / "a.safetensors", saved, CARD)

    load_weights(tmp_path / "a.safetensors", filled)

    wanted = saved.state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in filled.state_dict().items())
    assert filled.state_dict()["1.num_batches_tracked"] == 1


def test_a_card_says_what_the_weights_are(checkpoint: Path) -> None:
    """Network, classes, settings, recipe and facts are all there to build the network again."""
    assert read_card(checkpoint) == CARD


def test_the_same_weights_give_the_same_file(tmp_path: Path, checkpoint: Path) -> None:
    """A fingerprint tells whether weights are the same, not when they were saved."""
    twin, other = network(), network()
    load_weights(checkpoint, twin)
    save_checkpoint(tmp_path / "twin.safetensors", twin, CARD)
    save_checkpoint(tmp_path / "other.safetensors", other, CARD)

    assert fingerprint(checkpoint) == fingerprint(tmp_path / "twin.safetensors")
    assert fingerprint(checkpoint) != fingerprint(tmp_path / "other.safetensors")


def test_a_missing_checkpoint_is_told(tmp_path: Path) -> None:
    """Weights that are not there cannot be read, and the message says where they should be."""
    with pytest.raises(
        CheckpointError, match=r"no\.safetensors does not exist; train it first, or name another"
    ):
        read_card(tmp_path / "no.safetensors")
    with pytest.raises(CheckpointError, match=r"no\.safetensors is missing or damaged"):
        load_weights(tmp_path / "no.safetensors", network())


@pytest.mark.parametrize("kept", [0, 7, 300, -1])
def test_a_checkpoint_cut_short_is_told(checkpoint: Path, kept: int) -> None:
    """A file that lost its end is refused, wherever it was cut."""
    checkpoint.write_bytes(checkpoint.read_bytes()[:kept])

    with pytest.raises(
        CheckpointError, match="is not a checkpoint of warprefine, or it is damaged; expected"
    ):
        read_card(checkpoint)
    with pytest.raises(CheckpointError, match=r"is missing or damaged \(.*\); train it again or restore"):
        load_weights(checkpoint, network())


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"warprefine": "{"},
        {"warprefine": "[]"},
        {"warprefine": json.dumps({"class_names": ["road"]})},
        {"warprefine": json.dumps({**CARD.__dict__, "colour": "red"})},
        {"warprefine": json.dumps({**CARD.__dict__, "class_names": None})},
    ],
)
def test_weights_of_other_programs_are_told(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    """A file of weights without our card, or with one of another form, is no checkpoint of ours."""
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors", metadata=metadata)

    with pytest.raises(CheckpointError, match="is not a checkpoint of warprefine"):
        read_card(tmp_path / "other.safetensors")


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    """Naming the run folder instead of the file in it is told in one line."""
    with pytest.raises(CheckpointError, match="is not a checkpoint of warprefine"):
        read_card(tmp_path)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """A file that would run code when unpickled is refused, and its code is not run."""
    path, mark = tmp_path / "trap.safetensors", tmp_path / "sprung"
    path.write_bytes(pickle.dumps(Trap(mark)))

    with pytest.raises(CheckpointError, match="is not a checkpoint of warprefine"):
        read_card(path)
    with pytest.raises(CheckpointError, match="is missing or damaged"):
        load_weights(path, network())
    torch.save({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="is missing or damaged"):
        load_weights(path, network())

    assert not mark.exists()


def test_weights_of_another_shape_are_refused(checkpoint: Path) -> None:
    """Weights that do not fit are refused by name, and the network stays as it was."""
    wider = network(5)
    before = {key: value.clone() for key, value in wider.state_dict().items()}

    with pytest.raises(
        CheckpointError,
        match=r"does not fit the network: 0\.bias, 0\.weight, 1\.bias, .* and 1 more missing, left over",
    ):
        load_weights(checkpoint, wider)

    assert all(torch.equal(value, before[key]) for key, value in wider.state_dict().items())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3)), r"1\.bias, 1\.num_batches_tracked, 1\.running_mean"),
        (nn.Sequential(*network(), nn.Conv2d(4, 2, 1)), r"3\.bias, 3\.weight missing"),
    ],
    ids=["surplus", "missing"],
)
def test_missing_and_surplus_weights_are_refused(checkpoint: Path, other: nn.Module, message: str) -> None:
    """A network with fewer or more layers than were saved does not fit."""
    with pytest.raises(CheckpointError, match=f"does not fit the network: {message}"):
        load_weights(checkpoint, other)


def test_weights_of_other_classes_are_refused(checkpoint: Path) -> None:
    """A network that knows other classes, or these in another order, would mislabel everything."""
    colors = ((0, 0, 0), (9, 9, 9))
    check_classes(checkpoint, CARD, ClassSet(names=("road", "sky"), colors=colors))

    with pytest.raises(
        CheckpointError,
        match=r"trained for the classes road, sky \(2\), but the data set has sky, road \(2\); train anew",
    ):
        check_classes(checkpoint, CARD, ClassSet(names=("sky", "road"), colors=colors))


class Scored(nn.Module):
    """A trunk, and as many scores as there are classes."""

    def __init__(self, class_count: int, *, channels: int = 4) -> None:
        super().__init__()
        self.class_count = class_count
        self.trunk = network(channels)
        self.classifier = nn.Conv2d(channels, class_count, 1)


def test_a_training_may_begin_from_other_weights(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a network with other classes everything is taken over but their scores, and the log says so."""
    stored, begun = Scored(2), Scored(5)
    before = begun.classifier.weight.detach().clone()
    save_checkpoint(tmp_path / "a.safetensors", stored, CARD)

    with caplog.at_level("INFO"):
        begin_from(tmp_path / "a.safetensors", begun)

    assert torch.equal(begun.trunk[0].weight, stored.trunk[0].weight)
    assert torch.equal(begun.classifier.weight, before)
    assert "knows 2 classes; anew: classifier.bias, classifier.weight" in caplog.text


def test_a_trunk_alone_is_enough_to_begin_from(tmp_path: Path) -> None:
    """Weights of a trunk go to the trunk, and nowhere else."""
    stored, begun = network(), Scored(5)
    save_checkpoint(tmp_path / "a.safetensors", stored, replace(CARD, part="trunk"))

    begin_from(tmp_path / "a.safetensors", begun)

    assert torch.equal(begun.trunk[0].weight, stored[0].weight)


@pytest.mark.parametrize(
    ("part", "target", "words"),
    [
        ("trunk", network(), r"holds a trunk \(compact\), but the network of the recipe has none"),
        ("trunk", Scored(5, channels=6), r"does not fit the network: .*it holds the trunk compact"),
        ("segmenter", network(8), r"does not fit the network: .*it holds the segmenter compact"),
    ],
)
def test_weights_of_another_network_are_nothing_to_begin_from(
    tmp_path: Path, part: str, target: nn.Module, words: str
) -> None:
    """What is not there, or of another shape inside, is refused."""
    stored = network() if part == "trunk" else Scored(2)
    save_checkpoint(tmp_path / "a.safetensors", stored, replace(CARD, part=part))

    with pytest.raises(CheckpointError, match=words):
        begin_from(tmp_path / "a.safetensors", target)
