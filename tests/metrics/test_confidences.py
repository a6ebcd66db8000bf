"""Tests of metrics/confidences.py: how sure a method is, by distance and by class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from warprefine.io.images import write_gray, write_labels
from warprefine.metrics.confidences import key_frame_shares, measure_confidence


def test_confidence_is_averaged_by_distance_and_needs_no_truth(run, blind, world):
    """How sure a method is can be shown for any data; a method without confidence has none to show."""
    found = measure_confidence(run, blind, methods=world.methods, horizon=world.horizon)

    assert list(found) == ["warp-refine"]
    assert found["warp-refine"].by_distance == pytest.approx([90, 80, 70, 60], abs=0.2)
    assert found["warp-refine"].mean == pytest.approx(75, abs=0.2)


def test_a_common_class_does_not_hide_a_rare_one(run, blind, world):
    """Road everywhere is certain, the few pixels of car are not: the mean of the classes says so."""
    labels = torch.zeros((1, world.h, world.w), dtype=torch.uint8)
    labels[0, 0, 0] = 1
    sure = torch.ones((1, world.h, world.w))
    sure[0, 0, 0] = 0.2
    for video in blind.videos:
        for stem in video.stems:
            write_labels(run.labels_path("warp-refine", video.name, stem), labels, world.classes)
            write_gray(run.confidence_path("warp-refine", video.name, stem), sure)

    found = measure_confidence(run, blind, methods=["warp-refine"], horizon=world.horizon)["warp-refine"]

    assert found.mean == pytest.approx(100, abs=0.5)
    assert found.by_class == {"road": pytest.approx(100), "car": pytest.approx(20), "bird": None}
    assert found.mean_of_classes == pytest.approx(60)
    assert found.shares == {
        "road": pytest.approx(100, abs=0.5),
        "car": pytest.approx(100 / (world.h * world.w)),
        "bird": 0,
    }


def test_shares_of_the_key_labels_are_of_all_their_pixels(dataset, world):
    """VOID counts as a pixel."""
    (labels,) = world.truth(2).numpy()

    assert key_frame_shares(dataset) == {
        name: pytest.approx(100 * float(np.mean(labels == i))) for i, name in enumerate(world.classes.names)
    }
    none = replace(dataset, videos=tuple(replace(video, labels={}) for video in dataset.videos))
    assert set(key_frame_shares(none).values()) == {0}
