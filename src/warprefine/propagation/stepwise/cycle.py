"""Cycles t -> t + l -> t of a key frame's labels: training pairs for the refiner, without further labels.

The labels that return (L° in the paper, equations 9 to 12) differ from the key frame's labels only by the
errors of warping and inpainting, which the refiner learns to correct.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from warprefine.core.tensors import LabelMaps
from warprefine.core.video import Video
from warprefine.propagation.evidence import Evidence
from warprefine.propagation.stepwise.step import Labelling, Pair, from_hand_labels, warp_inpaint


@dataclass(frozen=True, kw_only=True, order=True)
class Cycle:
    """A walk from key frame t to t + reach and back; `reach` is negative into the past."""

    video: str
    key_frame: int
    reach: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ReturnedLabels:
    """The labels that returned to the key frame, with the pair of frames of the last step."""

    labelling: Labelling
    pair: Pair


def cycles_of(video: Video, longest: int) -> list[Cycle]:
    """Return every cycle of length 1 to `longest`, in both directions, that stays inside a stretch."""
    return [
        Cycle(video=video.name, key_frame=key, reach=reach)
        for key in video.key_frames
        for length in range(1, longest + 1)
        for reach in (length, -length)
        if key + reach in video.stretch(key)
    ]


def pair_at(evidence: Evidence, *, b: int, a: int, segmented: bool = True, moving: bool = True) -> Pair:
    """Return the pair of frames of a step from a to b.

    Args:
        evidence: Of the video.
        b: The frame that is labelled.
        a: Its neighbour, which is labelled already.
        segmented: With the segmenter's output.
        moving: With the flow between them; without, as if nothing moved, for methods that warp nothing.
    """
    segmentation_b = evidence.segmentation(b) if segmented else None
    if not moving:
        return Pair.still(evidence.frame(b), segmentation_b)
    return Pair.of(evidence.frame(a), evidence.frame(b), evidence.flow(b, a), segmentation_b)


def run_cycle(evidence: Evidence, cycle: Cycle, labels: LabelMaps, *, tau: float) -> ReturnedLabels:
    """Carry a key frame's labels along a cycle by warp-inpaint, without the refiner."""
    return carry(evidence, there_and_back(cycle), labels, taus=[tau])[0]


def run_cycles(
    evidence: Evidence, cycles: Sequence[Cycle], labels: LabelMaps, *, tau: float
) -> dict[Cycle, ReturnedLabels]:
    """Carry a key frame's labels along several of its cycles: the result is that of `run_cycle` for each.

    Cycles in one direction share their way out and, on the way back, the evidence of each step, so that
    lengths 1 to l take 2 l pairs of frames instead of l (l + 1).
    """
    returned: dict[Cycle, ReturnedLabels] = {}
    for direction in (1, -1):
        turning = {abs(cycle.reach): cycle for cycle in cycles if cycle.reach * direction > 0}
        if turning:
            returned |= _out_and_back(evidence, turning, labels, tau=tau)
    return returned


def _out_and_back(
    evidence: Evidence, turning: Mapping[int, Cycle], labels: LabelMaps, *, tau: float
) -> dict[Cycle, ReturnedLabels]:
    """Run cycles in one direction; each is given by the distance at which it turns round."""
    farthest = max(turning)
    out = there_and_back(turning[farthest])[: farthest + 1]
    labellings, semantic = [from_hand_labels(labels)], dict[int, Labelling]()
    for a, b in pairwise(out):
        pair = pair_at(evidence, b=b, a=a)
        labellings.append(warp_inpaint(labellings[-1], pair, tau=tau))
        semantic[b] = pair.semantic
    returning: dict[Cycle, Labelling] = {}
    for distance in range(farthest, 0, -1):
        if distance in turning:
            returning[turning[distance]] = labellings[distance]
        pair = pair_at(evidence, b=out[distance - 1], a=out[distance])
        pair = replace(pair, known_semantic=semantic.get(out[distance - 1]))
        returning = {cycle: warp_inpaint(one, pair, tau=tau) for cycle, one in returning.items()}
    return {cycle: ReturnedLabels(labelling=one, pair=pair) for cycle, one in returning.items()}


def carry(
    evidence: Evidence, stops: Sequence[int], labels: LabelMaps, *, taus: Sequence[float]
) -> list[ReturnedLabels]:
    """Carry the labels of the first stop from stop to stop by warp-inpaint, once for each tau.

    The evidence of a step is shared by all tau. Neighbouring stops are neighbouring frames.
    """
    labellings = [from_hand_labels(labels)] * len(taus)
    for a, b in pairwise(stops):
        pair = pair_at(evidence, b=b, a=a)
        labellings = [
            warp_inpaint(labelling, pair, tau=tau) for labelling, tau in zip(labellings, taus, strict=True)
        ]
    return [ReturnedLabels(labelling=labelling, pair=pair) for labelling in labellings]


def key_to_key(video: Video, farthest: int) -> list[range]:
    """Return the walks from each key frame to the next and the one before, at most `farthest` frames away.

    Labels that arrive can be compared with hand-made labels. This is the only unbiased test that key frames
    allow: the second half of a cycle undoes errors of the motion in its first half.
    """
    walks = []
    for earlier, later in pairwise(video.key_frames):
        if later - earlier <= farthest and later in video.stretch(earlier):
            walks += [range(earlier, later + 1), range(later, earlier - 1, -1)]
    return walks


def there_and_back(cycle: Cycle) -> list[int]:
    """Return the frames that a cycle visits, the key frame first and last."""
    direction = 1 if cycle.reach > 0 else -1
    stops = [cycle.key_frame + direction * i for i in range(abs(cycle.reach) + 1)]
    return stops + stops[-2::-1]
