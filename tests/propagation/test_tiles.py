"""Large frames are labelled in tiles: the same where only neighbours count, without a seam elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.protocols import RefinerInput, Segmentation
from warprefine.core.tensors import size_of
from warprefine.ops import tiles
from warprefine.ops.resize import to_size
from warprefine.propagation.evidence import Models
from warprefine.propagation.methods import PAPER_METHODS, PLUS
from warprefine.propagation.stepwise.step import segment
from warprefine.recipe.plus import PlusRecipe
from warprefine.refinement.interface import TwoSidedInput

CLASSES = 4


@pytest.fixture
def divided(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function after which frames are divided into tiles of 32 x 32 pixels."""

    def divide() -> None:
        monkeypatch.setattr(tiles, "MOST_PIXELS", 32 * 32)
        monkeypatch.setattr(tiles, "SIDE", 32)
        monkeypatch.setattr(tiles, "OVERLAP", 32)

    return divide


class Quarter:
    """Segments by the mean colours of cells of 4 x 4 pixels."""

    name, class_count, feature_channels = "quarter", CLASSES, 3

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, frames: Tensor) -> Segmentation:
        self.sizes.append(size_of(frames))
        colours = functional.avg_pool2d(frames.float(), 4, ceil_mode=True) / 64
        return Segmentation(logits=torch.cat((colours, 4 - colours[:, :1]), dim=1), features=colours)


class Pixelwise:
    """Refines each pixel by its cell and its colour."""

    name, class_count = "pixelwise", CLASSES

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, inputs: TwoSidedInput | RefinerInput) -> Tensor:
        size = size_of(inputs.frame)
        self.sizes.append(size)
        scores = to_size(inputs.segmentation.logits, size) + inputs.frame[:, :1].float() / 255
        return functional.pad(scores, (0, 0, 0, 0, 0, 1), value=-9.0)


@pytest.mark.parametrize("size", [(70, 90), (64, 96)])
@pytest.mark.parametrize("stride", [1, 4, 16])
def test_the_segmenters_labels_are_the_same_in_tiles(
    size: tuple[int, int], stride: int, divided: Callable[[], None]
) -> None:
    """Scores between cells are interpolated as in the whole frame."""
    logits = torch.randn(1, CLASSES, *(-(-pixels // stride) for pixels in size))
    segmentation = Segmentation(logits=logits, features=logits)
    whole = segment(segmentation, size)

    divided()
    tiled = segment(segmentation, size)

    assert torch.equal(tiled.labels, whole.labels)
    torch.testing.assert_close(tiled.confidence, whole.confidence, atol=1e-6, rtol=0)


@pytest.mark.parametrize("refined", [True, False])
def test_labels_of_both_sides_are_the_same_in_tiles(
    film: Callable[..., Any], divided: Callable[[], None], refined: bool
) -> None:
    """Of networks that use no more than what lies in the overlap; no network gets more than a tile."""
    found, sizes = [], []
    for part in ("whole", "divided"):
        drive = film(size=(64, 96), name=part.ljust(9))  # the scene depends on the length of its name
        segmenter, refiner = Quarter(), Pixelwise()
        models = Models(motion=drive.models().motion, segmenter=segmenter, segmenter_fingerprint="quarter")
        labeller = drive.two_sided(PlusRecipe(), models=models, refiner=refiner if refined else None)
        video = drive.video([0, 5])
        (unit,) = labeller.units(video, 9)
        found.append([*labeller.label(drive.evidence(video, models), unit, [PLUS])])
        sizes.append({*segmenter.sizes, *refiner.sizes})
        divided()

    for one, other in zip(*found, strict=True):
        assert torch.equal(one.labels, other.labels)
        torch.testing.assert_close(one.confidence, other.confidence, atol=1e-5, rtol=0)
    assert sizes[0] == {(64, 96)}
    assert sizes[1] == {(64, 64), (64, 96)}  # parts at a side of the frame, and between two others


def test_steps_are_the_same_in_tiles(film: Callable[..., Any], divided: Callable[[], None]) -> None:
    """The refiner of the paper too gets one tile after the other."""
    drive = film(size=(64, 96))
    video, labeller = drive.video([0]), drive.stepwise()
    (unit,) = labeller.units(video, 9)
    whole = [*labeller.label(drive.evidence(video), unit, PAPER_METHODS)]

    divided()
    tiled = [*labeller.label(drive.evidence(video), unit, PAPER_METHODS)]

    for one, other in zip(tiled, whole, strict=True):
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.confidence, other.confidence)
