"""Tests of refinement/mirrored.py: outputs are averaged over an input and its mirror image."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.refinement.inputs import CLASSES, FEATURES, blocks, inputs_at, random_side, side_of, tensors_of
from warprefine.core.protocols import Refiner, RefinerInput, Segmentation
from warprefine.core.tensors import VOID, Logits
from warprefine.ops.compiled import without_loops
from warprefine.ops.resize import to_size
from warprefine.ops.soft_labels import SoftLabels
from warprefine.refinement.compact import CompactRefiner
from warprefine.refinement.interface import Side, TwoSidedInput, TwoSidedRefiner
from warprefine.refinement.mirrored import mirror, mirrored_refiner, mirrored_two_sided
from warprefine.refinement.two_sided import TwoSidedUNet


def something(h: int, w: int) -> RefinerInput:
    """Return an input with the output of a segmenter with logits at stride 2 and features at stride 4."""
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


def test_it_is_a_refiner_like_the_one_in_it(network: CompactRefiner) -> None:
    """It stands in for its refiner; the name tells that it is mirrored."""
    mirrored = mirrored_refiner(network)

    assert isinstance(mirrored, Refiner)
    assert (mirrored.name, mirrored.class_count) == ("compact-mirrored", CLASSES)


def test_probabilities_are_the_mean_of_both(network: CompactRefiner) -> None:
    """The probabilities of a pixel in the frame and in its mirror image are averaged."""
    inputs = something(32, 48)

    with torch.inference_mode():
        output = mirrored_refiner(network)(inputs)
        plain, of_mirror = network(inputs), network(mirror(inputs))

    expected = (plain.softmax(dim=1) + of_mirror.softmax(dim=1).flip(-1)) / 2
    torch.testing.assert_close(output.softmax(dim=1), expected)


@given(h=st.integers(16, 40), w=st.integers(16, 40))
def test_all_inputs_are_flipped_about_the_same_line(h: int, w: int) -> None:
    """In the mirror, cells still cover their own pixels, whatever the width of the frame."""
    inputs = something(h, w)
    x = torch.arange(w).view(1, 1, 1, w).expand(1, 3, h, w)
    inputs = RefinerInput(
        frame=x.to(torch.uint8),
        warped_frame=x.to(torch.uint8),
        labels=x[:, 0].to(torch.uint8),
        segmentation=Segmentation(logits=places(h, w, 2), features=places(h, w, 4)),
    )

    flipped = mirror(inputs)

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
    """Return for each cell the column of the frame at which it begins."""
    columns = stride * torch.arange(-(-w // stride)).float()
    return columns.view(1, 1, 1, -1).expand(1, CLASSES, -(-h // stride), -1)


class Echo(nn.Module):
    """A refiner that repeats the labels and, more softly, the segmenter's scores."""

    name, class_count = "echo", CLASSES

    def forward(self, inputs: RefinerInput) -> Logits:
        """Return scores of the labels plus the segmenter's."""
        h, w = inputs.labels.shape[-2:]
        labels = inputs.labels.long().masked_fill(inputs.labels == VOID, CLASSES)
        scores = 9 * nn.functional.one_hot(labels, CLASSES + 1).permute(0, 3, 1, 2).float()
        scores[:, :-1] += to_size(inputs.segmentation.logits, (h, w))
        return scores


@pytest.mark.parametrize("size", [(16, 24), (9, 13), (7, 2), (1, 1)])
def test_labels_stay_in_place_in_frames_of_any_size(size: tuple[int, int]) -> None:
    """A refiner that changes nothing changes nothing when its output is averaged."""
    inputs = something(*size)

    output = mirrored_refiner(Echo())(inputs)

    assert output.shape == (1, CLASSES + 1, *size)
    expected = inputs.labels.long().masked_fill(inputs.labels == VOID, CLASSES)
    assert torch.equal(output.argmax(dim=1), expected)


def untrained() -> TwoSidedUNet:
    """Return a two-sided refiner that adds nothing to the votes yet."""
    return TwoSidedUNet(CLASSES, FEATURES, widths=(4, 6, 8, 10)).eval()


def randomised() -> TwoSidedUNet:
    """Return a two-sided refiner with random scores of its own."""
    refiner = untrained()
    nn.init.normal_(refiner.classifier.weight)
    return refiner


@torch.inference_mode()
def output_of(refiner: TwoSidedRefiner, inputs: TwoSidedInput) -> Tensor:
    return refiner(inputs)


