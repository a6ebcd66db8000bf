"""Tests of segmentation/deeplab.py and ocrnet.py: shapes, training, and weights of other networks."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.segmentation.deeplab import ASPP, CHANNELS, DeepLabV3, DeepLabV3Plus
from warprefine.segmentation.ocrnet import OCRNet
from warprefine.segmentation.resnext import ResNetSize, SqueezeExcitation

SMALL = ResNetSize(width=8, blocks=(1, 1, 1, 1), groups=4, narrowing=2, squeezed=True)
Network = OCRNet | DeepLabV3 | DeepLabV3Plus
NETWORKS = pytest.mark.parametrize("make", [OCRNet, DeepLabV3, DeepLabV3Plus])
DEEPLAB_NAMES = {
    "aspp.whole.": "aspp.img_conv.",
    "aspp.views.": "aspp.features.",
    "narrow.": "bot_aspp.",
    "skip.": "bot_fine.",
    "head.0.": "final.",
    "head.1.0.": "final.3.",
    "head.1.1.": "final.4.",
    "classifier.": "final.6.",
}


def published(network: DeepLabV3 | DeepLabV3Plus, trunk: str = "backbone.") -> dict[str, Tensor]:
    """Name a network's weights as the published checkpoints do."""
    named = {}
    for own, values in network.state_dict().items():
        if own.startswith("trunk."):
            named[trunk + network.trunk.published_name(own.removeprefix("trunk."))] = values
        else:
            ours = next(prefix for prefix in DEEPLAB_NAMES if own.startswith(prefix))
            named[DEEPLAB_NAMES[ours] + own.removeprefix(ours)] = values
    return named


@NETWORKS
@pytest.mark.parametrize("size", [(64, 96), (51, 77), (33, 40)])
def test_images_of_any_size(make: type[Network], size: tuple[int, int]) -> None:
    """Logits come at the images' size; features at stride 8, or 4 where the fine ones take part."""
    network = make(3, trunk=SMALL).eval()

    with torch.inference_mode():
        found = network(torch.rand(2, 3, *size))
        features = network.trunk(torch.rand(2, 3, *size))

    grid = features.fine if network.feature_stride == 4 else features.deep
    assert found.logits.shape == (2, 3, *size)
    assert found.features.shape == (2, network.feature_channels, *grid.shape[-2:])
    assert found.first_guess is None


@NETWORKS
def test_the_gradient_reaches_every_weight(make: type[Network]) -> None:
    """No part of a network is left out of the training."""
    torch.manual_seed(0)
    network = make(3, trunk=SMALL)
    for part in network.modules():
        if isinstance(part, SqueezeExcitation):
            nn.init.ones_(part.squeeze.bias)  # So narrow here that by chance no unit may be active.

    found = network(torch.rand(2, 3, 32, 64))
    guess = torch.zeros(()) if found.first_guess is None else found.first_guess
    (found.logits.square().mean() + guess.square().mean()).backward()

    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_first_guess_comes_along_in_training() -> None:
    """In training OCRNet also returns the auxiliary logits that define its regions, at the images' size."""
    found = OCRNet(3, trunk=SMALL)(torch.rand(2, 3, 33, 64))

    assert found.first_guess is not None
    assert found.first_guess.shape == found.logits.shape == (2, 3, 33, 64)


@NETWORKS
def test_aligned_corners(make: type[Network]) -> None:
    """With aligned corners scores change from the first pixel on; else half a cell is alike at the edge."""
    torch.manual_seed(0)
    networks = {aligned: make(3, trunk=SMALL, align_corners=aligned).eval() for aligned in (True, False)}
    networks[False].load_state_dict(networks[True].state_dict())
    images = torch.rand(1, 3, 32, 64)

    with torch.inference_mode():
        logits = {aligned: network(images).logits for aligned, network in networks.items()}

    step = {
        aligned: ((found[..., 0, 1] - found[..., 0, 0]).abs().amax() / found.std()).item()
        for aligned, found in logits.items()
    }
    assert step[False] < 1e-5
    assert step[True] > 1e-3


