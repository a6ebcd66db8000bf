"""Tests of the run lengths of all masks of a label map."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.interchange.projects import label_maps
from warprefine.core.tensors import VOID
from warprefine.interchange.mask_runs import MaskRuns, coco_runs, cvat_runs
from warprefine.interchange.shapes import class_masks, mask_of_counts, regions

coder = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")


@given(data=st.data())
def test_runs_of_classes_are_those_that_pycocotools_finds_mask_by_mask(data: st.DataObject) -> None:
    """To the last character of their text; boxes and areas are those of pycocotools too."""
    labels = data.draw(label_maps(4))
    h, w = labels.shape

    found = {mask.position: mask for mask in coco_runs(labels)}

    masks = dict(class_masks(labels))
    assert [*found] == [*masks]
    for position, mask in masks.items():
        one = found[position]
        packed = coder.encode(np.asfortranarray(mask, np.uint8))
        text = coder.frPyObjects({"size": [h, w], "counts": one.runs}, h, w)["counts"]
        assert text == packed["counts"]
        assert [*one.box] == coder.toBbox(packed).tolist()
        assert one.area == coder.area(packed)


@given(data=st.data())
def test_runs_of_regions_are_the_regions_in_another_order(data: st.DataObject) -> None:
    """Each region comes once, with its runs down the columns."""
    labels = data.draw(label_maps(3))

    masks = [*coco_runs(labels, instances=True)]

    found = {
        (
            one.position,
            mask_of_counts(one.runs.astype(np.int64), labels.shape, where="", order="columns").tobytes(),
        )
        for one in masks
    }
    wanted = [(position, mask.tobytes()) for position, mask in regions(labels)]
    assert found == set(wanted)
    assert len(masks) == len(wanted)


def test_a_region_that_wraps_around_the_picture_has_a_box_over_all_of_it() -> None:
    """Its runs go on from one row, or column, to the next."""
    labels = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 1]], np.uint8)

    rows = [(mask.runs.tolist(), mask.box) for mask in cvat_runs(labels)]
    columns = [(mask.runs.tolist(), mask.box) for mask in coco_runs(labels)]

    assert rows == [([1, 3, 2], (0, 0, 3, 2)), ([0, 1, 3, 5], (0, 0, 3, 3))]
    assert columns == [([1, 1, 1, 1, 2, 1, 2], (0, 0, 3, 2)), ([0, 1, 1, 1, 1, 2, 1, 2], (0, 0, 3, 3))]


@pytest.mark.parametrize("runs", [coco_runs, cvat_runs])
@pytest.mark.parametrize("instances", [False, True])
def test_a_label_map_of_void_has_no_runs(runs: Callable[..., Iterator[MaskRuns]], instances: bool) -> None:
    """Neither of classes nor of regions."""
    assert not [*runs(np.full((3, 4), VOID, np.uint8), instances=instances)]
