"""Kernel heads of SDC-Net (Reda et al., ECCV 2018), which the released network lacks.

Each pixel gets two kernels that filter the frame at the displaced point (`motion.displaced`).
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
    """Predict kernels from features; untrained heads predict identity kernels (one at the centre, else zero).

    An untrained network thus warps a frame as its flow alone would. The paper gets there by a first
    training with the loss `distance_from_identity`; this initialisation saves that training.

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
                torch.as_tensor(head.bias).copy_(_identity_kernel(head.weight))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Kernels:
        """Return the kernels of each pixel; taps are not constrained to be positive or to sum to one."""
        return Kernels(vertical=self.vertical(features), horizontal=self.horizontal(features))


def distance_from_identity(kernels: Kernels) -> Tensor:
    """Return the squared distance of kernels from the identity (one at the centre, else zero).

    The sum over taps and both kernels, the mean over all pixels: the loss with which the paper begins
    its training of kernels.

    Example:
        >>> zeros = torch.zeros(1, 3, 2, 2)
        >>> distance_from_identity(Kernels(vertical=zeros, horizontal=zeros))
        tensor(2.)
    """
    both = (kernels.vertical, kernels.horizontal)
    distances = [
        (kernel - _identity_kernel(kernel.transpose(0, 1)).view(1, -1, 1, 1)).square().sum(dim=1).mean()
        for kernel in both
    ]
    return torch.stack(distances).sum()


def _identity_kernel(like: Tensor) -> Tensor:
    """Return a kernel of `len(like)` taps, one at the centre, else zero."""
    taps = like.new_zeros(len(like))
    taps[len(like) // 2] = 1
    return taps
