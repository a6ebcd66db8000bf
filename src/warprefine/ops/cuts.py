"""Find cuts, dissolves, blank and repeated frames and exposure jumps from the thumbnails of a video."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from warprefine.core.continuity import Continuity
from warprefine.ops.thumbnails import Thumbnail, dissimilarity, is_blank

LEAST_CHANGE = 0.30
"""Dissimilarity of neighbouring frames from which there may be a cut. In CamVid, DAVIS and the street it is
at most 0.13 at their frame rates, and 0.28 at a fourth of them; two streets, or places of one drive in
CamVid, differ by 0.31 to 0.6."""
_LEAST_RISE, _AROUND = 0.12, 6
"""How much more a cut changes than the median of so many steps on both sides: fast motion changes all."""
_LONGEST_FLASH, _FLASH_LEVELS, _DARKENED = 3, 25.0, 0.1
"""Frames of a flash, grey levels by which it is brighter, and the largest share of pixels that get darker:
a flash adds light, and another shot is darker somewhere."""
_MIXED: Mapping[int, tuple[float, float]] = {
    1: (0.30, 0.97),
    2: (0.32, 0.97),
    4: (0.37, 0.95),
    10: (0.41, 0.90),
}
"""Frames before and after the middle of a dissolve, with the least dissimilarity of these two, and the least
share of the middle's variance that a mixture of them explains. Motion alone stays below one of them."""
_LEAST_SHARE, _MOST_ALIKE = 0.3, 0.8
"""Least share of both ends in the middle of a dissolve, and largest correlation of the ends."""
_UNEVEN_SUM, _UNEVEN_LEVELS = 0.2, 8.0
"""How much the shares of a dissolve may differ from 1 in sum, and its mean from that of the mixture, in grey
levels: beside a flash, a frame resembles a mixture in its contrast, but not in its brightness."""
_APART = 6
"""Middles of dissolves that are at most so many frames apart belong to one."""
_EXPOSURE_LEVELS, _EXPOSURE_RATIO = 8.0, 1.25
"""An exposure jump changes the mean by so many grey levels and by this factor."""
_SAME_LEVELS, _SAME_MEAN = 1, 0.05
"""A repeated frame differs by at most one grey level in any pixel of the thumbnail, and this on average."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """A frame that later ones are compared with: its thumbnail, and means over 4 x 4 pixels of that."""

    number: int
    picture: Thumbnail
    coarse: NDArray[np.float64]
    mean: float

    @classmethod
    def of(cls, number: int, picture: Thumbnail) -> _Seen:
        h, w = (max(1, side // 4) for side in picture.shape)
        coarse = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
        mean = float(coarse.mean())
        return cls(number=number, picture=picture, coarse=coarse - mean, mean=mean)


@dataclass(frozen=True, kw_only=True, order=True)
class _Mixture:
    """How even a mixture of two frames is, and how much more they differ than a dissolve needs."""

    evenness: float
    beyond: float


@dataclass(kw_only=True)
class _Steps:
    """What was measured of a video so far, by frame."""

    changes: dict[int, float] = field(default_factory=dict)
    flashes: dict[int, int] = field(default_factory=dict)  # frame after a flash -> its first frame
    mixtures: dict[int, _Mixture] = field(default_factory=dict)  # by what may be the middle of a dissolve
    shown: set[int] = field(default_factory=set)
    blank: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    jumps: list[int] = field(default_factory=list)


def find_continuity(thumbnails: Iterable[tuple[int, Thumbnail]], *, sensitivity: float = 1.0) -> Continuity:
    """Find where the picture of a video does not go on from the frame before.

    About twenty thumbnails are in memory at a time, whatever the length of the video.

    Args:
        thumbnails: Frame numbers, ascending, with thumbnails of one size. Where numbers are missing, nothing
            is compared.
        sensitivity: Larger finds more cuts: the change that a cut needs is divided by it.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> shots = [cv2.resize(rng.integers(0, 256, (12, 16), np.uint8), (64, 48)) for _ in range(2)]
        >>> print(find_continuity(enumerate([shots[0], shots[0], shots[1]])))
        1 cut, 1 repeated frame
    """
    steps = _Steps()
    recent: deque[_Seen] = deque(maxlen=2 * max(_MIXED) + 1)
    for number, picture in thumbnails:
        if recent and recent[-1].number != number - 1:
            recent.clear()
        recent.append(_Seen.of(number, picture))
        _measure(steps, recent, sensitivity=sensitivity)
    if not steps.shown:
        steps.blank.clear()  # nothing but blank frames: there is nothing to keep labels from
    cuts = _cuts(steps, sensitivity=sensitivity)
    return Continuity(
        cuts=tuple(cuts),
        blank=tuple(steps.blank),
        repeated=tuple(k for k in steps.repeated if k in steps.shown),
        exposure_jumps=tuple(k for k in steps.jumps if k not in cuts),
    )


def _measure(steps: _Steps, recent: Sequence[_Seen], *, sensitivity: float) -> None:
    """Measure the step to the newest of some consecutive frames."""
    newest = recent[-1]
    if is_blank(newest.picture):
        steps.blank.append(newest.number)
    else:
        steps.shown.add(newest.number)
    if len(recent) > 1:
        _measure_step(steps, recent, least=LEAST_CHANGE / sensitivity)
    for reach, (change, explained) in _MIXED.items():
        if len(recent) > 2 * reach:
            ends = recent[-1 - 2 * reach], recent[-1 - reach], newest
            _measure_mixture(steps, ends, change=change / sensitivity, explained=explained)


def _measure_step(steps: _Steps, recent: Sequence[_Seen], *, least: float) -> None:
    before, newest = recent[-2], recent[-1]
    if _is_same(before.picture, newest.picture):
        steps.repeated.append(newest.number)
        steps.changes[newest.number] = 0.0
    elif {before.number, newest.number} <= steps.shown:
        steps.changes[newest.number] = dissimilarity(before.picture, newest.picture)
        if _is_jump(before.picture, newest.picture):
            steps.jumps.append(newest.number)
        if steps.changes[newest.number] >= least:
            _measure_flash(steps, recent, least=least)


def _measure_flash(steps: _Steps, recent: Sequence[_Seen], *, least: float) -> None:
    """Note a flash that the newest frame ends: the frame before it shows the same, and has less light."""
    newest = recent[-1]
    for length in range(1, min(_LONGEST_FLASH, len(recent) - 2) + 1):
        before, first = recent[-2 - length], recent[-1 - length]
        if (
            steps.changes.get(first.number, 0.0) >= least / 2
            and _adds_light(before.picture, first.picture)
            and dissimilarity(before.picture, newest.picture) < least
        ):
            steps.flashes[newest.number] = first.number


def _measure_mixture(steps: _Steps, ends: Sequence[_Seen], *, change: float, explained: float) -> None:
    """Note a frame that is a mixture of an earlier and a later one, which have little in common."""
    a, middle, b = ends
    if not {a.number, middle.number, b.number} <= steps.shown:
        return
    shares, part, alike = _mixture(a.coarse, middle.coarse, b.coarse)
    if min(shares) < _LEAST_SHARE or part < explained or alike > _MOST_ALIKE:
        return
    mean = shares[0] * a.mean + shares[1] * b.mean
    if abs(sum(shares) - 1) > _UNEVEN_SUM or abs(middle.mean - mean) > _UNEVEN_LEVELS:
        return
    beyond = dissimilarity(a.picture, b.picture) - change
    if beyond >= 0:
        found = _Mixture(evenness=min(shares) / max(shares), beyond=beyond)
        steps.mixtures[middle.number] = max(found, steps.mixtures.get(middle.number, found))


def _mixture(
    a: NDArray[np.float64], middle: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[tuple[float, float], float, float]:
    """Fit a mixture of a and b: the shares of both, the part it explains, and the correlation of a and b."""
    aa, bb, ab, am, bm = (float(x @ y) for x, y in ((a, a), (b, b), (a, b), (a, middle), (b, middle)))
    determinant = aa * bb - ab * ab
    if determinant <= 1e-6 * aa * bb:  # both ends are alike
        return (0.0, 0.0), 0.0, 1.0
    shares = (am * bb - bm * ab) / determinant, (bm * aa - am * ab) / determinant
    rest = middle - shares[0] * a - shares[1] * b
    part = 1 - float(rest @ rest) / max(float(middle @ middle), 1e-9)
    return shares, part, ab / float(np.sqrt(aa * bb))


def _cuts(steps: _Steps, *, sensitivity: float) -> list[int]:
    """Return the frames that begin another shot, ascending."""
    of_flash = {k for ends in steps.flashes.items() for k in ends}
    hard = {
        k
        for k, change in steps.changes.items()
        if k not in of_flash
        and change >= max(LEAST_CHANGE, _usual_change(steps, k) + _LEAST_RISE) / sensitivity
    }
    sudden = hard | of_flash
    soft = [
        k
        for k, mixture in steps.mixtures.items()
        if mixture.beyond >= _usual_change(steps, k) - _LEAST_RISE
        and sudden.isdisjoint(range(k - _APART, k + _APART + 1))
    ]
    middles = (max(group, key=steps.mixtures.__getitem__) for group in _groups(sorted(soft)))
    return sorted({*hard, *middles})


def _usual_change(steps: _Steps, number: int) -> float:
    """Return the median change of the steps around one; 0 without any."""
    around = (k for k in range(number - _AROUND, number + _AROUND + 1) if k != number)
    return median([steps.changes[k] for k in around if k in steps.changes] or [0.0])


def _groups(numbers: Sequence[int]) -> list[list[int]]:
    """Return ascending numbers in groups of those that are at most `_APART` from the one before."""
    groups: list[list[int]] = [[number] for number in numbers[:1]]
    for before, number in pairwise(numbers):
        if number - before <= _APART:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def _is_same(a: Thumbnail, b: Thumbnail) -> bool:
    difference = cv2.absdiff(a, b)
    return int(difference.max()) <= _SAME_LEVELS and float(difference.mean()) < _SAME_MEAN


def _is_jump(a: Thumbnail, b: Thumbnail) -> bool:
    """Return whether the mean brightness changes suddenly."""
    dark, bright = sorted((float(a.mean()), float(b.mean())))
    return bright - dark >= _EXPOSURE_LEVELS and bright >= _EXPOSURE_RATIO * dark


def _adds_light(before: Thumbnail, bright: Thumbnail) -> bool:
    """Return whether a frame is brighter, and hardly anywhere darker, than another."""
    rise = bright.astype(np.float64) - before
    return float(rise.mean()) >= _FLASH_LEVELS and float((rise < 0).mean()) <= _DARKENED
