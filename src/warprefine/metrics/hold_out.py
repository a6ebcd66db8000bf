"""Estimate the quality of labels without truth, from key frames that were labelled as if they were none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from warprefine.core.classes import ClassSet
from warprefine.core.names import counted
from warprefine.metrics import confusion as confusions
from warprefine.metrics.calibration import CalibrationScores, score_confidence
from warprefine.metrics.confusion import Confusion
from warprefine.metrics.expected import ExpectedScores, expected_scores
from warprefine.metrics.scores import format_percent, spread
from warprefine.ops.calibration import CalibrationTable, Hits, fit_calibration

DRAWS = 100
"""Draws of key frames for a range."""
_RANGE = (5, 95)
"""Percentiles of the draws that are the ends of a range: it holds nine tenths of them."""
_LEVEL = 255
_COLUMNS = 8
_FEW = 5
"""Fewer key frames have fewer different draws (35 of four) than are drawn, so their range is rough."""
_MUCH_FARTHER = 1.5
"""Times the mean distance of labelled frames from which on key frames count as farther away."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOutFrame:
    """A key frame that was labelled as if it were none.

    Attributes:
        video: The name of its video.
        frame: Its number.
        kind: "hold-out": from other key frames; "cycle": by its own labels, which shows fewer errors;
            "alone": by the segmenter alone.
        distance: Frames to the nearest key frame that it was labelled from, or to where cycles turn; 0 if it
            was labelled by the segmenter alone.
        hits: Its pixels by label, level of raw confidence, and wrong or right.
        confusion: Its pixels by truth and label.
        sources: How many key frames it was labelled from: two where there is one on each side.
    """

    video: str
    frame: int
    kind: str
    distance: int
    hits: Hits
    confusion: Confusion
    sources: int = 1


@dataclass(frozen=True, kw_only=True)
class Range:
    """An estimate in percent, and the range of nine tenths of the draws of key frames."""

    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return format_percent(self.value)
        return f"{self.value:.1f} ({self.low:.1f} to {self.high:.1f})"


@dataclass(frozen=True, kw_only=True)
class HoldOutEstimate:
    """What the labels of a method are worth, as far as key frames show it; in percent.

    Attributes:
        kind: "hold-out", or "cycle" where no key frame could be held out, the weaker estimate.
        key_frames: How many key frames were labelled as if they were none.
        measured_by_distance: The mIoU of these key frames, by their distance to the nearest key frame that
            they were labelled from: measured, but mostly farther away than the frames of the run.
        measured_by_class: Their IoU by class, all distances together.
        miou: The estimated mIoU of the frames of the run, as the mean over the distances, with its range.
        miou_by_distance: The same at distance 1, 2, ..., horizon.
        iou_by_class: The same of each class, over all frames.
        accuracy: The estimated share of right pixels.
        raw: How far the method's own confidence can be believed on these key frames.
        calibrated: The same of confidence that was calibrated on the other key frames; None with one alone.
        held_out_distance: The mean distance of the key frames from those that they were labelled from.
        labelled_distance: The mean distance of the frames of the run from their nearest key frame, and the
            largest; None where it has no such frames.
        unreached: The estimate of the frames that no key frame reaches, all together, if the segmenter alone
            has labelled them: from key frames that it labels alone without having learned from them.
    """

    kind: str
    key_frames: int
    measured_by_distance: Mapping[int, float | None]
    measured_by_class: Mapping[str, float | None]
    miou: Range
    miou_by_distance: Sequence[Range]
    iou_by_class: Mapping[str, Range]
    accuracy: Range
    raw: CalibrationScores
    calibrated: CalibrationScores | None
    held_out_distance: float = 0.0
    labelled_distance: tuple[float, int] | None = None
    unreached: HoldOutEstimate | None = None

    @property
    def note(self) -> str:
        """How rough the estimate is, and which way it errs, in a line; "" where nothing speaks against it."""
        found = []
        if self.key_frames < _FEW:
            few = "1 key frame was" if self.key_frames == 1 else f"{self.key_frames} key frames were"
            found.append(f"it is rough: only {few} held out")
        if self.kind == "cycle":
            found.append("it is too high: the labels only went away from key frames and back to them")
        elif (way := self._farther()) is not None and self.labelled_distance is not None:
            mean, farthest = self.labelled_distance
            found.append(
                f"it is likely too {way}: key frames were labelled from {self.held_out_distance:.3g} frames "
                f"away, the run's frames from {mean:.3g} on average, {farthest} at most"
            )
        elif found and self.kind == "hold-out":
            found.append("it may be too low or too high")
        return "; ".join(found)

    def _farther(self) -> str | None:
        """Return "low" where key frames were labelled from farther away than others, "high" if nearer."""
        if self.kind != "hold-out" or self.labelled_distance is None:
            return None
        ratio = self.held_out_distance / self.labelled_distance[0]
        return "low" if ratio >= _MUCH_FARTHER else "high" if ratio <= 1 / _MUCH_FARTHER else None

    def to_json(self) -> dict[str, Any]:
        """Return the estimate as it is written."""
        return {
            "kind": self.kind,
            "key_frames": self.key_frames,
            "note": self.note,
            "held_out_distance": round(self.held_out_distance, 4),
            "labelled_distance": self.labelled_distance and list(self.labelled_distance),
            "measured_by_distance": {str(k): _rounded(v) for k, v in self.measured_by_distance.items()},
            "measured_by_class": {name: _rounded(v) for name, v in self.measured_by_class.items()},
            "miou": _as_list(self.miou),
            "miou_by_distance": [_as_list(one) for one in self.miou_by_distance],
            "iou_by_class": {name: _as_list(one) for name, one in self.iou_by_class.items()},
            "accuracy": _as_list(self.accuracy),
            "confidence": {
                "raw": self.raw.to_json(),
                "calibrated": None if self.calibrated is None else self.calibrated.to_json(),
            },
            "unreached": None if self.unreached is None else self.unreached.to_json(),
        }


