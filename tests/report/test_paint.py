"""Check what each picture shows, pixel by pixel."""

from __future__ import annotations

import numpy as np
import torch

from warprefine.core.tensors import VOID
from warprefine.report import paint


def labels(*row: int) -> torch.Tensor:
    return torch.tensor([[row]], dtype=torch.uint8)


GREY = torch.full((1, 3, 1, 3), 100, dtype=torch.uint8)


def test_a_frame_keeps_its_colours_in_order():
    """Red stays red: no channel is swapped."""
    red = torch.zeros((1, 3, 1, 1), dtype=torch.uint8)
    red[:, 0] = 200

    assert paint.paint_frame(red).tolist() == [[[200, 0, 0]]]


def test_labels_have_the_colours_of_their_classes(world):
    """Void is black, and every other label has the colour of the class set."""
    painted = paint.paint_labels(labels(0, 2, VOID), world.classes)

    assert painted.tolist() == [[[128, 64, 128], [220, 220, 0], [0, 0, 0]]]


def test_the_frame_shines_through_the_labels_in_grey(world):
    """The colour still tells the class, and the frame tells where one is."""
    painted = paint.paint_labels(labels(0, 2, VOID), world.classes, frame=GREY)

    expected = 0.72 * np.array([[128, 64, 128], [220, 220, 0], [0, 0, 0]]) + 0.28 * 100
    assert painted.tolist() == [expected.round().tolist()]


def test_errors_are_red_and_void_truth_is_grey():
    """Right, wrong, left void, and no truth to tell."""
    prediction, truth = labels(1, 1, VOID, 0), labels(1, 0, 1, VOID)

    assert paint.error_map(prediction, truth).tolist() == [[0, 1, 1, 2]]
    assert paint.paint_errors(prediction, truth).tolist() == [
        [list(paint.RIGHT), list(paint.WRONG), list(paint.WRONG), list(paint.UNKNOWN)]
    ]


def test_errors_stay_easy_to_tell_apart_over_a_dark_frame():
    """What is right remains brighter than what is unknown, whatever the frame."""
    black = torch.zeros((1, 3, 1, 2), dtype=torch.uint8)
    white = black + 255
    right_over_black = paint.paint_errors(labels(0, 0), labels(0, 0), frame=black)
    unknown_over_white = paint.paint_errors(labels(0, 0), labels(VOID, VOID), frame=white)

    assert right_over_black.min() > unknown_over_white.max() + 30


def test_confidence_grows_brighter_evenly():
    """More confidence is brighter, from 0 to 1, and the ends are the ends of the scale."""
    painted = paint.paint_confidence(torch.linspace(0, 1, 256)[None, None])

    brightness = painted[0] @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(brightness) > -1).all()
    assert np.array_equal(painted[0], paint.confidence_colors())
    assert brightness[-1] > brightness[0] + 100
