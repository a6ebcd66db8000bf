"""Pure functions on frames, flow and label maps: no state, no files.

Warping of images and features: `backward_warp`, `lands_inside`, `source_points`.
Warping of label maps: `warp_labels`, `vote_labels`, `vote_labels_torch`, `carry_labels`, `Outside`.
Warp-inpaint: `mixing_mask`, `mismatch`, `colour_distance`, `inpaint`.
Composition and consistency of flow: `compose`, `forward_backward_error`, `agreement`.
Sparse class probabilities: `SoftLabels`, `warp_soft`, `mix_soft`.
Temporal smoothing: `smooth`, `Neighbour`, `thin_structures`.
Resizing and padding: `to_size`, `stride_of`, `pad_to_multiple`.
Averaging of predictions: `mean_logits`.
"""

from __future__ import annotations

from warprefine.ops.averaging import mean_logits
from warprefine.ops.label_vote import Outside, carry_labels, vote_labels, vote_labels_torch, warp_labels
from warprefine.ops.mixing import colour_distance, inpaint, mismatch, mixing_mask
from warprefine.ops.resize import pad_to_multiple, stride_of, to_size
from warprefine.ops.smoothing import Neighbour, smooth, thin_structures
from warprefine.ops.soft_labels import SoftLabels, mix_soft, warp_soft
from warprefine.ops.trajectories import agreement, compose, forward_backward_error
from warprefine.ops.warp import backward_warp, lands_inside, source_points

__all__ = [
    "Neighbour",
    "Outside",
    "SoftLabels",
    "agreement",
    "backward_warp",
    "carry_labels",
    "colour_distance",
    "compose",
    "forward_backward_error",
    "inpaint",
    "lands_inside",
    "mean_logits",
    "mismatch",
    "mix_soft",
    "mixing_mask",
    "pad_to_multiple",
    "smooth",
    "source_points",
    "stride_of",
    "thin_structures",
    "to_size",
    "vote_labels",
    "vote_labels_torch",
    "warp_labels",
    "warp_soft",
]
