"""Classes of the synthetic street: the eleven of CamVid, in its colours."""

from __future__ import annotations

from warprefine.core.classes import ClassSet

STREET_CLASSES = ClassSet(
    names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    colors=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
    categories=(
        "sky",
        "construction",
        "object",
        "flat",
        "flat",
        "nature",
        "object",
        "construction",
        "vehicle",
        "human",
        "human",
    ),
)