def test_the_whole_picture_is_the_first_view() -> None:
    """The first of the five views is the same everywhere; the others depend on position."""
    torch.manual_seed(0)
    aspp = ASPP(6).eval()

    with torch.inference_mode():
        views = aspp(torch.rand(1, 6, 40, 40)).unflatten(1, (5, CHANNELS))

    varied = (views - views[..., :1, :1]).abs().amax(dim=(0, 2, 3, 4))
    assert aspp.channels == 5 * CHANNELS
    assert (varied > 1e-3).tolist() == [False, True, True, True, True]


@pytest.mark.parametrize("make", [DeepLabV3, DeepLabV3Plus])
def test_a_single_frame_cannot_be_trained_on(make: type[DeepLabV3 | DeepLabV3Plus]) -> None:
    """One value alone has no spread to be normalised by, so a batch needs two frames."""
    network = make(3, trunk=SMALL)

    with pytest.raises(RecipeError, match=r"1 frame to train on, expected at least 2, .* set batch = 2"):
        network(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize("trunk", ["backbone.", ""], ids=["Tao et al.", "Zhu et al."])
def test_published_weights_of_both_origins_are_taken(trunk: str) -> None:
    """The two origins name the trunk differently; each weight finds its place, the `module.` cut off."""
    torch.manual_seed(0)
    origin, network = (DeepLabV3Plus(3, trunk=SMALL, align_corners=True) for _ in range(2))

    network.load_published({f"module.{name}": w for name, w in published(origin, trunk).items()})

    expected = origin.state_dict()
    assert all(torch.equal(values, expected[own]) for own, values in network.state_dict().items())


def test_weights_that_need_aligned_corners_are_refused_without() -> None:
    """Weights of Zhu et al. in a network that does not align corners would be silently worse."""
    network = DeepLabV3Plus(3, trunk=SMALL)

    with pytest.raises(CheckpointError, match=r"expected DeepLabV3\+ to be built with align_corners=True$"):
        network.load_published(published(network, ""))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"final.3.weight": None}, r"^the weights of DeepLabV3 lack final\.3\.weight; these are not"),
        ({"bot_fine.weight": torch.zeros(1)}, r"DeepLabV3 has no place for the weights bot_fine\.weight; "),
        (
            {"final.6.weight": torch.zeros(19, CHANNELS, 1, 1)},
            r"final\.6\.weight of DeepLabV3 has shape \(19, 256, 1, 1\), expected \(3, 256, 1, 1\)",
        ),
    ],
)
def test_weights_of_another_network_are_named(change: dict[str, Tensor | None], words: str) -> None:
    """Weights that are missing, left over or misshaped are named, and nothing is taken."""
    network = DeepLabV3(3, trunk=SMALL)
    before = copy.deepcopy(network.state_dict())
    weights = {name: values for name, values in (published(network) | change).items() if values is not None}

    with pytest.raises(CheckpointError, match=words) as error:
        network.load_published(weights)

    assert "\n" not in str(error.value)
    assert all(torch.equal(values, before[own]) for own, values in network.state_dict().items())


def test_ocrnet_takes_its_own_weights_only() -> None:
    """OCRNet takes weights under their published names, and names one of DeepLab that it has no place for."""
    torch.manual_seed(0)
    origin, network = OCRNet(3, trunk=SMALL), OCRNet(3, trunk=SMALL)
    weights = {f"module.{origin.published_name(own)}": w for own, w in origin.state_dict().items()}

    with pytest.raises(CheckpointError, match=r"^OCRNet has no place for the weights final\.6\.weight;"):
        network.load_published({**weights, "module.final.6.weight": torch.zeros(1)})
    network.load_published(weights)

    assert {"module.backbone.layer0.conv1.weight", "module.ocr.cls_head.bias"} < set(weights)
    expected = origin.state_dict()
    assert all(torch.equal(values, expected[own]) for own, values in network.state_dict().items())
