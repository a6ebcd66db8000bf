"""Give SDC-Net what the released network lacks: for each pixel two kernels besides its motion.

Reda et al., SDC-Net (ECCV 2018), filter the frame at the displaced point (`motion.displaced`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, eq=False)
class Kernels:
    """A vertical and a horizontal kernel for each pixel, (b, n, h, w); taps run downwards, to the right."""

    vertical: Tensor
    horizontal: Tensor


class KernelHeads(nn.Module):
    """Predict kernels from features; before any training they are one in the middle and else zero.

    An untrained network so carries a frame as its flow alone would. The paper gets there by a first
    training with the loss `distance_from_identity`; to begin there costs nothing.

    Args:
        channels_in: Channels of the features.
        taps: Length of a kernel, an odd number.
    """

    def __init__(self, channels_in: int, taps: int) -> None:
        super().__init__()
        if taps % 2 == 0:
            raise ValueError(f"kernels of {taps} taps have no middle; expected an odd number")
        self.vertical = nn.Conv2d(channels_in, taps, 3, padding=1)
        self.horizontal = nn.Conv2d(channels_in, taps, 3, padding=1)
        for head in (self.vertical, self.horizontal):
            nn.init.zeros_(head.weight)
            with torch.no_grad():
                torch.as_tensor(head.bias).copy_(_one_in_the_middle(head.weight))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Kernels:
        """Return the kernels of each pixel; nothing makes their taps positive or sum to one."""
        return Kernels(vertical=self.vertical(features), horizontal=self.horizontal(features))


def distance_from_identity(kernels: Kernels) -> Tensor:
    """Return how far kernels are from one in the middle and else zero.

    The squared distance of both kernels together, as the paper uses to begin its training of kernels;
    the mean over all pixels.
    """
    both = (kernels.vertical, kernels.horizontal)
    distances = [
        (kernel - _one_in_the_middle(kernel.transpose(0, 1)).view(1, -1, 1, 1)).square().sum(dim=1).mean()
        for kernel in both
    ]
    return torch.stack(distances).sum()


def _one_in_the_middle(like: Tensor) -> Tensor:
    """Return as many taps as `like` is long."""
    taps = like.new_zeros(len(like))
    taps[len(like) // 2] = 1
    return taps
