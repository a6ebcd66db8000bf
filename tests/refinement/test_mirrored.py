"""Tests of refinement/mirrored.py: what a refiner sees and its mirror image have a say each."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from warprefine.core.protocols import Refiner, RefinerInput, Segmentation
from warprefine.core.tensors import VOID, Logits
from warprefine.ops.resize import to_size
from warprefine.refinement.compact import CompactRefiner
from warprefine.refinement.mirrored import MirroredRefiner, mirror

CLASSES, FEATURES = 3, 5


def something(h: int, w: int) -> RefinerInput:
    """Make an input as it comes from a segmenter with logits at stride 2 and features at stride 4."""
    labels = torch.randint(0, CLASSES + 1, (1, h, w), dtype=torch.uint8)
    labels[labels == CLASSES] = VOID
    return RefinerInput(
        frame=torch.randint(0, 256, (1, 3, h, w), dtype=torch.uint8),
        warped_frame=torch.randint(0, 256, (1, 3, h, w), dtype=torch.uint8),
        labels=labels,
        segmentation=Segmentation(
            logits=torch.randn(1, CLASSES, -(-h // 2), -(-w // 2)),
            features=torch.randn(1, FEATURES, -(-h // 4), -(-w // 4)),
        ),
    )


@pytest.fixture
def network() -> nn.Module:
    """A small untrained refiner, as it is used."""
    return CompactRefiner(CLASSES, FEATURES, widths=(4, 5, 6, 7)).eval()


def test_it_is_a_refiner_like_the_one_it_asks(network: CompactRefiner) -> None:
    """It stands in for its refiner; the name says what it does."""
    mirrored = MirroredRefiner(network)

    assert isinstance(mirrored, Refiner)
    assert (mirrored.name, mirrored.class_count) == ("compact-mirrored", CLASSES)


def test_probabilities_are_the_mean_of_both(network: CompactRefiner) -> None:
    """What is said of a pixel in the frame and in its mirror image is averaged."""
    seen = something(32, 48)

    with torch.inference_mode():
        said = MirroredRefiner(network)(seen)
        plain, of_mirror = network(seen), network(mirror(seen))

    expected = (plain.softmax(dim=1) + of_mirror.softmax(dim=1).flip(-1)) / 2
    torch.testing.assert_close(said.softmax(dim=1), expected)


@given(h=st.integers(16, 40), w=st.integers(16, 40))
def test_all_that_is_seen_is_flipped_about_the_same_line(h: int, w: int) -> None:
    """In the mirror, cells still cover their own pixels, whatever the width of the frame."""
    seen = something(h, w)
    x = torch.arange(w).view(1, 1, 1, w).expand(1, 3, h, w)
    seen = RefinerInput(
        frame=x.to(torch.uint8),
        warped_frame=x.to(torch.uint8),
        labels=x[:, 0].to(torch.uint8),
        segmentation=Segmentation(logits=places(h, w, 2), features=places(h, w, 4)),
    )

    flipped = mirror(seen)

    width = flipped.frame.shape[-1]
    expected = torch.arange(width - 1, -1, -1).clamp(max=w - 1)
    assert width % 4 == 0
    assert torch.equal(flipped.frame[0, 0, 0].long(), expected)
    assert torch.equal(flipped.labels[0, 0].long(), expected)
    assert torch.equal(flipped.warped_frame, flipped.frame)
    for stride, scores in ((2, flipped.segmentation.logits), (4, flipped.segmentation.features)):
        assert scores.shape[-1] == width // stride
        kept = scores[0, 0, 0, -(w // stride) :]
        assert kept.tolist() == [stride * i for i in reversed(range(w // stride))]


def places(h: int, w: int, stride: int) -> Tensor:
    """Say in each cell which column of the frame it begins at."""
    columns = stride * torch.arange(-(-w // stride)).float()
    return columns.view(1, 1, 1, -1).expand(1, CLASSES, -(-h // stride), -1)


class Echo(nn.Module):
    """A refiner that repeats the labels and, more softly, what the segmenter says."""

    name, class_count = "echo", CLASSES

    def forward(self, seen: RefinerInput) -> Logits:
        """Return scores of the labels plus the segmenter's."""
        h, w = seen.labels.shape[-2:]
        labels = seen.labels.long().masked_fill(seen.labels == VOID, CLASSES)
        scores = 9 * nn.functional.one_hot(labels, CLASSES + 1).permute(0, 3, 1, 2).float()
        scores[:, :-1] += to_size(seen.segmentation.logits, (h, w))
        return scores


@pytest.mark.parametrize("size", [(16, 24), (9, 13), (7, 2), (1, 1)])
def test_labels_stay_in_place_in_frames_of_any_size(size: tuple[int, int]) -> None:
    """A refiner that changes nothing changes nothing when it is asked twice."""
    seen = something(*size)

    said = MirroredRefiner(Echo())(seen)

    assert said.shape == (1, CLASSES + 1, *size)
    expected = seen.labels.long().masked_fill(seen.labels == VOID, CLASSES)
    assert torch.equal(said.argmax(dim=1), expected)