def estimate(
    frames: Sequence[HeldOutFrame],
    counts: Int64[np.ndarray, "k n 256"],
    classes: ClassSet,
    *,
    sources: Mapping[int, int] | None = None,
    seed: int = 0,
) -> HoldOutEstimate:
    """Estimate the scores of a run from held-out key frames.

    The confidence of all labels of the run is calibrated on them, and gives the expected scores. Key frames
    with a neighbour on one side alone, the first and last of a video, are labelled far worse than others:
    they count as much as there are frames of the run that are labelled from as many key frames. The range
    comes from drawing key frames with replacement; with few of them it is rough, and too narrow.

    Args:
        frames: Key frames that were labelled as if they were none; one at least.
        counts: Pixels of the run by distance, label and level of raw confidence.
        classes: The classes.
        sources: Frames of the run by the number of key frames that they are labelled from; None if all key
            frames count the same.
        seed: Seed of the draws.
    """
    whole = _expected(frames, counts, classes, sources or {})
    rng = np.random.default_rng(seed)
    places = sorted({(one.video, one.frame) for one in frames})
    by_place = {place: [one for one in frames if (one.video, one.frame) == place] for place in places}
    draws = [
        _expected([one for k in drawn for one in by_place[places[k]]], counts, classes, sources or {})
        for drawn in rng.integers(0, len(places), (DRAWS if len(places) > 1 else 0, len(places))).tolist()
    ]
    horizon, names = range(len(counts)), classes.names
    by_distance = [_range(whole.miou_by_distance[k], [d.miou_by_distance[k] for d in draws]) for k in horizon]
    by_class = {n: _range(whole.iou_by_class[n], [d.iou_by_class[n] for d in draws]) for n in names}
    of_kind = [one for one in frames if one.kind == "hold-out"] or list(frames)
    return HoldOutEstimate(
        kind=of_kind[0].kind,
        key_frames=len(places),
        measured_by_distance=_measured_by_distance(of_kind),
        measured_by_class=_measured_by_class(of_kind, classes),
        miou=_range(whole.miou, [one.miou for one in draws]),
        miou_by_distance=by_distance,
        iou_by_class=by_class,
        accuracy=_range(whole.accuracy, [one.accuracy for one in draws]),
        raw=score_confidence(sum((one.hits for one in frames), np.zeros_like(frames[0].hits))),
        calibrated=_cross_calibrated(frames),
        held_out_distance=float(np.mean([one.distance for one in of_kind])),
        labelled_distance=None if of_kind[0].kind == "alone" else _distance_of_labelled(counts),
    )


def _distance_of_labelled(counts: Int64[np.ndarray, "k n 256"]) -> tuple[float, int] | None:
    """Return the mean distance of labelled pixels from their key frame, and the largest."""
    pixels = counts.sum(axis=(1, 2))
    if not pixels.any():
        return None
    distances = np.arange(1, len(pixels) + 1)
    return float((pixels * distances).sum() / pixels.sum()), int(distances[pixels > 0].max())


def _measured_by_distance(frames: Sequence[HeldOutFrame]) -> dict[int, float | None]:
    totals: dict[int, Confusion] = {}
    for one in sorted(frames, key=lambda one: one.distance):
        totals[one.distance] = totals.get(one.distance, np.zeros_like(one.confusion)) + one.confusion
    return {k: _percent(confusions.mean_iou(total)) for k, total in totals.items()}


def _measured_by_class(frames: Sequence[HeldOutFrame], classes: ClassSet) -> dict[str, float | None]:
    total = sum((one.confusion for one in frames), np.zeros_like(frames[0].confusion))
    return {n: _percent(value) for n, value in zip(classes.names, confusions.iou(total), strict=True)}