def test_two_sided_probabilities_are_the_mean_of_both() -> None:
    """A two-sided refiner, too, is averaged over its input and the mirror image; the name tells it."""
    inputs = inputs_at(32, 48, side_of(blocks(32, 48)))
    refiner = randomised()
    mirrored = mirrored_two_sided(refiner)

    assert isinstance(mirrored, TwoSidedRefiner)
    assert (mirrored.name, mirrored.class_count) == ("two-sided-mirrored", CLASSES)
    of_mirror = output_of(refiner, mirror(inputs)).softmax(dim=1).flip(-1)
    expected = (output_of(refiner, inputs).softmax(dim=1) + of_mirror) / 2
    torch.testing.assert_close(output_of(mirrored, inputs).softmax(dim=1), expected)


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1), (36, 61), (361, 40)])
def test_two_sided_scores_have_the_size_of_the_frame(size: tuple[int, int]) -> None:
    """Frames of any size get scores for each class and, last, for VOID."""
    scores = output_of(mirrored_two_sided(randomised()), inputs_at(*size, side_of(blocks(*size))))

    assert scores.shape == (1, CLASSES + 1, *size)
    assert bool(scores.isfinite().all())


@pytest.mark.parametrize("size", [(16, 24), (9, 13), (7, 2)])
def test_labels_of_both_sides_stay_in_place_in_frames_of_any_size(size: tuple[int, int]) -> None:
    """A refiner that adds nothing leaves trusted labels where they are when its output is averaged."""
    labels = blocks(*size, cell=1)
    inputs = inputs_at(*size, side_of(labels, distance=0.0), side_of(labels, distance=0.0))
    logits = torch.zeros(1, CLASSES, -(-size[0] // 2), -(-size[1] // 2))
    inputs = replace(inputs, segmentation=replace(inputs.segmentation, logits=logits))

    refined = output_of(mirrored_two_sided(untrained()), inputs).argmax(dim=1)

    assert torch.equal(refined, labels.long().masked_fill(labels == VOID, CLASSES))


@given(h=st.integers(8, 40), w=st.integers(8, 40))
def test_the_mirror_of_the_mirror_image_is_the_picture(h: int, w: int) -> None:
    """Flipped twice, all is as it was, whatever the size; only columns beyond the frame are new."""
    inputs = inputs_at(h, w, random_side(h, w, slots=2), random_side(h, w, slots=3, distance=5.0))

    twice = mirror(mirror(inputs))

    after = tensors_of(twice)
    for name, value in tensors_of(inputs).items():
        assert torch.equal(after[name][..., : value.shape[-1]], value), name
    assert twice.frame.shape[-1] == w + -w % 4


@pytest.mark.parametrize("width", [16, 13])
def test_both_sides_are_flipped_about_the_same_line_as_the_frame(width: int) -> None:
    """In the mirror, pixels of the sides and cells of the segmenter still lie on their own pixels."""
    x = torch.arange(width).expand(1, 1, 8, width)
    place = Side(
        soft=SoftLabels(labels=x.to(torch.uint8), shares=x / width),
        trust=x[:, 0] / width,
        warped_frame=x.to(torch.uint8).expand(1, 3, 8, width),
        distance=torch.tensor([3.0]),
    )
    cells = 4.0 * torch.arange(-(-width // 4)).expand(1, 1, 2, -1)
    inputs = TwoSidedInput(
        frame=place.warped_frame,
        sides=(place, place),
        segmentation=Segmentation(logits=x.float(), features=cells),
    )

    flipped = mirror(inputs)

    expected = torch.arange(15, -1, -1).clamp(max=width - 1)
    for one in flipped.sides:
        assert torch.equal(one.soft.labels[0, 0, 0].long(), expected)
        assert torch.equal((one.soft.shares[0, 0, 0] * width).round().long(), expected)
        assert torch.equal((one.trust[0, 0] * width).round().long(), expected)
        assert torch.equal(one.warped_frame[0, 1, 0].long(), expected)
        assert one.distance.tolist() == [3.0]
    assert torch.equal(flipped.frame[0, 0, 0].long(), expected)
    assert flipped.segmentation.features[0, 0, 0].tolist() == [12, 8, 4, 0]


@pytest.mark.parametrize(("width", "batches"), [(48, [2]), (45, [1, 1])])
def test_both_images_are_one_batch_where_they_are_of_one_size(
    network: CompactRefiner, width: int, batches: list[int]
) -> None:
    """On devices other than the CPU; the average is the same."""
    inputs, seen = something(32, width), []
    network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0].frame)))

    with torch.inference_mode():
        apart = mirrored_refiner(network)(inputs)
        assert seen == [1, 1]
        with without_loops():
            together = mirrored_refiner(network)(inputs)

    assert seen[2:] == batches
    torch.testing.assert_close(together.softmax(dim=1), apart.softmax(dim=1))
