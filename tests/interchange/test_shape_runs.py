"""Tests of the run lengths of all masks of a label map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.interchange.projects import label_maps
from warprefine.core.tensors import VOID
from warprefine.interchange.shapes import (
    class_masks,
    mask_of_counts,
    regions,
    runs_of_classes,
    runs_of_regions,
)

coder = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")


@given(data=st.data())
def test_runs_of_classes_are_those_that_pycocotools_finds_mask_by_mask(data: st.DataObject) -> None:
    """To the last character of their text."""
    labels = data.draw(label_maps(4))
    h, w = labels.shape

    found = dict(runs_of_classes(labels))

    masks = dict(class_masks(labels))
    assert [*found] == [*masks]
    for position, mask in masks.items():
        text = coder.frPyObjects({"size": [h, w], "counts": found[position]}, h, w)["counts"]
        assert text == coder.encode(np.asfortranarray(mask, np.uint8))["counts"]


@given(data=st.data())
def test_runs_of_regions_are_the_regions_in_another_order(data: st.DataObject) -> None:
    """Each region comes once, with its runs down the columns."""
    labels = data.draw(label_maps(3))

    found = {
        (position, mask_of_counts(runs.astype(np.int64), labels.shape, where="", order="columns").tobytes())
        for position, runs in runs_of_regions(labels)
    }

    wanted = [(position, mask.tobytes()) for position, mask in regions(labels)]
    assert found == set(wanted)
    assert len([*runs_of_regions(labels)]) == len(wanted)


def test_a_label_map_of_void_has_no_runs() -> None:
    """Neither of classes nor of regions."""
    labels = np.full((3, 4), VOID, np.uint8)

    assert not [*runs_of_classes(labels)]
    assert not [*runs_of_regions(labels)]
