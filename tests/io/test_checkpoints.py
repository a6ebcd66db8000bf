"""Tests of io/checkpoints.py: weights come back to the bit, and wrong ones are refused."""

from __future__ import annotations

import json
import mmap
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.core.network_spec import NetworkSpec
from warprefine.io.checkpoints import (
    Card,
    begin_from,
    check_classes,
    check_part,
    differing_shapes,
    fact_of,
    load_network,
    load_weights,
    own_memory,
    read_card,
    save_checkpoint,
    weights_fingerprint,
)
from warprefine.io.fingerprints import fingerprint_of_file

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


def test_a_card_describes_the_weights(checkpoint: Path) -> None:
    """Network, classes, settings, recipe and facts are all there to build the network again."""
    assert read_card(checkpoint) == CARD


def test_the_same_weights_give_the_same_file(tmp_path: Path, checkpoint: Path) -> None:
    """A fingerprint depends on the weights, not on when they were saved."""
    twin, other = network(), network()
    load_weights(checkpoint, twin)
    save_checkpoint(tmp_path / "twin.safetensors", twin, CARD)
    save_checkpoint(tmp_path / "other.safetensors", other, CARD)

    assert fingerprint_of_file(checkpoint) == fingerprint_of_file(tmp_path / "twin.safetensors")
    assert fingerprint_of_file(checkpoint) != fingerprint_of_file(tmp_path / "other.safetensors")


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    """Weights that do not exist cannot be read, and the message has their path."""
    with pytest.raises(
        CheckpointError, match=r"no\.safetensors does not exist; train it first, or name another"
    ):
        read_card(tmp_path / "no.safetensors")
    with pytest.raises(CheckpointError, match=r"no\.safetensors is missing or damaged"):
        load_weights(tmp_path / "no.safetensors", network())


@pytest.mark.parametrize("kept", [0, 7, 300, -1])
def test_a_checkpoint_cut_short_is_refused(checkpoint: Path, kept: int) -> None:
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
        {"warprefine": json.dumps({**CARD.__dict__, "class_names": ["road", 7]})},
        {"warprefine": json.dumps({**CARD.__dict__, "class_names": ["road"] * 256})},
        {"warprefine": json.dumps({**CARD.__dict__, "part": None})},
        {"warprefine": json.dumps({**CARD.__dict__, "settings": [1]})},
        {"warprefine": "7"},
        {"warprefine": "[" * 100_000},
        {"warprefine": json.dumps(CARD.__dict__).replace("0.12", "9" * 5000)},
    ],
)
def test_weights_of_other_programs_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    """A file of weights without our card, or with one of another form, is no checkpoint of ours."""
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors", metadata=metadata)

    with pytest.raises(CheckpointError, match="is not a checkpoint of warprefine"):
        read_card(tmp_path / "other.safetensors")


def test_a_pipe_is_no_checkpoint(tmp_path: Path) -> None:
    """What would be waited for without end is refused."""
    os.mkfifo(tmp_path / "pipe.safetensors")

    with pytest.raises(CheckpointError, match="is not a checkpoint of warprefine"):
        read_card(tmp_path / "pipe.safetensors")
    with pytest.raises(CheckpointError, match=r"is missing or damaged \(it is no regular file\)"):
        load_weights(tmp_path / "pipe.safetensors", network())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    """Labels of a network with NaN are all of one class; the tensor is named instead."""
    broken = network()
    broken.get_parameter("1.weight").data[2] = bad
    save_checkpoint(tmp_path / "a.safetensors", broken, CARD)

    with pytest.raises(CheckpointError, match=r"a\.safetensors has values that are not finite in 1\.weight"):
        load_weights(tmp_path / "a.safetensors", network())


def test_a_fact_has_the_type_that_is_expected() -> None:
    """What a training should have recorded, and did not, is told."""
    assert fact_of(Path("a"), CARD, "tau", float) == 0.12
    with pytest.raises(CheckpointError, match="a records no float called scale; train it again"):
        fact_of(Path("a"), CARD, "scale", float)
    with pytest.raises(CheckpointError, match="a records no dict called tau; train it again"):
        fact_of(Path("a"), CARD, "tau", dict)


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    """Naming the run folder instead of the file in it is refused in one line."""
    with pytest.raises(CheckpointError, match=r"is a folder; expected .*/checkpoints/segmenter"):
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
    """A network of other classes, or of these in another order, would mislabel everything."""
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
    """Of a network with other classes everything is loaded but their scores, which the log names."""
    stored, begun = Scored(2), Scored(5)
    before = begun.classifier.weight.detach().clone()
    save_checkpoint(tmp_path / "a.safetensors", stored, CARD)

    with caplog.at_level("INFO"):
        begin_from(tmp_path / "a.safetensors", begun)

    assert torch.equal(begun.trunk[0].weight, stored.trunk[0].weight)
    assert torch.equal(begun.classifier.weight, before)
    assert "has 2 classes; not loaded: classifier.bias, classifier.weight" in caplog.text


