"""Class-uniform sampling of training epochs, in which rare classes occur as often as common ones.

The method of Zhu et al. (Improving Semantic Segmentation via Video Propagation and Label
Relaxation, CVPR 2019) and Tao et al. (Hierarchical Multi-Scale Attention, 2020): images are divided
into tiles, and crops are placed on the centroids of the classes of each tile. A share of an epoch is
divided evenly among the classes; the rest are images drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from warprefine.core.errors import RecipeError


class Centroid(NamedTuple):
    """Centroid of the pixels of one class in one tile, in pixels of the image.

    It is the mean of their coordinates rounded down, so its own pixel need not be of the class.
    """

    x: int
    y: int
    label: int


class Draw(NamedTuple):
    """One training sample: the index of an image, and the centroid that its crop is placed on, if any."""

    image: int
    centroid: Centroid | None = None


def class_centroids(
    labels: UInt8[np.ndarray, "h w"], *, tile: int, class_count: int, full_tiles_only: bool = False
) -> list[Centroid]:
    """Return the centroid of each class in each tile, ordered by row of tiles, tile and class.

    Args:
        labels: Values of `class_count` and above are void.
        tile: Height and width of the tiles, in pixels. They begin at the top left and do not overlap.
        full_tiles_only: Leave out the remainder at the right and at the bottom, as Tao et al. do. Then
            an image smaller than a tile has no centroids. Otherwise the remainder forms smaller tiles.

    Raises:
        RecipeError: `tile` is not at least 1.

    Example:
        >>> labels = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.uint8)
        >>> class_centroids(labels, tile=2, class_count=2)
        [Centroid(x=0, y=0, label=0), Centroid(x=2, y=0, label=1)]
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
    """Draw one epoch: random images first, then class by class; a function of seed and epoch.

    N draws and C classes with share u have n = int(N u / C) draws for each class and N − n C random
    images. Images, and the centroids of a class, are drawn without replacement: none comes twice before
    all have come once.

    Args:
        by_class: For each class, the draws to choose from.
        share: u, from 0 (images only) to 1.
        weights: For each class, its draws as a multiple of n, rounded down; None is 1 for all. The number
            of random images is independent of it.
        fill_up: Fill the epoch up to N with random images where classes without centroids, or weights
            below 1, leave draws unused. Without it such an epoch is shorter, as in Tao et al.
        length: N; None is the number of images, as in Tao et al.

    Raises:
        RecipeError: `share` is not within 0 and 1, or there is not one weight for each class.

    Example:
        >>> rare = [Draw(2, Centroid(x=5, y=7, label=1))]
        >>> epoch = draw_epoch(4, [[], rare], share=0.5, seed=0, epoch=0)
        >>> [draw.centroid for draw in epoch]
        [None, None, Centroid(x=5, y=7, label=1)]
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
        for draw in _draw_without_replacement(choices, count, rng)
    ]


def crop_around(
    centroid: Centroid, *, crop: tuple[int, int], size: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int]:
    """Return the top and left, in pixels, of a random crop that contains the centroid.

    Each is uniform among the positions that contain the centroid, then moved into the image; along a side
    where the image is smaller than the crop, it is 0 or negative and the crop contains the whole image.

    Args:
        crop: (h, w) of the crop.
        size: (h, w) of the image.

    Example:
        >>> centroid = Centroid(x=90, y=0, label=1)
        >>> crop_around(centroid, crop=(50, 20), size=(50, 100), rng=np.random.default_rng(0))
        (0, 80)
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
    # Sums of integers are exact, and so is their integer division.
    return [
        Centroid(
            left + int(sums[1][label] // counts[label]), top + int(sums[0][label] // counts[label]), label
        )
        for label in np.flatnonzero(counts[:class_count]).tolist()
    ]


def _draw_without_replacement(choices: Sequence[Draw], count: int, rng: np.random.Generator) -> list[Draw]:
    """Return `count` draws from a random order of the choices, repeated from its start when it ends."""
    order = rng.permutation(len(choices))
    return [choices[number] for number in np.resize(order, count).tolist()]


def _edge_before(point: int, crop_length: int, image_length: int, rng: np.random.Generator) -> int:
    slack = image_length - crop_length
    edge = int(rng.integers(point - crop_length + 1, point + 1))
    return min(max(edge, min(slack, 0)), max(slack, 0))
