"""Tests of propagation/stepwise/step.py: the paper's Psi, one frame at a time, on numbers checked by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine.core.protocols import RefinerInput, Segmentation
from warprefine.core.tensors import VOID
from warprefine.propagation.stepwise.step import (
    Labelling,
    Pair,
    abstain,
    class_to_void,
    from_hand_labels,
    refine,
    refiner_input,
    segment,
    warp,
    warp_inpaint,
)


def labels_of(*rows: list[int]) -> Tensor:
    return torch.tensor([rows], dtype=torch.uint8)


def flow_of(x: float, y: float, h: int, w: int) -> Tensor:
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).repeat(1, 1, h, w)


def certain(labels: Tensor, classes: int = 4, score: float = 20) -> Segmentation:
    """Return a segmentation whose labels are `labels`, with high probability."""
    planes = (labels[:, None] == torch.arange(classes).view(1, -1, 1, 1)).float() * score
    return Segmentation(logits=planes, features=torch.zeros(1, 1, 1, 1))


class KeepAll:
    """A refiner that returns the labels of its input, VOID too, and records its inputs."""

    name = "keep-all"
    class_count = 4

    def __init__(self) -> None:
        self.inputs: list[RefinerInput] = []

    def __call__(self, inputs: RefinerInput) -> Tensor:
        self.inputs.append(inputs)
        positions = inputs.labels.long().masked_fill(inputs.labels == VOID, self.class_count)
        return torch.nn.functional.one_hot(positions, 5).permute(0, 3, 1, 2) * 2.0


def test_labels_made_by_hand_are_certain() -> None:
    """A walk starts from labels that are right."""
    start = from_hand_labels(labels_of([1, VOID]))

    assert start.labels.tolist() == [[[1, VOID]]]
    assert start.confidence.tolist() == [[[1, 1]]]


def test_confidence_shrinks_where_votes_are_split() -> None:
    """The warped confidence is multiplied by the winner's share of the votes, and is 0 out of view."""
    before = Labelling(labels=labels_of([1, 1, 2]), confidence=torch.tensor([[[1.0, 0.5, 0.5]]]))

    after = warp(before, flow_of(0.75, 0, 1, 3))

    assert after.labels.tolist() == [[[1, 2, VOID]]]
    torch.testing.assert_close(after.confidence, torch.tensor([[[0.625, 0.375, 0.0]]]))


def test_the_segmenters_labels_are_its_likeliest_classes() -> None:
    """Labels are the largest of the scores at the frame's size, confidence their probability."""
    logits = torch.tensor([0.0, 1.0, 3.0]).view(1, 3, 1, 1).repeat(1, 1, 2, 3)

    output = segment(Segmentation(logits=logits, features=logits), (4, 6))

    assert output.labels.shape == (1, 4, 6)
    assert output.labels.unique().tolist() == [2]
    torch.testing.assert_close(
        output.confidence, torch.full((1, 4, 6), float(logits[0, :, 0, 0].softmax(0)[2]))
    )


def test_labels_without_confidence_become_void() -> None:
    """At the threshold, and below it, a label becomes VOID; the confidence stays what it was."""
    before = Labelling(labels=labels_of([1, 2, 3]), confidence=torch.tensor([[[0.899, 0.9, 0.901]]]))

    kept = abstain(before, 0.9)

    assert kept.labels.tolist() == [[[VOID, VOID, 3]]]
    assert kept.confidence is before.confidence


def test_motion_is_kept_where_colours_agree_and_the_segmenter_fills_the_rest() -> None:
    """Warped labels stand where trusted; elsewhere the segmenter's do, exactly, with its confidence."""
    frame_a = torch.full((1, 3, 1, 4), 100, dtype=torch.uint8)
    frame_b = frame_a.clone()
    frame_b[..., 2] = 250  # something new has come into view
    segmentation = certain(labels_of([3, 3, 3, 3]))
    pair = Pair.of(frame_a, frame_b, flow_of(-1, 0, 1, 4), segmentation)

    after = warp_inpaint(from_hand_labels(labels_of([0, 1, 2, 0])), pair, tau=0.1)

    assert after.labels.tolist() == [[[3, 0, 3, 2]]]
    semantic = segment(segmentation, (1, 4)).confidence
    assert after.confidence[0, 0, [0, 2]].tolist() == semantic[0, 0, [0, 2]].tolist()
    assert after.confidence[0, 0, [1, 3]].tolist() == [1, 1]


