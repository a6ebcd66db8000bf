"""Walk from a key frame through a video, one step at a time: the paper's propagation and its baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from warprefine.core.errors import LabelError
from warprefine.core.protocols import Refiner
from warprefine.core.pseudolabel import Provenance, PseudoLabel
from warprefine.core.video import Video
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file
from warprefine.propagation.evidence import Evidence, Models
from warprefine.propagation.methods import SEMANTIC_ONLY, needs_of
from warprefine.propagation.stepwise.cycle import pair_at
from warprefine.propagation.stepwise.step import (
    Labelling,
    Pair,
    abstain,
    from_hand_labels,
    refine,
    warp,
    warp_inpaint,
)
from warprefine.propagation.units import Unit, stepwise_units


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What a step uses besides the frames.

    Attributes:
        tau: Largest colour distance at which motion is trusted, equation (6); see `ops.mixing`.
        threshold: Probability up to which semantic-only labels are VOID.
        refiner: Omega, where a method refines.
        refiner_fingerprint: Identifies its weights.
    """

    tau: float
    threshold: float
    refiner: Refiner | None = None
    refiner_fingerprint: str = ""


Step = Callable[[Labelling, Pair, StepSettings], Labelling]


def motion_only(labelling_a: Labelling, pair: Pair, settings: StepSettings) -> Labelling:
    """Warp and nothing else, border labels repeated beyond the edge (Zhu et al., CVPR 2019)."""
    return warp(labelling_a, pair.flow_ba, outside="replicate")


def semantic_only(labelling_a: Labelling, pair: Pair, settings: StepSettings) -> Labelling:
    """Take the segmenter's labels where it is confident and VOID elsewhere (Tao et al. 2020)."""
    return abstain(pair.semantic, settings.threshold)


def inpaint_only(labelling_a: Labelling, pair: Pair, settings: StepSettings) -> Labelling:
    """Do the paper's Psi^W: warp and inpaint."""
    return warp_inpaint(labelling_a, pair, tau=settings.tau)


def warp_refine(labelling_a: Labelling, pair: Pair, settings: StepSettings) -> Labelling:
    """Do the paper's Psi^R: warp, inpaint and refine."""
    if settings.refiner is None:
        raise ValueError("warp-refine needs a refiner")
    return refine(warp_inpaint(labelling_a, pair, tau=settings.tau), pair, settings.refiner)


STEPS: dict[str, Step] = {
    "motion-only": motion_only,
    "semantic-only": semantic_only,
    "warp-inpaint": inpaint_only,
    "warp-refine": warp_refine,
}


@dataclass(frozen=True, kw_only=True)
class StepwiseLabeller:
    """Labels frames by walking away from their nearest key frame, with each of the paper's methods.

    Attributes:
        methods: Names in `STEPS`.
        models: Motion, and the segmenter where a method needs it.
        settings: tau, threshold and refiner.
    """

    methods: tuple[str, ...]
    models: Models
    settings: StepSettings

    def units(self, video: Video, horizon: int) -> list[Unit]:
        """Return a walk for each key frame and direction."""
        return stepwise_units(video, horizon)

    def fingerprint(self, video: Video, unit: Unit, method: str) -> str:
        """Return a hash of the key frame's labels, the networks and the settings that a method uses."""
        needs, settings = needs_of([method]), self.settings
        used = {
            "motion": self.models.motion.name if method != SEMANTIC_ONLY else None,
            "segmenter": self.models.segmenter_fingerprint if "segmenter" in needs else None,
            "tau": settings.tau if "tau" in needs else None,
            "refiner": settings.refiner_fingerprint if "refiner" in needs else None,
            "threshold": settings.threshold if method == SEMANTIC_ONLY else None,
        }
        key_labels = [(key, fingerprint_of_file(video.labels[key], LabelError)) for key in unit.key_frames]
        return fingerprint_of(method, unit.frames, key_labels, used)

    def label(self, evidence: Evidence, unit: Unit, methods: Sequence[str]) -> Iterator[PseudoLabel]:
        """Yield the pseudo-labels of a walk, frame by frame, equations (1) and (2).

        Semantic-only labels each frame by itself, so alone it passes over those that are done.
        """
        (key_frame,) = unit.key_frames
        start = from_hand_labels(evidence.key_labels(key_frame))
        labellings = dict.fromkeys(methods, start)
        segmented, moving = "segmenter" in needs_of(methods), {*methods} != {SEMANTIC_ONLY}
        previous = key_frame
        if segmented:
            evidence.expect_segmentations(unit.frames)
        if moving:
            evidence.expect_flows((b, a) for a, b in pairwise((key_frame, *unit.frames)))
        for frame in unit.frames:
            if not moving and frame in unit.done:
                continue
            pair = pair_at(evidence, b=frame, a=previous, segmented=segmented, moving=moving)
            for method in methods:
                labelling = STEPS[method](labellings[method], pair, self.settings)
                labellings[method] = labelling
                yield PseudoLabel(
                    frame=frame,
                    labels=labelling.labels,
                    confidence=labelling.confidence.clamp(0, 1),
                    provenance=Provenance(
                        method=method, key_frames=unit.key_frames, distance=unit.distance(frame)
                    ),
                )
            previous = frame
