"""Compare class-uniform sampling with that of Tao et al. (2020)."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from warprefine.core.tensors import VOID
from warprefine.training.data.sampling import Centroid, Draw, class_centroids, draw_epoch

USED_TILE = 1024
"""The reference's tiles have this size, whatever its configuration says."""

Found = dict[tuple[str, int], list[tuple[int, int]]]


def label_maps(folder: Path, pattern: str) -> dict[str, NDArray[np.uint8]]:
    maps = {}
    for file in folder.glob(pattern):
        with Image.open(file) as image:
            maps[file.name] = np.asarray(image)
    return maps


def find(maps: dict[str, NDArray[np.uint8]], *, tile: int, class_count: int) -> Found:
    """Return the places of each class of each file, in their order."""
    found: Found = {}
    for file, labels in maps.items():
        for x, y, label in class_centroids(labels, tile=tile, class_count=class_count, full_tiles_only=True):
            found.setdefault((file, label), []).append((x, y))
    return found


def expected(by_class: dict[str, list[tuple[str, list[int], int]]]) -> Found:
    """Return what is stored for a tile size in the same way."""
    stored: Found = {}
    for entries in by_class.values():
        for file, (x, y), label in entries:
            stored.setdefault((file, label), []).append((x, y))
    return stored


@pytest.mark.golden("class_uniform/*.json")
def test_centroids(golden_file: Path) -> None:
    """Every tile of every image has the reference's centroids, in its order."""
    stored = json.loads(golden_file.read_text())
    maps = label_maps(golden_file.parent, "train_*.png")
    for tile, by_class in stored["tiles"].items():
        found = find(maps, tile=int(tile), class_count=stored["num_classes_train"])
        assert found == expected(by_class), tile


@pytest.mark.golden("class_uniform/*.json")
def test_centroids_of_mapped_ids(golden_file: Path) -> None:
    """Files that hold ids have the reference's centroids after their ids are mapped to classes."""
    stored = json.loads(golden_file.read_text())
    classes = {int(id_): label for id_, label in stored["id2trainid_used"].items() if 0 <= label < VOID}
    class_of = np.full(256, VOID, np.uint8)
    class_of[list(classes)] = list(classes.values())
    maps = {name: class_of[ids] for name, ids in label_maps(golden_file.parent, "id_*.png").items()}
    for tile, by_class in stored["id_mapped_tiles"].items():
        found = find(maps, tile=int(tile), class_count=max(classes.values()) + 1)
        assert found == expected(by_class), tile


@pytest.mark.golden("class_uniform/*.json")
def test_images_smaller_than_a_tile(golden_file: Path) -> None:
    """Where the reference finds nothing, all of a small image is one tile by default."""
    stored = json.loads(golden_file.read_text())
    class_count = stored["num_classes_train"]
    maps = label_maps(golden_file.parent, "train_*.png")
    for key in (key for key in stored if key.startswith("build_centroids")):
        assert find(maps, tile=USED_TILE, class_count=class_count) == expected(stored[key])
    for name, labels in maps.items():
        found = {c.label for c in class_centroids(labels, tile=USED_TILE, class_count=class_count)}
        assert found == set(np.unique(labels[labels < class_count]).tolist()), name


def composition(case: dict[str, Any]) -> dict[str, Any]:
    """Draw an epoch of the case's settings, and describe it as the reference's was described."""
    by_class = [
        [Draw(number, Centroid(number, 0, label)) for number in range(count)]
        for label, count in enumerate(case["centroid_counts"])
    ]
    share, weights = case["class_uniform_pct"], case.get("bias")
    draws = draw_epoch(case["n_images"], by_class, share=share, weights=weights, seed=0, epoch=0)
    parts = [list(part) for _, part in groupby(draws, lambda draw: draw.centroid and draw.centroid.label)]
    random = parts.pop(0) if draws and draws[0].centroid is None else []
    times = [
        Counter(draw for draw in draws if draw.centroid and draw.centroid.label == label)
        for label in range(len(by_class))
    ]
    labels = [part[0].centroid.label for part in parts if part[0].centroid]
    return {
        "epoch_length": len(draws),
        "n_random": len(random),
        "per_class": [part.total() for part in times],
        "random_image_multiplicities": sorted({*Counter(random).values()}),
        "random_distinct": len({*random}),
        "per_class_min_max_distinct": [
            [min(part.values()), max(part.values()), len(part)] if part else None for part in times
        ],
        "order": f"random part first, then classes ascending: {labels == sorted({*labels})}",
    }


@pytest.mark.golden("class_uniform/*.json")
def test_epochs(golden_file: Path) -> None:
    """An epoch has as many random images and draws for each class, in the order of the reference."""
    for case in json.loads(golden_file.read_text())["epochs"]:
        found = composition(case)
        assert found == {key: case[key] for key in found}
