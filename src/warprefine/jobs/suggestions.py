"""Name the frames of a run whose labelling would help most, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from warprefine.core.errors import RecipeError
from warprefine.core.video import Dataset, Video
from warprefine.io.run import RunFolder
from warprefine.metrics.expected import expected_errors
from warprefine.ops.suggestion import Choice, Footage, choose_frames


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A frame whose labelling would help.

    Attributes:
        video: The name of its video.
        frame: Its number.
        stem: Its name.
        expected_error: Its expected share of wrong pixels, 0 to 1; 1 without labels.
        gain: The expected number of frames' worth of pixels that become right.
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
        own = "it has no labels" if self.expected_error >= 1 else f"{100 * self.expected_error:.1f} % wrong"
        found = [f"expected: {own}", f"frames {first} to {last} would gain {self.gain:.2f} frames' worth"]
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


def suggest_frames(
    run: RunFolder, dataset: Dataset, method: str, *, n: int, horizon: int
) -> list[Suggestion]:
    """Return up to n frames of a run whose labelling would help most, the best first.

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
    footages = [_footage(run, video, method) for video in dataset.videos]
    choices = choose_frames(footages, n, horizon=horizon)
    return [_suggestion(dataset.videos, choice) for choice in choices]


def _footage(run: RunFolder, video: Video, method: str) -> Footage:
    errors = expected_errors(run, video, method).astype(np.float64)
    distances = np.full(len(video), -1, np.int64)
    for frame, provenance in run.manifest.provenances(video.name, method).items():
        distances[frame] = provenance.distance
    distances[list(video.key_frames)] = 0
    distances[np.isnan(errors)] = -1
    stretch = np.full(len(video), -1, np.int64)
    for place, frames in enumerate(video.stretches):
        stretch[frames.start : frames.stop] = place
    return Footage(errors=errors, distances=distances, stretch=stretch)


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