def format_estimates(estimates: Mapping[str, HoldOutEstimate]) -> str:
    """Format estimates as plain text: a block of lines for each method."""
    lines: list[str] = []
    for method, one in estimates.items():
        known = [k for k, value in enumerate(one.miou_by_distance, 1) if value.value is not None]
        shown = [known[k - 1] for k in spread(len(known), most=_COLUMNS)]
        weaker = "" if one.kind == "hold-out" else ": cycles alone, the weaker estimate, which is too high"
        lines += [
            f"{method}: estimated mIoU {one.miou} %, {counted(one.key_frames, 'key frame')}{weaker}",
            "  by distance: " + ", ".join(f"k={k} {one.miou_by_distance[k - 1]}" for k in shown),
            "  measured on key frames: "
            + ", ".join(f"k={k} {format_percent(v)}" for k, v in one.measured_by_distance.items()),
            "  by class: " + ", ".join(f"{name} {of_class}" for name, of_class in one.iou_by_class.items()),
        ]
        lines += [f"  note: {one.note}"] if one.note else []
        if one.unreached is not None:
            alone = one.unreached
            lines.append(
                f"  out of reach, by the segmenter alone: mIoU {alone.miou} %, "
                f"{counted(alone.key_frames, 'key frame')}"
            )
    return "\n".join(lines)


def _expected(
    frames: Sequence[HeldOutFrame],
    counts: Int64[np.ndarray, "k n 256"],
    classes: ClassSet,
    sources: Mapping[int, int],
) -> ExpectedScores:
    weights = weights_of([one.sources for one in frames], sources)
    hits = sum(weight * one.hits for weight, one in zip(weights, frames, strict=True))
    matrix = sum(weight * one.confusion for weight, one in zip(weights, frames, strict=True))
    table = fit_calibration(np.rint(hits).astype(np.int64))
    return expected_scores(calibrated_sums(counts, table), np.rint(matrix).astype(np.int64), classes)


def weights_of(held_out: Sequence[int], run: Mapping[int, int]) -> Float64[np.ndarray, " f"]:
    """Return what key frames count, 1 on average, so that those with as many sources stand for the run's.

    A number of sources that few key frames have is not relied upon alone: one further key frame of it is
    thought to be like the mean of all.

    Args:
        held_out: The number of key frames that each was labelled from.
        run: Frames of the run by that number.

    Example:
        >>> weights_of([2, 2, 2, 1, 1], {2: 90}).round(2).tolist()  # no frame of the run is at an end
        [1.5, 1.5, 1.5, 0.25, 0.25]
        >>> weights_of([2, 2, 1, 1], {2: 50, 1: 50}).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    alike = {number: held_out.count(number) for number in set(held_out)}
    frames = sum(run.get(number, 0) for number in alike)
    if frames == 0:
        return np.ones(len(held_out))
    own = {number: run.get(number, 0) / frames * n / (n + 1) for number, n in alike.items()}
    rest = (1 - sum(own.values())) / len(held_out)
    return len(held_out) * np.array([own[number] / alike[number] + rest for number in held_out])


def calibrated_sums(
    counts: Int64[np.ndarray, "k n 256"], table: CalibrationTable
) -> Int64[np.ndarray, "k n 2"]:
    """Return pixels and sums of calibrated levels by distance and label, as the manifest keeps them."""
    levels: Float64[np.ndarray, "k n"] = (counts * np.rint(_LEVEL * table)).sum(axis=2)
    return np.stack([counts.sum(axis=2), np.rint(levels).astype(np.int64)], axis=2)


def _cross_calibrated(frames: Sequence[HeldOutFrame]) -> CalibrationScores | None:
    """Score the confidence of each key frame as calibrated on all others; None where there is one alone."""
    places = sorted({(one.video, one.frame) for one in frames})
    if len(places) < 2:
        return None
    found = np.zeros_like(frames[0].hits)
    for place in places:
        others = sum((f.hits for f in frames if (f.video, f.frame) != place), np.zeros_like(found))
        own = sum((f.hits for f in frames if (f.video, f.frame) == place), np.zeros_like(found))
        levels = np.rint(_LEVEL * fit_calibration(others)).astype(np.int64)
        for row in range(len(own)):
            np.add.at(found[row], levels[row], own[row])
    return score_confidence(found)


def _range(value: float | None, draws: Sequence[float | None]) -> Range:
    known = [one for one in draws if one is not None]
    if value is None or not known:
        return Range(value=value, low=None, high=None)
    low, high = (float(end) for end in np.percentile(known, _RANGE))
    return Range(value=value, low=min(low, value), high=max(high, value))


def _percent(share: float) -> float | None:
    return None if np.isnan(share) else 100 * float(share)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _as_list(one: Range) -> list[float | None]:
    return [_rounded(value) for value in (one.value, one.low, one.high)]
