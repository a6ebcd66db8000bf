"""Draw shapes as the tools of the formats do: polygons by three rules, runs of pixels, connected regions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID
from warprefine.interchange.imported import Positions
from warprefine.interchange.packages import package

MaskArray = Bool[np.ndarray, "h w"]
Points = Float[np.ndarray, "n 2"]
Ring = Float[np.ndarray, "_ 2"]
"""The corners of one of several polygons, which have different numbers of them."""

_MOST_OUTSIDE = 100_000
_LONGEST_RIM = 2_000_000
"""Pixels around a polygon: pycocotools takes 100 bytes for each."""


def points_of(values: Sequence[object], *, where: str, least: int = 3) -> Points:
    """Return the corners of a polygon from a flat list [x, y, x, y, ...], in pixels.

    Args:
        values: The numbers.
        where: How messages name the polygon.
        least: The least number of corners.

    Raises:
        LabelError: They are no finite numbers, odd in number, too few, or far outside of any picture.

    Example:
        >>> points_of([0, 0, 4, 0, 4, 2], where="a polygon").tolist()
        [[0.0, 0.0], [4.0, 0.0], [4.0, 2.0]]
    """
    if not all(type(value) in (int, float) for value in values):
        strange = next(value for value in values if type(value) not in (int, float))
        raise LabelError(
            f"{where} is a polygon with {str(strange)[:40]!r} among its points; expected numbers; export it "
            "again"
        )
    if len(values) % 2 or len(values) < 2 * least:
        raise LabelError(
            f"{where} is a polygon of {len(values)} numbers, expected x and y of at least {least} points; "
            "draw "
            "it again"
        )
    try:
        points = np.array(values, np.float64).reshape(-1, 2)
    except OverflowError:
        points = np.full((1, 2), np.inf)
    return checked_points(points, where=where)


def checked_points(points: Points, *, where: str) -> Points:
    """Return the corners of a polygon, (n, 2), after checking that they can be drawn.

    Raises:
        LabelError: One is not finite, or they are so far outside that drawing them would fill the memory.
    """
    if not np.isfinite(points).all():
        raise LabelError(
            f"{where} is a polygon with a point that is NaN or infinite; expected numbers; draw it again"
        )
    farthest = np.abs(points).max(initial=0)
    # Cut off first, as sums of the largest numbers overflow.
    near = np.clip(points, -10 * _MOST_OUTSIDE, 10 * _MOST_OUTSIDE)
    rim = np.abs(np.diff(near, axis=0, append=near[:1])).max(axis=1, initial=0).sum()
    if farthest > _MOST_OUTSIDE or rim > _LONGEST_RIM:
        raise LabelError(
            f"{where} is a polygon that reaches {farthest:.6g} pixels, {rim:.6g} around; "
            "expected one in the picture; draw it again"
        )
    return points


def coco_polygon(points: Points, size: tuple[int, int]) -> MaskArray:
    """Draw a polygon as pycocotools does (COCO, CVAT's masks, Datumaro): corners lie between pixels.

    The square (0, 0), (1, 0), (1, 1), (0, 1) is the pixel 0, 0. Parts outside of the picture are cut off.

    Args:
        points: Its corners, checked by `points_of` or `checked_points`.
        size: (h, w) of the picture.
    """
    coder = package("pycocotools.mask", needed_for="drawing COCO's polygons")
    h, w = size
    # Its `decode` warns with numpy 2: "__array__ implementation doesn't accept a copy keyword".
    (runs,) = coder.frPyObjects([points.reshape(-1).tolist()], h, w)
    counts = counts_of_text(runs["counts"].decode("ascii"), where="a polygon")
    return mask_of_counts(counts, size, where="a polygon", order="columns")


def pil_polygon(points: Points, size: tuple[int, int]) -> MaskArray:
    """Draw a polygon as Pillow does (labelme, Cityscapes): corners are pixels, the rim is included."""
    h, w = size
    picture = Image.new("1", (w, h))
    ImageDraw.Draw(picture).polygon([(x, y) for x, y in points.tolist()], fill=1, outline=1)
    return np.array(picture)


def cv2_polygon(points: Points, size: tuple[int, int]) -> MaskArray:
    """Draw a polygon as OpenCV does (ultralytics, X-AnyLabeling, Supervisely).

    Corners are cut to whole pixels, the rim is included.
    """
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    return mask.astype(bool)


def mask_of_counts(
    counts: Sequence[object] | NDArray[np.int64],
    size: tuple[int, int],
    *,
    where: str,
    order: Literal["rows", "columns"],
    named: str = "",
) -> MaskArray:
    """Return the mask of run lengths that begin with the number of pixels outside.

    Args:
        counts: Lengths of runs outside and inside, in turn; any may be 0.
        size: (h, w) of the mask.
        where: How messages name the mask.
        order: Whether pixels follow each other in rows (CVAT) or in columns (COCO).
        named: What messages call the runs, if not "RLE".

    Raises:
        LabelError: They are no whole numbers from 0, or do not add up to the size.
    """
    kind, (h, w) = named or "RLE", size
    if not isinstance(counts, np.ndarray):
        wrong = [value for value in counts if type(value) is not int or not 0 <= value <= h * w]
        if wrong:
            raise LabelError(
                f"{where} has an {kind} with the run length {str(wrong[0])[:40]}; expected whole numbers "
                "from 0 to "
                f"{h * w}, the pixels of {h} x {w} (h x w); export it again"
            )
    runs = np.asarray(counts, np.int64)
    if runs.sum() != h * w or (runs < 0).any():
        raise LabelError(
            f"{where} has an {kind} of {int(runs.sum())} pixels; expected {h * w}, those of {h} x {w} (h x "
            "w); "
            "export it again"
        )
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(h, w) if order == "rows" else flat.reshape(w, h).T


def counts_of_text(text: str, *, where: str) -> NDArray[np.int64]:
    """Return the run lengths of COCO's compressed string, as maskApi.c's rleFrString reads them.

    Five bits a character, the sixth says that more follow; from the third run on, the difference to the run
    before the last is kept.

    Raises:
        LabelError: It holds other characters, or ends in the middle of a number.
    """
    codes = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int64) - 48
    if codes.size and (codes.min() < 0 or codes.max() > 63):
        bad = text[int(np.argmax((codes < 0) | (codes > 63))) :][:1]
        raise LabelError(
            f"{where} has an RLE with the character {bad!a}; expected those of COCO; export it again"
        )
    last = (codes & 32) == 0
    if codes.size and not last[-1]:
        raise LabelError(f"{where} has an RLE that ends in the middle of a number; export it again")
    number = np.cumsum(last) - last
    starts = np.flatnonzero(np.r_[True, last[:-1]]) if codes.size else np.empty(0, np.int64)
    place = np.arange(codes.size) - starts[number]
    if codes.size and place.max() > 6:
        raise LabelError(f"{where} has an RLE with a number of more than 35 bits; export it again")
    values = np.zeros(len(starts), np.int64)
    np.add.at(values, number, (codes & 31) << (5 * place))
    ends = np.flatnonzero(last)
    negative = (codes[ends] & 16) != 0
    values -= negative.astype(np.int64) << (5 * (place[ends] + 1))
    # Differences to the run before the last: a sum over the odd ones and one over the even ones, from 1 and
    # 2.
    values[1::2] = np.cumsum(values[1::2])
    if len(values) > 2:
        values[2::2] = np.cumsum(values[2::2])
    return values


def regions(labels: Positions) -> Iterator[tuple[int, MaskArray]]:
    """Yield each connected region of each class, and its class; neighbours share an edge or a corner.

    Regions follow each other by class, then from top to bottom. VOID has none.
    """
    for position in positions_in(labels):
        count, numbers = cv2.connectedComponents((labels == position).astype(np.uint8), connectivity=8)
        for number in range(1, count):
            yield position, numbers == number


def class_masks(labels: Positions) -> Iterator[tuple[int, MaskArray]]:
    """Yield the mask of each class of a label map, and the class; masks lie in memory as the map does."""
    for position in positions_in(labels):
        yield position, labels == position


def positions_in(labels: Positions) -> list[int]:
    """Return the classes that a label map has, without VOID.

    Example:
        >>> positions_in(np.array([[3, 255], [0, 3]], np.uint8))
        [0, 3]
    """
    # Twenty times as fast as np.unique; it takes rows, and in which order they are counted is the same.
    rows = labels if labels.flags.c_contiguous else np.ascontiguousarray(labels.T)
    found = np.flatnonzero(cv2.calcHist([rows], [0], None, [VOID + 1], [0, VOID + 1]))
    return [position for position in found.tolist() if position != VOID]
