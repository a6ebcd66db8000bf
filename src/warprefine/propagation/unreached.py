"""Label frames that no key frame reaches by the segmenter alone, where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from warprefine.core.names import look_up
from warprefine.core.pseudolabel import Provenance, PseudoLabel
from warprefine.core.spans import consecutive
from warprefine.core.tensors import size_of
from warprefine.core.video import Video
from warprefine.io.fingerprints import fingerprint_of
from warprefine.propagation.evidence import Evidence, Models
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import SEMANTIC_ONLY
from warprefine.propagation.stepwise.step import abstain, segment
from warprefine.propagation.units import Unit, frames_in_reach

Unreached: TypeAlias = Literal["skip", "semantic"]
"""What becomes of frames that no key frame reaches: no labels, or those of the segmenter alone."""
UNREACHED: tuple[Unreached, ...] = ("skip", "semantic")


def check_unreached(name: str) -> Unreached:
    """Return a choice for frames that no key frame reaches, by its name.

    Raises:
        RecipeError: There is none of this name; the message has the nearest one.

    Example:
        >>> check_unreached("semantic")
        'semantic'
    """
    return look_up({choice: choice for choice in UNREACHED}, name, what="choice for frames out of reach")


def unreached_units(video: Video, horizon: int) -> list[Unit]:
    """Return the frames that no key frame reaches within the horizon and its stretch, without key frames.

    Damaged and blank frames, on which a segmenter sees nothing, are not among them.

    Example:
        >>> from pathlib import Path
        >>> paths = [Path(f"{k}.jpg") for k in range(6)]
        >>> video = Video(name="drive", stems="012345", frame_paths=paths, labels={3: Path("3.png")})
        >>> [(unit.frames, unit.key_frames) for unit in unreached_units(video, horizon=1)]
        [((0, 1), ()), ((5,), ())]
    """
    reached = {*frames_in_reach(video, horizon)}
    return [
        Unit(video=video.name, frames=tuple(frames), key_frames=())
        for stretch in video.stretches
        for frames in consecutive(frame for frame in stretch if frame not in reached)
    ]


@dataclass(frozen=True, kw_only=True)
class WithUnreached:
    """A labeller that also labels the frames that no key frame reaches, by its segmenter alone.

    Their confidence is the segmenter's probability, and their provenance has no key frame.

    Attributes:
        labeller: Labels all other frames; its models have a segmenter.
        threshold: Probability up to which labels of semantic-only are VOID, here too.
    """

    labeller: Labeller
    threshold: float

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of the labeller's methods."""
        return self.labeller.methods

    @property
    def models(self) -> Models:
        """The networks of the labeller."""
        return self.labeller.models

    def units(self, video: Video, horizon: int) -> list[Unit]:
        """Return the labeller's units, and those without key frames."""
        return [*self.labeller.units(video, horizon), *unreached_units(video, horizon)]

    def fingerprint(self, video: Video, unit: Unit, method: str) -> str:
        """Return the labeller's fingerprint; without key frames, a hash of the segmenter."""
        if unit.key_frames:
            return self.labeller.fingerprint(video, unit, method)
        threshold = self.threshold if method == SEMANTIC_ONLY else None
        return fingerprint_of(method, "unreached", self.models.segmenter_fingerprint, threshold)

    def label(self, evidence: Evidence, unit: Unit, methods: Sequence[str]) -> Iterator[PseudoLabel]:
        """Yield the labeller's pseudo-labels; without key frames, those of the segmenter."""
        if unit.key_frames:
            yield from self.labeller.label(evidence, unit, methods)
            return
        for frame in unit.frames:
            if frame not in unit.done:
                yield from label_alone(evidence, frame, methods, threshold=self.threshold)


def label_alone(
    evidence: Evidence, frame: int, methods: Sequence[str], *, threshold: float
) -> Iterator[PseudoLabel]:
    """Yield the pseudo-labels of a frame by the segmenter alone, for each method.

    Args:
        evidence: Has the segmentation of the frame.
        frame: The number of the frame.
        methods: Methods that have a segmenter.
        threshold: Probability up to which labels of semantic-only are VOID.
    """
    labelling = segment(evidence.segmentation(frame), size_of(evidence.frame(frame)))
    distance = min(abs(frame - key) for key in evidence.video.key_frames)
    for method in methods:
        chosen = abstain(labelling, threshold) if method == SEMANTIC_ONLY else labelling
        yield PseudoLabel(
            frame=frame,
            labels=chosen.labels,
            confidence=chosen.confidence.clamp(0, 1),
            provenance=Provenance(method=method, key_frames=(), distance=distance),
        )
