"""Name the frames of a run whose labelling would help most, each with its reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from warprefine.core.errors import RecipeError
from warprefine.core.video import Dataset, Video
from warprefine.io.run import RunFolder
from warprefine.jobs.decided_labels import accepted_frames
from warprefine.jobs.decisions import Decisions
from warprefine.metrics.expected import NOT_CALIBRATED, expected_errors, is_calibrated
from warprefine.ops.suggestion import Choice, Footage, choose_frames


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A frame whose labelling would help.

    Attributes:
        video: The name of its video.
        frame: Its number.
        stem: Its name.
        expected_error: Its expected share of wrong pixels, 0 to 1; 1 without labels.
        gain: The expected number of pixels that become right, counted in whole frames: 1.5 are as many as one
            and a half frames have.
        reached: The first and the last frame that gain.
        unlabelled: How many frames get labels that have none.
    """

    video: str
    frame: int
    stem: str
    expected_error: float
    gain: float
    reached: tuple[int, int]
    unlabelled: int

    @property
    def reason(self) -> str:
        """Why it would help, in a line."""
        first, last = self.reached
        where = f"frame {first}" if first == last else f"frames {first} to {last}"
        wrong = f"{100 * self.expected_error:.1f} % of its pixels are expected to be wrong"
        gained = (
            f"labelling it is expected to correct as many pixels as {self.gain:.2f} frames have, in {where}"
        )
        found = ["it has no labels" if self.expected_error >= 1 else wrong, gained]
        if self.unlabelled:
            frames = "frame" if self.unlabelled == 1 else "frames"
            found.append(f"{self.unlabelled} {frames} without labels would get some")
        return "; ".join(found)

    def to_json(self) -> Mapping[str, Any]:
        """Return it as it is printed with `--json`."""
        return {
            "video": self.video,
            "frame": self.frame,
            "stem": self.stem,
            "expected_error": round(self.expected_error, 6),
            "gain": round(self.gain, 6),
            "reached": list(self.reached),
            "unlabelled": self.unlabelled,
            "reason": self.reason,
        }


@dataclass(frozen=True, kw_only=True)
class Suggestions(Sequence[Suggestion]):
    """The frames whose labelling would help most, the best first; a sequence of them.

    Attributes:
        frames: The frames.
        skipped: How many frames were left out because a person has accepted the labels that they have.
        is_calibrated: Whether the expected errors come from calibrated confidence.
    """

    frames: tuple[Suggestion, ...]
    skipped: int
    is_calibrated: bool

    @overload
    def __getitem__(self, place: int) -> Suggestion: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Suggestion, ...]: ...
    def __getitem__(self, place: int | slice) -> Suggestion | tuple[Suggestion, ...]:
        return self.frames[place]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known of them, in lines; nothing of calibrated confidence and no skipped frame."""
        frames = "1 frame that was" if self.skipped == 1 else f"{self.skipped} frames that were"
        skipped = (f"left out: {frames} accepted in the review",) if self.skipped else ()
        return skipped if self.is_calibrated else (*skipped, NOT_CALIBRATED)

    def to_json(self) -> list[Mapping[str, Any]]:
        """Return them as they are printed with `--json`."""
        return [{**one.to_json(), "calibrated": self.is_calibrated} for one in self.frames]


def suggest_frames(run: RunFolder, dataset: Dataset, method: str, *, n: int, horizon: int) -> Suggestions:
    """Return up to n frames of a run whose labelling would help most, the best first.

    Frames that were accepted in the review are left out, unless their labels have changed since.

    Args:
        run: The run folder.
        dataset: The videos that it has labelled.
        method: The method whose labels are to be improved.
        n: The number of frames.
        horizon: Frames are labelled up to this far from a key frame.

    Raises:
        RecipeError: n is less than 1.
    """
    if n < 1:
        raise RecipeError(f"{n} frames are to be suggested; expected 1 or more")
    decisions = Decisions(run.root, read_only=True)
    accepted = [
        accepted_frames(run, dataset.classes, video, decisions.of_video(video.name), method=method)
        for video in dataset.videos
    ]
    footages = [
        _footage(run, video, method, accepted=frames)
        for video, frames in zip(dataset.videos, accepted, strict=True)
    ]
    choices = choose_frames(footages, n, horizon=horizon)
    return Suggestions(
        frames=tuple(_suggestion(dataset.videos, choice) for choice in choices),
        skipped=sum(map(len, accepted)),
        is_calibrated=is_calibrated(run, dataset, method),
    )


def _footage(run: RunFolder, video: Video, method: str, *, accepted: Collection[int]) -> Footage:
    errors = expected_errors(run, video, method).astype(np.float64)
    distances = np.full(len(video), -1, np.int64)
    for frame, provenance in run.manifest.provenances(video.name, method).items():
        distances[frame] = provenance.distance
    distances[list(video.key_frames)] = 0
    distances[np.isnan(errors)] = -1
    stretch = np.full(len(video), -1, np.int64)
    for place, frames in enumerate(video.stretches):
        stretch[frames.start : frames.stop] = place
    closed = np.zeros(len(video), bool)
    closed[list(accepted)] = True
    return Footage(errors=errors, distances=distances, stretch=stretch, accepted=closed)


def _suggestion(videos: Sequence[Video], choice: Choice) -> Suggestion:
    video = videos[choice.video]
    return Suggestion(
        video=video.name,
        frame=choice.frame,
        stem=video.stems[choice.frame],
        expected_error=choice.error,
        gain=choice.gain,
        reached=choice.reached,
        unlabelled=choice.unlabelled,
    )