def test_scores_of_the_same_classes_in_another_order_follow_their_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A head is no good for other classes than its own: it is matched by name, as the log tells."""
    stored, begun = Scored(2), Scored(2)
    before = begun.classifier.weight.detach().clone()
    save_checkpoint(tmp_path / "a.safetensors", stored, CARD)

    with caplog.at_level("INFO"):
        begin_from(
            tmp_path / "a.safetensors",
            begun,
            class_names=("sky", "car"),
            head=lambda: differing_shapes(begun, Scored(3)),
        )

    assert torch.equal(begun.trunk[0].weight, stored.trunk[0].weight)
    assert torch.equal(begun.classifier.weight[0], stored.classifier.weight[1])
    assert torch.equal(begun.classifier.weight[1], before[1])
    assert "the head keeps the scores of 1 classes by name; car begin anew" in caplog.text


def test_scores_of_the_same_classes_are_kept(tmp_path: Path) -> None:
    """Nothing is compared where the classes are those of the checkpoint."""
    stored, begun = Scored(2), Scored(2)
    save_checkpoint(tmp_path / "a.safetensors", stored, CARD)

    begin_from(tmp_path / "a.safetensors", begun, class_names=["road", "sky"], head=lambda: set(1 / 0))  # type: ignore[arg-type]

    assert torch.equal(begun.classifier.weight, stored.classifier.weight)


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


SPECS = {
    "scored": NetworkSpec(make=Scored, settings=("channels",)),
    "other": NetworkSpec(make=lambda class_count, **settings: Scored(class_count + 1, **settings)),
}
CLASSES = ClassSet(names=("road", "sky"), colors=((0, 0, 0), (9, 9, 9)))
CPU = torch.device("cpu")


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """A checkpoint of a network of two classes that is not built with its default settings."""
    card = replace(CARD, network="scored", settings={"channels": 6})
    save_checkpoint(tmp_path / "scored.safetensors", Scored(2, channels=6), card)
    return tmp_path / "scored.safetensors"


def test_a_network_is_built_again_from_its_checkpoint(tmp_path: Path) -> None:
    """It has the saved shape and weights, and is ready to be used: evaluation mode, channels last."""
    saved = Scored(2, channels=6)
    saved.trunk(torch.randn(2, 3, 8, 8))
    card = replace(CARD, network="scored", settings={"channels": 6})
    save_checkpoint(tmp_path / "a.safetensors", saved, card)

    loaded = load_network(tmp_path / "a.safetensors", SPECS, part="segmenter", classes=CLASSES, device=CPU)

    assert isinstance(loaded, Scored)
    stored = saved.state_dict()
    assert loaded.state_dict().keys() == stored.keys()
    assert all(torch.equal(value, stored[key]) for key, value in loaded.state_dict().items())
    assert not any(module.training for module in loaded.modules())
    assert loaded.trunk[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_a_network_is_loaded_onto_its_device(scored: Path) -> None:
    """All its weights and buffers move to the device."""
    loaded = load_network(scored, SPECS, part="segmenter", device=torch.device("meta"))

    assert {values.device.type for values in loaded.state_dict().values()} == {"meta"}


def test_a_network_of_another_part_is_refused(scored: Path) -> None:
    """A segmenter is not taken for a refiner, though a network of that name were known."""
    with pytest.raises(
        CheckpointError, match=r"scored\.safetensors holds a segmenter, expected a refiner; name another"
    ):
        load_network(scored, SPECS, part="refiner", device=CPU)
    with pytest.raises(CheckpointError, match=r"a\.safetensors holds a segmenter, expected a trunk; name"):
        check_part(Path("a.safetensors"), CARD, "trunk")
    check_part(Path("a.safetensors"), CARD, "segmenter")


def test_a_network_of_other_classes_is_refused(scored: Path) -> None:
    """Where the classes are given they have to be the same; where they are not, any will do."""
    swapped = ClassSet(names=("sky", "road"), colors=CLASSES.colors)
    with pytest.raises(CheckpointError, match=r"trained for the classes road, sky \(2\), but the data set"):
        load_network(scored, SPECS, part="segmenter", classes=swapped, device=CPU)

    assert load_network(scored, SPECS, part="segmenter", device=CPU).class_count == 2


def test_a_network_of_an_unknown_name_is_refused(scored: Path) -> None:
    """The message has the nearest name, after the part that is to be loaded."""
    with pytest.raises(RecipeError, match="no segmenter is called 'scored'; did you mean 'score'"):
        load_network(scored, {"score": SPECS["scored"]}, part="segmenter", device=CPU)


def test_a_network_that_does_not_fit_its_weights_is_refused(tmp_path: Path) -> None:
    """A card that names another network than the weights are of gives no half-filled network."""
    card = replace(CARD, network="other", settings={"channels": 6})
    save_checkpoint(tmp_path / "a.safetensors", Scored(2, channels=6), card)

    with pytest.raises(CheckpointError, match=r"does not fit the network: classifier\.bias, .*weight"):
        load_network(tmp_path / "a.safetensors", SPECS, part="segmenter", device=CPU)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"channels": 100_000_000}, "describe a network that is far larger than its weights"),
        ({"channels": -1}, "describe no network that can be built"),
        ({"channels": "many"}, "describe no network that can be built"),
        ({"colour": "red"}, "describe no network that can be built"),
    ],
)
def test_a_card_does_not_decide_how_much_memory_is_taken(
    tmp_path: Path, settings: dict[str, object], words: str
) -> None:
    """A network is built only as large as the file's own weights; what cannot be built is told."""
    card = replace(CARD, network="scored", settings=settings)
    save_checkpoint(tmp_path / "a.safetensors", Scored(2), card)

    with pytest.raises(CheckpointError, match=words) as raised:
        load_network(tmp_path / "a.safetensors", SPECS, part="segmenter", device=CPU)

    assert "\n" not in str(raised.value)


