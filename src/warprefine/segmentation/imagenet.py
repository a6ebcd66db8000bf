"""Normalisation of colours by the statistics of ImageNet."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warprefine.core.tensors import Frames

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's images: red, green and blue from 0 to 1."""


class ImageNetColours(nn.Module):
    """Subtract ImageNet's mean colour and divide by its standard deviation; no weights, nothing stored.

    Example:
        >>> ImageNetColours()(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten()
        tensor([2.2489, 2.4286, 2.6400])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, frames: Frames) -> Float[Tensor, "b 3 h w"]:
        """Return normalised frames, with mean 0 and deviation 1 over ImageNet."""
        return (frames.float() - self.mean) / self.deviation
