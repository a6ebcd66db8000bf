"""Tests of jobs/weights.py: published weights are checked tensor by tensor before they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.io.checkpoints import read_card
from warprefine.jobs.weights import IMPORTERS, LICENCES, import_weights
from warprefine.motion.raft import RAFT
from warprefine.motion.raft_parts import published_name
from warprefine.segmentation.hrnet import HRNETS, HRNet, published_trunk_name


@pytest.fixture(scope="module")
def raft() -> dict[str, Tensor]:
    """Weights of a small RAFT under their published names."""
    network = RAFT("small")
    count = len(network.layout.gru_kernels)
    return {
        f"module.{published_name(own, gru_count=count)}": values
        for own, values in network.state_dict().items()
    }


def write(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "published.pth")
    return folder / "published.pth"


def test_weights_get_a_card(tmp_path: Path, raft: dict[str, Tensor]) -> None:
    """The card names the network, the source and the licence."""
    source, out = write(tmp_path, raft), tmp_path / "raft.safetensors"

    returned = import_weights(source, out, name="raft", licence="as agreed")

    card = read_card(out)
    assert (card.part, card.network, card.settings) == ("motion", "raft", {"size": "small"})
    assert card.facts["source"] == "published.pth"
    assert card.facts["licence"] == "as agreed"
    assert card.class_names == returned.class_names == ()


def test_a_trunk_leaves_its_old_classifier_behind(tmp_path: Path) -> None:
    """The ImageNet classifier is no part of a trunk, and the size is inferred from the weights."""
    weights = {
        f"model.{published_trunk_name(own)}": values
        for own, values in HRNet(HRNETS["w18-small"]).state_dict().items()
    }
    source = write(tmp_path, {**weights, "model.classifier.weight": torch.zeros(1000, 8)})

    card = import_weights(source, tmp_path / "trunk.safetensors", name="hrnet")

    assert (card.part, card.network) == ("trunk", "hrnet-w18-small")


def test_a_beginning_that_all_names_share_is_dropped(tmp_path: Path, raft: dict[str, Tensor]) -> None:
    """Whatever a program called its network, the rest of the names tells which it is."""
    weights = {f"pl_wrapper.flow.{name.removeprefix('module.')}": value for name, value in raft.items()}

    card = import_weights(write(tmp_path, weights), tmp_path / "raft.safetensors", name="raft")

    assert card.settings == {"size": "small"}


@pytest.mark.parametrize(
    ("name", "tensor", "shape", "words"),
    [
        ("raft", "fnet.conv1.weight", (), r"fnet\.conv1\.weight has the shape \(\); these are not"),
        ("sdcnet", "conv1.0.weight", (1, 100_000), r"inputs of 100000 channels, expected \[8, 13, 18, 23\]"),
        ("hrnet-ocr", "ocr.cls_head.bias", (3000,), r"scores 3000 classes, expected 1 to 255"),
        ("deeplabv3", "final.6.weight", (0, 8), r"scores 0 classes, expected 1 to 255"),
    ],
)
def test_sizes_that_no_network_has_are_refused(
    tmp_path: Path, name: str, tensor: str, shape: tuple[int, ...], words: str
) -> None:
    """Shapes in a file decide how large a network is built, as far as there are such networks."""
    sized = {"layer1.0.conv1.weight": torch.zeros(1)} if name != "hrnet-ocr" else hrnet_weights()
    source = write(
        tmp_path, {**sized, "layer1.0.conv2.weight": torch.zeros(1, 1), tensor: torch.zeros(shape)}
    )

    with pytest.raises(CheckpointError, match=words):
        import_weights(source, tmp_path / "out.safetensors", name=name)


def hrnet_weights() -> dict[str, Tensor]:
    """Names and shapes that tell the size of an HRNet."""
    with torch.device("meta"):
        own = HRNet(HRNETS["w18-small"]).state_dict()
    names = {f"backbone.{published_trunk_name(name)}": values for name, values in own.items()}
    return {name: torch.zeros(values.shape[:1]) for name, values in names.items()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: weights.pop("module.fnet.conv2.bias"), r"lack fnet\.conv2\.bias"),
        (lambda weights: weights.update(extra=torch.zeros(1)), "no place for the weights extra"),
        (
            lambda weights: weights.update({"module.fnet.conv2.bias": torch.zeros(3)}),
            r"fnet\.conv2\.bias of RAFT \(small\) has shape \(3,\), expected \(128,\)",
        ),
        (lambda weights: weights.pop("module.fnet.conv1.weight"), r"no tensor fnet\.conv1\.weight among"),
    ],
    ids=["missing", "left over", "another shape", "another network"],
)
def test_what_does_not_fit_is_named(tmp_path: Path, raft: dict[str, Tensor], change: Any, words: str) -> None:
    """One tensor too few, too many or of another shape, and nothing is written."""
    weights = dict(raft)
    change(weights)
    source = write(tmp_path, weights)

    with pytest.raises(CheckpointError, match=words) as error:
        import_weights(source, tmp_path / "raft.safetensors", name="raft")

    assert str(error.value).startswith(str(source))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "raft.safetensors").exists()


def test_names_and_endings_that_cannot_be_are_told(tmp_path: Path, raft: dict[str, Tensor]) -> None:
    """An unknown network, and a result that does not end in .safetensors, are refused."""
    source = write(tmp_path, raft)

    with pytest.raises(RecipeError, match="no published network is called 'rafft'; did you mean 'raft'"):
        import_weights(source, tmp_path / "raft.safetensors", name="rafft")
    with pytest.raises(CheckpointError, match=r"raft\.pth does not end in \.safetensors"):
        import_weights(source, tmp_path / "raft.pth", name="raft")


def test_a_segmenter_may_only_have_as_many_class_names_as_it_scores(
    tmp_path: Path, raft: dict[str, Tensor]
) -> None:
    """Names for classes that the weights do not score are refused."""
    with pytest.raises(CheckpointError, match="scores 0 classes, but 2 names are given"):
        import_weights(
            write(tmp_path, raft), tmp_path / "raft.safetensors", name="raft", class_names=("road", "car")
        )


def test_an_hrnet_of_no_known_size_is_told(tmp_path: Path) -> None:
    """A trunk that was never published is refused by its size."""
    weights = {
        published_trunk_name(own): values for own, values in HRNet(HRNETS["w18-small"]).state_dict().items()
    }
    kept = {name: values for name, values in weights.items() if not name.startswith("stage4.1")}

    with pytest.raises(CheckpointError, match=r"the HRNet has the size .*expected one of w18-small, w18"):
        import_weights(write(tmp_path, kept), tmp_path / "trunk.safetensors", name="hrnet")


def test_every_import_says_on_which_terms() -> None:
    """No weights are stored without a word on their licence."""
    assert LICENCES.keys() == IMPORTERS.keys()
    assert all(LICENCES.values())
