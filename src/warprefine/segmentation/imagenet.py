"""Bring the colours of frames to the range that networks trained on ImageNet expect."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warprefine.core.tensors import Frames

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's pictures: red, green and blue from 0 to 1."""


class ImageNetColours(nn.Module):
    """Subtract ImageNet's mean colour, and divide by its standard deviation; nothing is learned or stored."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, frames: Frames) -> Float[Tensor, "b 3 h w"]:
        """Return frames as numbers around nought."""
        return (frames.float() - self.mean) / self.deviation