def test_a_missing_network_is_refused(tmp_path: Path) -> None:
    """A checkpoint that does not exist has no network."""
    with pytest.raises(CheckpointError, match=r"no\.safetensors does not exist; train it first"):
        load_network(tmp_path / "no.safetensors", SPECS, part="segmenter", device=CPU)


def test_weights_leave_the_memory_of_a_file(tmp_path: Path) -> None:
    """Weights that are views of a mapped file are copied; the file may change, the network stays."""
    (tmp_path / "weights").write_bytes(bytes(range(16)) * 1024)
    owner = network()
    weight = owner[0].weight
    with (tmp_path / "weights").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        owner.register_buffer("view", torch.frombuffer(mapped, dtype=torch.uint8, offset=1, count=8))

        own_memory(owner)

        mapped[:] = bytes(len(mapped))
        assert owner.get_buffer("view").tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert owner[0].weight is weight, "an optimiser that holds the parameter still trains the network"


def test_weights_keep_their_values_and_layout_when_copied() -> None:
    """The copy has the same values, layout and gradients, in other memory."""
    owner = network().to(memory_format=torch.channels_last)
    before = {key: value.clone() for key, value in owner.state_dict().items()}
    places = {key: value.data_ptr() for key, value in owner.state_dict().items()}

    own_memory(owner)

    assert all(torch.equal(value, before[key]) for key, value in owner.state_dict().items())
    assert all(value.data_ptr() != places[key] for key, value in owner.state_dict().items())
    assert owner[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in owner.parameters())


def test_a_fingerprint_of_weights_depends_on_their_values() -> None:
    """Equal weights have the same fingerprint in any layout; another value, a buffer's too, another one."""
    one, same = network(), network()
    same.load_state_dict(one.state_dict())
    fingerprint = weights_fingerprint(one)
    assert weights_fingerprint(same.to(memory_format=torch.channels_last)) == fingerprint
    assert weights_fingerprint(network()) != fingerprint

    same.get_buffer("1.running_mean")[0] += 1

    assert weights_fingerprint(same) != fingerprint


def test_a_fingerprint_of_weights_depends_on_the_kind_of_network() -> None:
    """Two networks without weights, or with the same, differ in what they compute."""
    assert weights_fingerprint(nn.ReLU()) != weights_fingerprint(nn.Sigmoid())


def test_networks_that_share_weights_have_a_fingerprint() -> None:
    """One tensor may serve in several places, and counts in each of them."""
    tied, loose = (nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)) for _ in range(2))
    tied[1].weight = tied[0].weight
    loose.load_state_dict(tied.state_dict())

    assert weights_fingerprint(tied) == weights_fingerprint(loose)


def test_parts_without_weights_are_told_apart_by_name() -> None:
    """Motion that is no network has its name, and a part without a name that of its type."""

    class Part:
        pass

    class Named(Part):
        def __init__(self, name: str) -> None:
            self.name = name

    assert weights_fingerprint(Named("pan")) == weights_fingerprint(Named("pan"))
    assert weights_fingerprint(Named("Part")) == weights_fingerprint(Part())
    assert len({weights_fingerprint(part) for part in (Named("pan"), Named("tilt"), Part())}) == 3
