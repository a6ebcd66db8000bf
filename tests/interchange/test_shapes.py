"""Tests of interchange/shapes.py: polygons and runs become the pixels that their tools mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID
from warprefine.interchange.shapes import (
    class_masks,
    coco_polygon,
    counts_of_text,
    cv2_polygon,
    mask_of_counts,
    pil_polygon,
    points_of,
    regions,
)

SQUARE = points_of([1, 1, 3, 1, 3, 3, 1, 3], where="a square")


def test_convention_corners_of_coco_lie_between_pixels() -> None:
    """A square from 1 to 3 has two pixels in COCO, and three where corners are pixels."""
    assert np.argwhere(coco_polygon(SQUARE, (6, 6))).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    for draw in (pil_polygon, cv2_polygon):
        assert np.argwhere(draw(SQUARE, (6, 6))).min() == 1
        assert draw(SQUARE, (6, 6)).sum() == 9


def test_what_leaves_the_picture_is_cut_off() -> None:
    """A polygon may reach beyond every border."""
    large = points_of([-50, -50, 50, -50, 50, 50, -50, 50], where="a square")

    for draw in (coco_polygon, pil_polygon, cv2_polygon):
        assert draw(large, (4, 5)).all()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0, 0, 1, 1], "a polygon of 4 numbers, expected x and y of at least 3 points"),
        ([0, 0, 1, 1, 2, 2, 3], "a polygon of 7 numbers"),
        ([0, 0, 1, 1, 2, "x"], "a polygon with 'x' among its points; expected numbers"),
        ([0, 0, 1, True, 2, 2], "a polygon with 'True' among its points"),
        ([0, 0, 1, 1, 2, float("nan")], "a point that is NaN or infinite"),
        ([0, 0, 1, 1, 2, 10**400], "a point that is NaN or infinite"),
        ([0, 0, 1, 1, 2, 1e9], "a polygon that reaches 1e.09 pixels"),
        ([0, 0, 1e308, 1, -1e308, 9, 1e308, 5], "a polygon that reaches 1e.308 pixels"),
        ([0, 0, 90000, 0] * 20, "3.6e.06 around; expected one in the picture"),
    ],
)
def test_points_that_cannot_be_drawn_are_refused(values: list[object], told: str) -> None:
    """They would fill the memory, or mean something else to pycocotools."""
    with pytest.raises(LabelError, match=f"^image 1 is .*{told}"):
        points_of(values, where="image 1")


@given(mask=arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_compressed_runs_are_those_of_pycocotools(mask: np.ndarray) -> None:
    """Any mask that its C code encodes comes back."""
    coder = pytest.importorskip("pycocotools.mask", reason="not installed: extra [formats]")
    text = coder.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()

    counts = counts_of_text(text, where="image 1")

    assert (mask_of_counts(counts, mask.shape, where="image 1", order="columns") == mask).all()


def test_runs_follow_rows_or_columns() -> None:
    """CVAT counts along rows, COCO along columns; a run may be 0."""
    assert mask_of_counts([0, 2, 2], (2, 2), where="1", order="rows").tolist() == [
        [True, True],
        [False, False],
    ]
    assert mask_of_counts([0, 2, 2], (2, 2), where="1", order="columns").tolist() == [
        [True, False],
        [True, False],
    ]


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([1, 2], r"an RLE of 3 pixels; expected 4, those of 2 x 2 \(h x w\)"),
        ([1, 2, 2], "an RLE of 5 pixels"),
        ([5, -1], "the run length 5; expected whole numbers from 0 to 4"),
        ([1.5, 2.5], r"the run length 1\.5"),
        ([10**30], "the run length 1000000000"),
        (np.array([5, -1]), "an RLE of 4 pixels"),
    ],
)
def test_runs_that_do_not_fit_are_refused(counts: object, told: str) -> None:
    """Before anything of their length is allocated."""
    with pytest.raises(LabelError, match=told):
        mask_of_counts(counts, (2, 2), where="image 1", order="rows")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\x1f", r"the character '\\x1f'"),
        ("é", "the character"),
        ("oooooooo0", "a number of more than 35 bits"),
        ("o", "ends in the middle of a number"),
    ],
)
def test_text_that_is_no_run_is_refused(text: str, told: str) -> None:
    """A damaged string does not become a mask."""
    with pytest.raises(LabelError, match=told):
        counts_of_text(text, where="image 1")

    assert counts_of_text("", where="image 1").size == 0


def test_regions_touch_at_edges_and_corners() -> None:
    """Each class has its own; VOID has none."""
    labels = np.array([[0, 1, VOID], [1, 0, VOID], [VOID, VOID, 1]], np.uint8)

    found = [(position, int(mask.sum())) for position, mask in regions(labels)]

    assert found == [(0, 2), (1, 2), (1, 1)]
    assert [(position, int(mask.sum())) for position, mask in class_masks(labels)] == [(0, 2), (1, 3)]
