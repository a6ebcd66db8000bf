"""Tests of refinement/compact.py: labels in, better labels of the same size out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.refinement.inputs import CLASSES, FEATURES, blocks
from warprefine.core.protocols import Refiner, RefinerInput, Segmentation
from warprefine.core.tensors import VOID
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.refinement import REFINERS
from warprefine.refinement.compact import CompactRefiner, one_hot_with_void

WIDTHS = (4, 6, 8, 10)


def network(feature_channels: int = FEATURES) -> CompactRefiner:
    return CompactRefiner(CLASSES, feature_channels, widths=WIDTHS).eval()


def inputs_at(h: int, w: int) -> RefinerInput:
    """Return random input of a refiner for a frame (h, w), with logits at stride 2 and features at 4."""
    frame, warped_frame = torch.randint(0, 256, (2, 1, 3, h, w), dtype=torch.uint8)
    segmentation = Segmentation(
        logits=torch.randn(1, CLASSES, -(-h // 2), -(-w // 2)) * 3,
        features=torch.randn(1, FEATURES, -(-h // 4), -(-w // 4)),
    )
    return RefinerInput(
        frame=frame, warped_frame=warped_frame, labels=blocks(h, w), segmentation=segmentation
    )


@pytest.mark.parametrize("name", sorted(REFINERS))
def test_every_listed_network_is_a_refiner(name: str) -> None:
    """Class count, feature channels and a recipe are enough to build it, and its card to build it again."""
    spec, recipe = REFINERS[name], RefinerRecipe()

    with torch.device("meta"):  # shapes alone; filling all weights takes seconds
        built = spec.from_recipe(recipe, CLASSES, FEATURES)
        again = spec.from_card(spec.describe(built, recipe), CLASSES, FEATURES)

    assert isinstance(built, Refiner)
    assert (built.name, built.class_count) == (name, CLASSES)
    shapes = [{key: value.shape for key, value in network.state_dict().items()} for network in (built, again)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1), (36, 61), (361, 40)])
def test_scores_have_the_size_of_the_frame_and_a_plane_for_void(size: tuple[int, int]) -> None:
    """Frames of any size get scores for each class and, last, for VOID."""
    with torch.inference_mode():
        scores = network()(inputs_at(*size))

    assert scores.shape == (1, CLASSES + 1, *size)
    assert bool(scores.isfinite().all())


def test_void_is_the_last_plane() -> None:
    """One-hot labels have a plane for each class in order, and one for VOID behind them."""
    planes = one_hot_with_void(torch.tensor([[[0, 2, VOID]]], dtype=torch.uint8), 3)

    assert planes[0, :, 0].T.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_an_untrained_refiner_leaves_labels_as_they_are() -> None:
    """Training begins near "leave the labels as they are", VOID too, whatever the segmenter's output."""
    inputs = inputs_at(64, 64)

    with torch.inference_mode():
        refined = network()(inputs).argmax(dim=1)

    labels = inputs.labels.long().masked_fill(inputs.labels == VOID, CLASSES)
    assert (refined == labels).float().mean() > 0.9


def test_the_gradient_reaches_every_weight() -> None:
    """No part of the network is left out of the training."""
    refiner = network().train()

    refiner(inputs_at(32, 32)).square().mean().backward()

    assert [name for name, p in refiner.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("part", ["frame", "warped_frame", "labels", "logits", "features"])
def test_every_part_of_the_input_counts(part: str) -> None:
    """The scores depend on both images, the labels and all of the segmenter's output."""
    inputs = inputs_at(32, 32)
    segmentation = {"logits": inputs.segmentation.logits, "features": inputs.segmentation.features}
    others = {
        "frame": {"frame": 255 - inputs.frame},
        "warped_frame": {"warped_frame": 255 - inputs.warped_frame},
        "labels": {"labels": inputs.labels.flip(-1)},
        "logits": {"segmentation": Segmentation(**{**segmentation, "logits": -segmentation["logits"]})},
        "features": {"segmentation": Segmentation(**{**segmentation, "features": -segmentation["features"]})},
    }

    with torch.inference_mode():
        refiner = network()
        change = refiner(inputs) - refiner(replace(inputs, **others[part]))

    assert change.abs().amax() > 1e-3


def test_a_refiner_can_do_without_features() -> None:
    """With no feature channels the features are not looked at."""
    inputs = inputs_at(32, 32)
    blind = replace(
        inputs, segmentation=Segmentation(logits=inputs.segmentation.logits, features=torch.zeros(1, 0, 8, 8))
    )

    with torch.inference_mode():
        refiner = network(feature_channels=0)
        assert torch.equal(refiner(inputs), refiner(blind))


@pytest.mark.parametrize("size", [(36, 64), (33, 50), (61, 45)])
def test_features_stay_where_they_are_in_odd_frames(size: tuple[int, int]) -> None:
    """Padding an odd frame by its last row and column changes nothing: features are not stretched over it."""
    h, w = size
    inputs = inputs_at(h, w)

    def padded(values: Tensor, stride: int) -> Tensor:
        rows = torch.arange(-(-h // 8) * 8 // stride).clamp(max=values.shape[-2] - 1)
        columns = torch.arange(-(-w // 8) * 8 // stride).clamp(max=values.shape[-1] - 1)
        return values[..., rows, :][..., columns]

    refiner = network()
    joined: list[Tensor] = []
    refiner.down3.register_forward_pre_hook(lambda _, given: joined.append(given[0]))
    quiet = Segmentation(
        logits=torch.zeros_like(inputs.segmentation.logits), features=inputs.segmentation.features
    )
    even = RefinerInput(
        frame=padded(inputs.frame, 1),
        warped_frame=padded(inputs.warped_frame, 1),
        labels=padded(inputs.labels, 1),
        segmentation=Segmentation(logits=padded(quiet.logits, 2), features=padded(quiet.features, 4)),
    )
    with torch.inference_mode():
        odd_scores, even_scores = refiner(replace(inputs, segmentation=quiet)), refiner(even)

    torch.testing.assert_close(joined[0], joined[1])
    torch.testing.assert_close(odd_scores, even_scores[..., :h, :w])
