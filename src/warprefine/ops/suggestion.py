"""Choose the frames whose labelling would help most, from the expected error of every frame.

A pure search, greedy: the frame with the largest gain is chosen, the errors of its neighbours are lowered by
what its labels would be worth there, and so on. Neighbours of a chosen frame gain little afterwards, so the
choice is spread over the video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from warprefine.ops.calibration import rising

UNLABELLED = 1.0
"""Expected error of a frame without labels: all of it would have to be labelled."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Footage:
    """The frames of one video, as far as a choice depends on them.

    Attributes:
        errors: The expected share of wrong pixels of each frame, 0 to 1; NaN where it has no labels.
        distances: Frames to the nearest key frame; 0 on key frames, -1 where a frame has no labels.
        stretch: Labels are carried between frames of the same number; -1 for frames that cannot be read.
        accepted: The frames whose labels a person has accepted: they are not chosen; None: no frame.
    """

    errors: Float64[np.ndarray, " n"]
    distances: Int64[np.ndarray, " n"]
    stretch: Int64[np.ndarray, " n"]
    accepted: Bool[np.ndarray, " n"] | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A frame to be labelled.

    Attributes:
        video: The place of its video.
        frame: Its number.
        error: Its expected share of wrong pixels, before it and those chosen earlier are labelled.
        gain: The expected number of pixels that become right, its own included, counted in whole frames.
        reached: The first and the last frame that gain.
        unlabelled: How many frames get labels that have none.
    """

    video: int
    frame: int
    error: float
    gain: float
    reached: tuple[int, int]
    unlabelled: int


def error_by_distance(footages: Sequence[Footage], horizon: int) -> Float64[np.ndarray, " k"]:
    """Return the expected error at distance 0, 1, ..., horizon: 0 at first, and never less farther away.

    Distances at which there is no frame have the error of the next nearer one; without any frame it rises
    evenly to a half.

    Example:
        >>> errors, distances = np.array([0.0, 0.1, 0.3, 0.2]), np.array([0, 1, 2, 3])
        >>> footage = Footage(errors=errors, distances=distances, stretch=np.zeros(4, np.int64))
        >>> error_by_distance([footage], 4).tolist()
        [0.0, 0.1, 0.25, 0.25, 0.25]
    """
    sums, counts = np.zeros(horizon + 1), np.zeros(horizon + 1)
    for one in footages:
        known = (one.distances > 0) & (one.distances <= horizon) & ~np.isnan(one.errors)
        np.add.at(sums, one.distances[known], one.errors[known])
        np.add.at(counts, one.distances[known], 1.0)
    there = np.flatnonzero(counts)
    if not there.size:
        return np.linspace(0, 0.5, horizon + 1)
    curve = rising(sums[there] / counts[there], counts[there])
    places = np.searchsorted(there, np.arange(horizon + 1), side="right") - 1
    whole: Float64[np.ndarray, " k"] = np.where(places >= 0, curve[np.maximum(places, 0)], curve[0])
    whole[0] = 0
    return whole


def choose_frames(footages: Sequence[Footage], n: int, *, horizon: int) -> list[Choice]:
    """Choose up to n frames, the one that helps most first.

    A frame that is labelled has no error any more. A frame at distance d from it keeps of its error the part
    by which errors at distance d are smaller than at its present distance; one without labels gets those of
    distance d. Frames that two key frames reach are better than that, which is not counted. Frames whose
    labels were accepted have no error, and none is chosen of them.

    Args:
        footages: The videos.
        n: The number of frames.
        horizon: Frames are labelled up to this far from a key frame.

    Example:
        >>> errors = np.array([0.0, 0.1, 0.2, 0.3, 0.4, np.nan, np.nan, np.nan, np.nan])
        >>> distances = np.array([0, 1, 2, 3, 4, -1, -1, -1, -1])
        >>> footage = Footage(errors=errors, distances=distances, stretch=np.zeros(9, np.int64))
        >>> len(choose_frames([footage], 2, horizon=4))
        2
    """
    curve = error_by_distance(footages, horizon)
    states = [_State.of(one, curve) for one in footages]
    chosen: list[Choice] = []
    while len(chosen) < n:
        gains = [state.gains() for state in states]
        best = max(((float(of.max(initial=0)), -place) for place, of in enumerate(gains)), default=(0.0, 0))
        place = -best[1]
        if best[0] <= 0:
            break
        frame = int(gains[place].argmax())
        chosen.append(replace(states[place].chosen(frame), video=place))
    return chosen


@dataclass(kw_only=True, eq=False)
class _State:
    """The errors of one video, as they are expected after the choices made so far."""

    errors: Float64[np.ndarray, " n"]
    distances: Int64[np.ndarray, " n"]
    stretch: Int64[np.ndarray, " n"]
    unlabelled: Bool[np.ndarray, " n"]
    closed: Bool[np.ndarray, " n"]
    curve: Float64[np.ndarray, " k"]

    @classmethod
    def of(cls, footage: Footage, curve: Float64[np.ndarray, " k"]) -> _State:
        unlabelled = np.isnan(footage.errors) & (footage.stretch >= 0)
        closed = np.zeros_like(unlabelled) if footage.accepted is None else footage.accepted
        errors = np.where(unlabelled, UNLABELLED, np.nan_to_num(footage.errors))
        errors = np.where(closed, 0.0, errors)
        distances = np.where(unlabelled, len(curve), footage.distances)
        return cls(
            errors=errors,
            distances=distances.astype(np.int64),
            stretch=footage.stretch,
            unlabelled=unlabelled & ~closed,
            closed=closed,
            curve=curve,
        )

    def gains(self) -> Float64[np.ndarray, " n"]:
        """Return what labelling each frame would gain, in whole frames of pixels; -1 where it cannot be."""
        n = len(self.errors)
        total = self.errors.copy()
        for d in range(1, min(len(self.curve), n)):
            for source, other in ((slice(d, n), slice(0, n - d)), (slice(0, n - d), slice(d, n))):
                same = self.stretch[source] == self.stretch[other]
                total[source] += np.where(same, (self.errors - self._after(d))[other], 0)
        return np.where((self.distances == 0) | (self.stretch < 0) | self.closed, -1.0, total)

    def chosen(self, frame: int) -> Choice:
        """Return a frame as a choice, and lower the errors of all that it reaches."""
        error, first, last, gain, new = float(self.errors[frame]), frame, frame, 0.0, 0
        span, n = len(self.curve) - 1, len(self.errors)
        for other in range(max(0, frame - span), min(n, frame + span + 1)):
            d = abs(other - frame)
            if self.stretch[other] != self.stretch[frame]:
                continue
            after = float(self._after(d)[other]) if d else 0.0
            if after < self.errors[other]:
                gain += float(self.errors[other]) - after
                first, last = min(first, other), max(last, other)
                new += int(self.unlabelled[other])
                self.errors[other], self.unlabelled[other] = after, False
                self.distances[other] = min(d, int(self.distances[other]))
        self.distances[frame] = 0
        return Choice(video=0, frame=frame, error=error, gain=gain, reached=(first, last), unlabelled=new)

    def _after(self, d: int) -> Float64[np.ndarray, " n"]:
        """Return the errors if each frame had a key frame at distance d, unless it has a nearer one."""
        now = self.curve[np.minimum(self.distances, len(self.curve) - 1)]
        share = np.divide(self.curve[d], now, out=np.ones_like(now), where=now > 0)
        after = np.where(self.unlabelled, self.curve[d], self.errors * np.minimum(share, 1))
        lower: Float64[np.ndarray, " n"] = np.where(
            self.distances > d, np.minimum(after, self.errors), self.errors
        )
        return lower
