"""Tests of segmentation/resnext.py: trunks whose grid stays at stride 8, and the weights they begin from."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from warprefine.core.errors import CheckpointError
from warprefine.segmentation.resnext import RESNETS, DilatedResNet, ResNetSize, SqueezeExcitation

PLAIN = ResNetSize(width=8, blocks=(1, 2, 2, 2), groups=4, narrowing=2)
SQUEEZED = ResNetSize(width=8, blocks=(1, 2, 2, 2), groups=4, narrowing=2, squeezed=True)


def imagenet_names(trunk: DilatedResNet) -> dict[str, Tensor]:
    """Name a trunk's weights as its ImageNet checkpoint does, and add a classifier."""
    stem = ("layer0.conv1.", "layer0.bn1.") if trunk.squeezed else ("conv1.", "bn1.")
    classifier = "last_linear" if trunk.squeezed else "fc"
    named = {f"{classifier}.weight": torch.zeros(10, trunk.channels), f"{classifier}.bias": torch.zeros(10)}
    for own, values in trunk.state_dict().items():
        name = own.replace("stem.0.0.", stem[0]).replace("stem.0.1.", stem[1])
        for i in range(4):
            name = name.replace(f"stages.{i}.", f"layer{i + 1}.").replace(f"norm{i}.", f"bn{i}.")
        name = name.replace("weigh.squeeze", "se_module.fc1").replace("weigh.excite", "se_module.fc2")
        named[name.replace("shortcut", "downsample")] = values
    return named


@pytest.mark.parametrize(
    ("size", "fine", "deep"),
    [(PLAIN, (19, 36), (10, 18)), (SQUEEZED, (19, 35), (10, 18))],
    ids=["plain", "squeezed"],
)
def test_grids_of_odd_images(size: ResNetSize, fine: tuple[int, int], deep: tuple[int, int]) -> None:
    """The first stage is at stride 4, the last at 8; a squeezed trunk leaves out a column of padding."""
    trunk = DilatedResNet(size).eval()

    with torch.inference_mode():
        features = trunk(torch.rand(1, 3, 75, 141))

    assert features.fine.shape == (1, trunk.fine_channels, *fine)
    assert features.deep.shape == (1, trunk.channels, *deep)


@pytest.mark.parametrize("name", sorted(RESNETS))
def test_published_trunks(name: str) -> None:
    """All three have 16 blocks and features of 256 and 2048 channels; filters see 4 channels in ResNeXt."""
    with torch.device("meta"):
        trunk = DilatedResNet(RESNETS[name])

    filters = [part for own, part in trunk.named_modules() if own.endswith("conv2")]
    assert [len(list(stage.children())) for stage in trunk.stages] == [3, 4, 6, 3]
    assert (trunk.fine_channels, trunk.channels) == (256, 2048)
    assert filters[0].weight.shape == ((64, 64, 3, 3) if name == "resnet50" else (128, 4, 3, 3))
    assert trunk.squeezed == (name == "seresnext50")


def test_every_block_of_a_late_stage_is_spaced() -> None:
    """The third and fourth stage have dilations 2 and 4 and keep the grid, in their first block too."""
    trunk = DilatedResNet(PLAIN)

    found = [
        [(block.conv2.stride[0], block.conv2.dilation[0]) for block in stage.children()]
        for stage in trunk.stages
    ]

    assert found == [[(1, 1)], [(2, 1), (1, 1)], [(1, 2), (1, 2)], [(1, 4), (1, 4)]]


def test_channels_are_weighed_by_the_whole_picture() -> None:
    """A channel keeps its pattern, times a number that depends on the rest of the image."""
    torch.manual_seed(0)
    weigh = SqueezeExcitation(32)
    nn.init.constant_(weigh.squeeze.bias, 1.0)
    before = torch.rand(1, 32, 4, 6) + 0.1
    after = before.clone()
    after[..., 3, 5] += 5

    shares, changed = (weigh(x) / x for x in (before, after))

    assert ((shares > 0) & (shares < 1)).all()
    torch.testing.assert_close(shares, shares[..., :1, :1].expand_as(shares))
    assert (changed - shares)[..., 0, 0].abs().amin() > 1e-4


@pytest.mark.parametrize("size", [PLAIN, SQUEEZED], ids=["torchvision", "cadene"])
def test_imagenet_weights_are_taken(size: ResNetSize) -> None:
    """Each weight of a checkpoint finds its place under the names of its origin, without the classifier."""
    torch.manual_seed(0)
    origin, trunk = DilatedResNet(size), DilatedResNet(size)

    trunk.load_published(imagenet_names(origin))

    expected = origin.state_dict()
    assert all(torch.equal(values, expected[own]) for own, values in trunk.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv1.weight": None}, r"^the weights of the ImageNet trunk lack conv1\.weight; these are not"),
        ({"layer3.1.bn2.extra": torch.zeros(1)}, r"no place for the weights layer3\.1\.bn2\.extra; these"),
        ({"bn1.bias": torch.zeros(64)}, r"bn1\.bias of .* has shape \(64,\), expected \(8,\)"),
    ],
)
def test_weights_of_another_trunk_are_named(change: dict[str, Tensor | None], words: str) -> None:
    """Weights that are missing, left over or misshaped are named, and nothing is taken."""
    trunk = DilatedResNet(PLAIN)
    before = copy.deepcopy(trunk.state_dict())
    weights = {
        name: values for name, values in (imagenet_names(trunk) | change).items() if values is not None
    }

    with pytest.raises(CheckpointError, match=words) as error:
        trunk.load_published(weights)

    assert "\n" not in str(error.value)
    assert all(torch.equal(values, before[own]) for own, values in trunk.state_dict().items())