def test_the_threshold_tau_decides_between_motion_and_segmenter() -> None:
    """A change of colour by 0.2 is motion for a tau above it and something new for a tau below."""
    frame_a = torch.full((1, 3, 1, 2), 100, dtype=torch.uint8)
    frame_b = frame_a.clone()
    frame_b[:, 0] += 51
    pair = Pair.of(frame_a, frame_b, flow_of(0, 0, 1, 2), certain(labels_of([3, 3])))

    assert warp_inpaint(from_hand_labels(labels_of([0, 1])), pair, tau=0.19).labels.tolist() == [[[3, 3]]]
    assert warp_inpaint(from_hand_labels(labels_of([0, 1])), pair, tau=0.21).labels.tolist() == [[[0, 1]]]


def test_void_is_carried_along() -> None:
    """Hand-made VOID stays VOID where motion is trusted: the segmenter does not fill it."""
    frame = torch.full((1, 3, 1, 3), 100, dtype=torch.uint8)
    pair = Pair.of(frame, frame, flow_of(0, 0, 1, 3), certain(labels_of([3, 3, 3])))

    assert warp_inpaint(from_hand_labels(labels_of([VOID, 1, VOID])), pair, tau=0.1).labels.tolist() == [
        [[VOID, 1, VOID]]
    ]


def test_a_step_without_a_segmenter_is_our_own_mistake() -> None:
    """A pair for motion alone cannot be inpainted."""
    frame = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    pair = Pair.of(frame, frame, flow_of(0, 0, 2, 2), None)

    with pytest.raises(ValueError, match="this step needs a segmenter, but the pair was made without one"):
        warp_inpaint(from_hand_labels(labels_of([0, 0], [0, 0])), pair, tau=0.1)


def test_the_refiners_input_is_that_of_the_paper(drive: Any) -> None:
    """It holds the frame, the warped frame before, the inpainted labels and the segmenter's output."""
    segmentation = drive.segmenter()(drive.frame(1))
    pair = Pair.of(drive.frame(0), drive.frame(1), flow_of(-2, -1, *drive.size), segmentation)
    inpainted, refiner = (
        Labelling(labels=drive.hand_labels(1), confidence=torch.ones(1, *drive.size)),
        KeepAll(),
    )

    refine(inpainted, pair, refiner)

    (inputs,) = refiner.inputs
    inside = drive.in_view([0], of=1)
    assert torch.equal(inputs.frame, drive.frame(1))
    assert torch.equal(inputs.labels, drive.hand_labels(1))
    assert torch.equal(inputs.segmentation.logits, segmentation.logits)
    assert inputs.warped_frame.dtype == torch.uint8
    assert torch.equal(inputs.warped_frame[:, :, inside[0]], drive.frame(1)[:, :, inside[0]])


def test_a_warped_frame_is_rounded_not_cut_off() -> None:
    """The refiner gets the nearest whole colour, in training as in use."""
    frame = torch.tensor([10, 11, 255], dtype=torch.uint8).view(1, 1, 1, 3).repeat(1, 3, 1, 1)
    pair = Pair.of(frame, frame, flow_of(0.75, 0, 1, 3), certain(labels_of([0, 0, 0])))

    assert refiner_input(labels_of([0, 0, 0]), pair).warped_frame[0, 0].tolist() == [[11, 194, 255]]


def test_the_refiners_last_class_is_void() -> None:
    """Labels and confidence are the refiner's likeliest class; number C is written as VOID."""
    frame = torch.zeros(1, 3, 1, 3, dtype=torch.uint8)
    pair = Pair.of(frame, frame, flow_of(0, 0, 1, 3), certain(labels_of([0, 0, 0])))

    refined = refine(from_hand_labels(labels_of([0, 3, VOID])), pair, KeepAll())

    assert refined.labels.tolist() == [[[0, 3, VOID]]]
    assert refined.labels.dtype == torch.uint8
    probability = torch.tensor([2.0, 0, 0, 0, 0]).softmax(0)[0]
    torch.testing.assert_close(refined.confidence, probability.expand(1, 1, 3))


def test_only_the_last_class_is_void() -> None:
    """Class C becomes VOID and nothing else does."""
    assert class_to_void(torch.arange(5).view(1, 1, 5), 4).flatten().tolist() == [0, 1, 2, 3, VOID]
