"""Send a key frame's labels on a journey t -> t + l -> t: damage of the very kind to be repaired.

The labels that come back (L° in the paper, equations 9 to 12) differ from the hand-made ones only by
what warping and inpainting did to them, so the pair teaches the refiner without further labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from warprefine.core.tensors import LabelMaps
from warprefine.core.video import Video
from warprefine.propagation.evidence import Evidence
from warprefine.propagation.step import Labelling, Pair, known, warp_inpaint


@dataclass(frozen=True, kw_only=True, order=True)
class Cycle:
    """A journey from key frame t to t + reach and back; `reach` is negative into the past."""

    video: str
    key_frame: int
    reach: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ReturnedLabels:
    """What came back to the key frame, with the last step's pair of frames."""

    labelling: Labelling
    pair: Pair


def cycles_of(video: Video, longest: int) -> list[Cycle]:
    """List every cycle of length 1 to `longest`, both ways, that stays inside the video."""
    return [
        Cycle(video=video.name, key_frame=key, reach=reach)
        for key in video.key_frames
        for length in range(1, longest + 1)
        for reach in (length, -length)
        if 0 <= key + reach < len(video)
    ]


def pair_at(evidence: Evidence, *, b: int, a: int, segmented: bool = True) -> Pair:
    """Gather what one step from frame a to frame b needs, with or without the segmenter's say."""
    segmentation_b = evidence.segmentation(b) if segmented else None
    return Pair.of(evidence.frame(a), evidence.frame(b), evidence.flow(b, a), segmentation_b)


def run_cycle(evidence: Evidence, cycle: Cycle, labels: LabelMaps, *, tau: float) -> ReturnedLabels:
    """Carry hand-made labels out and back by warp-inpaint (the refiner takes no part)."""
    return carry(evidence, there_and_back(cycle), labels, taus=[tau])[0]


def carry(
    evidence: Evidence, stops: Sequence[int], labels: LabelMaps, *, taus: Sequence[float]
) -> list[ReturnedLabels]:
    """Carry hand-made labels of the first stop from stop to stop by warp-inpaint, once for each tau.

    What a step needs is worked out once for all tau. Neighbouring stops are neighbouring frames.
    """
    labellings = [known(labels)] * len(taus)
    for a, b in pairwise(stops):
        pair = pair_at(evidence, b=b, a=a)
        labellings = [
            warp_inpaint(labelling, pair, tau=tau) for labelling, tau in zip(labellings, taus, strict=True)
        ]
    return [ReturnedLabels(labelling=labelling, pair=pair) for labelling in labellings]


def key_to_key(video: Video, farthest: int) -> list[range]:
    """List the ways from each key frame to its neighbours in time, at most `farthest` frames long.

    Labels that arrive can be compared with hand-made ones: the only honest test that the key frames
    allow, since on a cycle the errors of the way out are undone on the way back.
    """
    ways = []
    for earlier, later in pairwise(video.key_frames):
        if later - earlier <= farthest:
            ways += [range(earlier, later + 1), range(later, earlier - 1, -1)]
    return ways


def there_and_back(cycle: Cycle) -> list[int]:
    """Return the frames that a cycle visits, the key frame first and last."""
    direction = 1 if cycle.reach > 0 else -1
    stops = [cycle.key_frame + direction * i for i in range(abs(cycle.reach) + 1)]
    return stops + stops[-2::-1]
