"""Label a key frame as if it were none: from its neighbours alone, or along cycles back to itself.

Its hand-made labels then tell how good labels are, and how far their confidence can be believed. Everything
here works with any `Labeller`: a rehearsal is a video without that key frame, or a video in which frames
occur several times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from warprefine.core.protocols import Segmentation
from warprefine.core.pseudolabel import PseudoLabel
from warprefine.core.tensors import Flow, Frames, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.propagation.evidence import Evidence, Models, open_evidence
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.units import Unit

Kind: TypeAlias = Literal["hold-out", "cycle"]
MARGIN = 2
"""Frames beyond the target in a rehearsal from one side; warp-refine-plus averages over so many."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """A key frame that is labelled as if it were none.

    Attributes:
        video: The video.
        key_frame: Its key frame, whose labels are hidden.
        kind: Labelled from other key frames (hold-out), or by its own labels that went away and came back
            (cycle), which shows fewer errors: what motion does wrong on the way out, it undoes on the way
            back.
        distance: Frames to the nearest key frame that it is labelled from, or to where cycles turn.
        sequence: The numbers of the frames that labels travel through, in order.
        sources: Places in `sequence` at which labels are known.
        target: The place in `sequence` that is labelled.
    """

    video: Video
    key_frame: int
    kind: Kind
    distance: int
    sequence: tuple[int, ...]
    sources: tuple[int, ...]
    target: int

    def travelled(self) -> Video:
        """Return the sequence as a video, whose key frames are the sources."""
        paths = self.video.frame_paths
        return Video(
            name=self.video.name,
            stems=[self.video.stems[k] for k in self.sequence],
            frame_paths=[paths[k] for k in self.sequence] if paths else (),
            container=self.video.container,
            labels={place: self.video.labels[self.sequence[place]] for place in self.sources},
        )


def hold_out(video: Video, key_frame: int, *, reach: int) -> Rehearsal | None:
    """Return the rehearsal of a key frame from the key frames before and after it; None without any.

    Args:
        reach: Key frames within so many frames take part, and the nearest at any distance.

    Example:
        >>> labels = {k: Path(f"{k}.png") for k in (1, 4)}
        >>> video = Video(name="drive", stems="012345", container=Path("drive.mp4"), labels=labels)
        >>> found = hold_out(video, 4, reach=20)
        >>> found.distance, found.sequence, found.sources, found.target
        (3, (1, 2, 3, 4, 5), (0,), 3)
    """
    stretch = video.stretch(key_frame)
    others = [key for key in video.key_frames if key in stretch and key != key_frame]
    if not others:
        return None
    distance = min(abs(key - key_frame) for key in others)
    sources = [key for key in others if abs(key - key_frame) <= max(reach, distance)]
    first = max(stretch.start, min(*sources, key_frame - MARGIN))
    last = min(stretch.stop - 1, max(*sources, key_frame + MARGIN))
    return Rehearsal(
        video=video,
        key_frame=key_frame,
        kind="hold-out",
        distance=distance,
        sequence=tuple(range(first, last + 1)),
        sources=tuple(key - first for key in sources),
        target=key_frame - first,
    )


def cycle(video: Video, key_frame: int, length: int) -> Rehearsal | None:
    """Return the rehearsal of a key frame by cycles of a length into the past and the future.

    One of the two is enough where the other would leave the stretch; None where both would.

    Example:
        >>> video = Video(name="drive", stems="0123", container=Path("a.mp4"), labels={1: Path("1.png")})
        >>> cycle(video, 1, 1).sequence, cycle(video, 1, 1).target
        ((1, 0, 1, 2, 1), 2)
        >>> cycle(video, 1, 2).sequence, cycle(video, 1, 3)
        ((0, 1, 2, 3, 2, 1), None)
    """
    stretch = video.stretch(key_frame)
    past, future = key_frame - length in stretch, key_frame + length in stretch
    if not past and not future:
        return None
    way = [*range(length + 1), *range(length - 1, 0, -1)]  # 0, 1, 2, 1 of length 2; then the target
    before = [key_frame - k for k in way] if past else _beside(stretch, key_frame, -1)
    after = [key_frame + k for k in reversed(way)] if future else _beside(stretch, key_frame, 1)
    sequence = (*before, key_frame, *after)
    sources = ((0,) if past else ()) + ((len(sequence) - 1,) if future else ())
    return Rehearsal(
        video=video,
        key_frame=key_frame,
        kind="cycle",
        distance=length,
        sequence=sequence,
        sources=sources,
        target=len(before),
    )


def _beside(stretch: range, key_frame: int, sign: int) -> list[int]:
    """Return the frames beside a key frame on one side, which only take part in averages over time."""
    frames = [key_frame + sign * k for k in range(1, MARGIN + 1)]
    return sorted(frame for frame in frames if frame in stretch)


class _Sequence(Evidence):
    """Evidence of a sequence of a video's frames, in which frames may occur several times."""

    def __init__(self, whole: Evidence, video: Video, sequence: Sequence[int]) -> None:
        self.video, self.classes = video, whole.classes
        self._whole, self._sequence = whole, sequence

    @property
    def folder(self) -> Path:
        return self._whole.folder

    @property
    def device(self) -> torch.device:
        return self._whole.device

    def frame(self, k: int) -> Frames:
        return self._whole.frame(self._sequence[k])

    def key_labels(self, k: int) -> LabelMaps:
        return self._whole.key_labels(self._sequence[k])

    def flow(self, b: int, a: int) -> Flow:
        return self._whole.flow(self._sequence[b], self._sequence[a])

    def expect_flows(self, pairs: Iterable[tuple[int, int]]) -> None:
        self._whole.expect_flows(dict.fromkeys((self._sequence[b], self._sequence[a]) for b, a in pairs))

    def batch_with(self, k: int) -> int:
        return 1  # the target alone is labelled

    def expect_segmentations(self, frames: Iterable[int]) -> None:
        self._whole.expect_segmentations(self._sequence[k] for k in frames)

    def segmentation(self, k: int) -> Segmentation:
        return self._whole.segmentation(self._sequence[k])


@contextmanager
def opened(rehearsal: Rehearsal, dataset: Dataset, models: Models, cache: ArrayCache) -> Iterator[Evidence]:
    """Open the evidence of a rehearsal; flow and segmentations are those of its video in the cache."""
    with open_evidence(rehearsal.video, dataset.classes, models, cache) as whole:
        yield _Sequence(whole, rehearsal.travelled(), rehearsal.sequence)


def unit_of(labeller: Labeller, rehearsal: Rehearsal) -> Unit:
    """Return the unit in which a labeller labels the target; all other frames count as done."""
    video, target = rehearsal.travelled(), rehearsal.target
    (unit,) = (one for one in labeller.units(video, len(video)) if target in one.frames)
    return replace(unit, done=frozenset(unit.frames) - {target})


def rehearse(
    labeller: Labeller, rehearsal: Rehearsal, dataset: Dataset, cache: ArrayCache
) -> Iterator[PseudoLabel]:
    """Yield, on the CPU, the pseudo-labels that each method computes for the hidden key frame."""
    unit = unit_of(labeller, rehearsal)
    with opened(rehearsal, dataset, labeller.models, cache) as evidence:
        for method in labeller.methods:
            labelled = labeller.label(evidence, unit, (method,))
            pseudo = next(one for one in labelled if one.frame == rehearsal.target)
            yield replace(pseudo.cpu(), frame=rehearsal.key_frame)
