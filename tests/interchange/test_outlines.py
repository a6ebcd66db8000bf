"""Tests of interchange/outlines.py and keyholes.py: polygons without holes that give a label map again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.interchange.projects import label_maps
from warprefine.core.tensors import VOID
from warprefine.interchange.keyholes import keyhole_polygon
from warprefine.interchange.outlines import outlines
from warprefine.interchange.shapes import cv2_polygon, pil_polygon


@pytest.mark.parametrize("open_void", [False, True])
@pytest.mark.parametrize("draw", [pil_polygon, cv2_polygon])
@given(data=st.data())
@settings(max_examples=20)
def test_any_label_map_comes_back_from_its_outlines(draw, open_void: bool, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    """Painted in their order, the largest first, in pixels of Pillow and of OpenCV."""
    labels = data.draw(label_maps(3))

    painted = np.full(labels.shape, VOID, np.uint8)
    for one in outlines(labels, open_void=open_void):
        painted[draw(one.corners.astype(float), labels.shape)] = one.position

    assert (painted == labels).all()


def test_outlines_of_larger_areas_come_first() -> None:
    """So that readers which sort by area paint in the same order."""
    labels = np.kron(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.uint8), np.ones((3, 3), np.uint8))
    labels[4, 4] = 2

    assert [(one.position, one.area) for one in outlines(labels)] == [(0, 81), (1, 9), (2, 1)]


def test_cuts_may_lead_through_any_number_of_holes() -> None:
    """A row of holes, each of which is reached through the one before."""
    labels = np.zeros((3, 4001), np.uint8)
    labels[1, 1:-1:2] = VOID

    (one,) = outlines(labels, open_void=True)

    assert (cv2_polygon(one.corners.astype(float), labels.shape) == (labels == 0)).all()


def test_only_holes_of_some_pixels_stay_open() -> None:
    """Others are filled, as what lies in them is painted on top."""
    inside = np.ones((5, 9), bool)
    inside[2, 2] = inside[2, 6] = False
    wanted = np.zeros_like(inside)
    wanted[2, 2] = True

    drawn = cv2_polygon(keyhole_polygon(inside, wanted).astype(float), inside.shape)

    assert (drawn[2, 2], drawn[2, 6], drawn.sum()) == (False, True, 44)
