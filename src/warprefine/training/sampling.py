"""Choose what a training epoch shows, so that rare classes are seen as often as common ones.

Class-uniform sampling of Zhu et al. (Improving Semantic Segmentation via Video Propagation and Label
Relaxation, CVPR 2019) and Tao et al. (Hierarchical Multi-Scale Attention, 2020): images are divided
into tiles, and the centroids of the classes of each tile are what crops are placed on. A share of an
epoch is divided evenly among the classes; the rest are images drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from warprefine.core.errors import RecipeError


class Centroid(NamedTuple):
    """Where the pixels of one class lie in one tile, in pixels of the image.

    It is their mean rounded down, so the class need not be on it, only around it.
    """

    x: int
    y: int
    label: int


class Draw(NamedTuple):
    """One training sample: the number of an image, and what its crop is placed on if anything."""

    image: int
    centroid: Centroid | None = None


def class_centroids(
    labels: UInt8[np.ndarray, "h w"], *, tile: int, class_count: int, full_tiles_only: bool = False
) -> list[Centroid]:
    """Find the centroid of each class in each tile: tile by tile in rows, and in each class by class.

    Args:
        labels: Classes below `class_count` are looked for; all else is void.
        tile: Height and width of the tiles, in pixels. They begin at the top left and do not overlap.
        full_tiles_only: Leave out what remains at the right and at the bottom, as Tao et al. do. Then
            an image smaller than a tile has no centroids. Otherwise what remains are smaller tiles.

    Raises:
        RecipeError: `tile` is not at least 1.
    """
    if tile < 1:
        raise RecipeError(f"tiles have a size of {tile} pixels; expected 1 or more, such as 1024")
    h, w = labels.shape
    shortest = tile if full_tiles_only else 1
    return [
        centroid
        for top in range(0, h - shortest + 1, tile)
        for left in range(0, w - shortest + 1, tile)
        for centroid in _centroids_in(
            labels[top : top + tile, left : left + tile], top=top, left=left, class_count=class_count
        )
    ]


def placed_by_class(
    label_maps: Iterable[UInt8[np.ndarray, "_ _"]],
    *,
    tile: int,
    class_count: int,
    full_tiles_only: bool = False,
) -> list[list[Draw]]:
    """Return, for each class, a draw for every centroid that it has in any image, in their order."""
    by_class: list[list[Draw]] = [[] for _ in range(class_count)]
    for image, labels in enumerate(label_maps):
        for centroid in class_centroids(
            labels, tile=tile, class_count=class_count, full_tiles_only=full_tiles_only
        ):
            by_class[centroid.label].append(Draw(image, centroid))
    return by_class


def draw_epoch(
    image_count: int,
    by_class: Sequence[Sequence[Draw]],
    *,
    share: float,
    seed: int,
    epoch: int,
    weights: Sequence[float] | None = None,
    fill_up: bool = False,
    length: int | None = None,
) -> list[Draw]:
    """Draw one epoch: random images first, then class by class; every epoch anew, the same for a seed.

    N draws and C classes with share u have n = int(N u / C) draws for each class and N − n C random
    images. Whatever is drawn from, images or the centroids of a class, is dealt like a pack of cards:
    none comes twice before all have come once.

    Args:
        by_class: For each class, what may be drawn for it (`placed_by_class`).
        share: u, from 0 (images only) to 1.
        weights: For each class, how many times n it is drawn, rounded down; None is once for all. The
            number of random images does not follow it.
        fill_up: Make up with random images for what classes without centroids, or weights below 1,
            leave of N. Without it such an epoch is shorter, as that of Tao et al. is.
        length: N; None is the number of images, as it is with Tao et al.

    Raises:
        RecipeError: `share` is not within 0 and 1, or there is not one weight for each class.
    """
    if not 0 <= share <= 1:
        raise RecipeError(f"the class-uniform share of an epoch is {share}; expected 0 to 1")
    if weights is not None and len(weights) != len(by_class):
        raise RecipeError(f"{len(weights)} weights for {len(by_class)} classes; give one to each class")
    rng = np.random.default_rng((seed, epoch))
    total = image_count if length is None else length
    per_class = int(total * share / len(by_class))
    counts = [
        int(per_class * weight) if choices else 0
        for choices, weight in zip(by_class, weights or [1.0] * len(by_class), strict=True)
    ]
    random_count = total - per_class * len(by_class)
    if fill_up:
        random_count = max(random_count, total - sum(counts))
    images = [Draw(image) for image in range(image_count)]
    return [
        draw
        for choices, count in zip((images, *by_class), (random_count, *counts), strict=True)
        for draw in _deal(choices, count, rng)
    ]


def crop_around(
    centroid: Centroid, *, crop: tuple[int, int], size: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int]:
    """Place a crop so that it contains the centroid: return its top and left in pixels.

    Each is uniform among the places that show the centroid, then moved into the image; along a side
    where the image is smaller than the crop, it is 0 or negative and all of the image is shown.

    Args:
        crop: (h, w) of the crop.
        size: (h, w) of the image.
    """
    top, left = (
        _edge_before(point, crop_length, image_length, rng)
        for point, crop_length, image_length in zip((centroid.y, centroid.x), crop, size, strict=True)
    )
    return top, left


def _centroids_in(part: UInt8[np.ndarray, "h w"], *, top: int, left: int, class_count: int) -> list[Centroid]:
    values = part.ravel()
    counts = np.bincount(values, minlength=256)
    sums = [np.bincount(values, weights=axis.ravel(), minlength=256) for axis in np.indices(part.shape)]
    # Sums of whole numbers are exact, and so is their division without a remainder.
    return [
        Centroid(
            left + int(sums[1][label] // counts[label]), top + int(sums[0][label] // counts[label]), label
        )
        for label in np.flatnonzero(counts[:class_count]).tolist()
    ]


def _deal(choices: Sequence[Draw], count: int, rng: np.random.Generator) -> list[Draw]:
    """Shuffle, hand out from the top, and begin again with the first when all have gone."""
    order = rng.permutation(len(choices))
    return [choices[number] for number in np.resize(order, count).tolist()]


def _edge_before(point: int, crop_length: int, image_length: int, rng: np.random.Generator) -> int:
    slack = image_length - crop_length
    edge = int(rng.integers(point - crop_length + 1, point + 1))
    return min(max(edge, min(slack, 0)), max(slack, 0))
