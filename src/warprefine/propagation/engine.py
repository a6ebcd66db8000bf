"""Walk from a key frame through a video, one step at a time, and yield what each method makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from warprefine.core.classes import ClassSet
from warprefine.core.pseudolabel import Provenance, PseudoLabel
from warprefine.core.tensors import LabelMaps
from warprefine.io.images import read_labels
from warprefine.propagation.cycle import pair_at
from warprefine.propagation.evidence import Evidence
from warprefine.propagation.methods import NEED_SEGMENTER, ORACLE, STEPS, Setting
from warprefine.propagation.schedule import Unit
from warprefine.propagation.step import Labelling, known


def read_key_labels(evidence: Evidence, frame: int, classes: ClassSet) -> LabelMaps:
    """Read the hand-made labels of a key frame, checked against its size and class set."""
    picture = evidence.frame(frame)
    size = (picture.shape[-2], picture.shape[-1])
    return read_labels(evidence.video.labels[frame], classes, size=size)


def walk(
    evidence: Evidence, unit: Unit, classes: ClassSet, methods: Sequence[str], setting: Setting
) -> Iterator[tuple[int, PseudoLabel]]:
    """Label the frames of a unit with each method, equations (1) and (2).

    Yields:
        The frame's number and its pseudo-label, method by method, frame by frame. The oracle yields
        only frames whose truth is there.
    """
    start = known(read_key_labels(evidence, unit.key_frame, classes))
    states = {method: start for method in methods if method != ORACLE}
    segmented = bool(NEED_SEGMENTER & set(methods))
    previous = unit.key_frame
    for frame in unit.frames:
        pair = pair_at(evidence, b=frame, a=previous, segmented=segmented) if states else None
        for method in methods:
            if method == ORACLE:
                labelling = _truth(evidence, frame, classes)
            else:
                assert pair is not None
                labelling = states[method] = STEPS[method](states[method], pair, setting)
            if labelling is not None:
                provenance = Provenance(
                    method=method, key_frames=(unit.key_frame,), distance=unit.distance(frame)
                )
                yield (
                    frame,
                    PseudoLabel(
                        labels=labelling.labels,
                        confidence=labelling.confidence.clamp(0, 1),
                        provenance=provenance,
                    ),
                )
        previous = frame


def _truth(evidence: Evidence, frame: int, classes: ClassSet) -> Labelling | None:
    path = evidence.video.truth.get(frame)
    if path is None:
        return None
    labels = read_labels(path, classes)
    return Labelling(labels=labels, confidence=torch.ones(labels.shape))
