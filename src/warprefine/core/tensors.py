"""Define tensor types and the conventions of the whole project: shapes, units, direction of flow.

Points and flow are (x, y) in pixels; sizes are (h, w). Pixel centres are whole numbers, so the
image covers x from 0 to w - 1 (`align_corners=True`). Images are RGB, uint8. A tensor's name
ends with the frame it lives on: `labels_a`, `frame_b`. `flow_ba` lives on b and points into a:
what is at pixel p of b is found in a at p + flow_ba[p]. Inner letters meet:
`warp_labels(labels_a, flow_ba)` lives on b. The tests named `test_convention_*` check all of this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

CPU = torch.device("cpu")
VOID = 255
"""The label of a pixel that belongs to no class (the paper's "Ignore")."""

Frames: TypeAlias = UInt8[Tensor, "b 3 h w"]
LabelMaps: TypeAlias = UInt8[Tensor, "b h w"]
Flow: TypeAlias = Float32[Tensor, "b 2 h w"]
Masks: TypeAlias = Bool[Tensor, "b h w"]
Confidence: TypeAlias = Float32[Tensor, "b h w"]
Logits: TypeAlias = Float[Tensor, "b c h w"]


def member(place: int) -> Callable[[Tensor], Tensor]:
    """Return a function that takes one member of a batch, as a batch of one.

    Example:
        >>> member(1)(torch.tensor([[7], [8], [9]]))
        tensor([[8]])
    """
    return lambda values: values[place : place + 1]


def size_of(values: Tensor) -> tuple[int, int]:
    """Return height and width, the last two dimensions of frames, label maps, flow or features.

    Example:
        >>> size_of(torch.zeros(1, 3, 360, 480))
        (360, 480)
    """
    return values.shape[-2], values.shape[-1]
