"""Average the output of several two-sided refiners of one shape, each trained from a seed of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from warprefine.core.protocols import module_of
from warprefine.core.tensors import Logits
from warprefine.refinement.interface import TwoSidedInput, TwoSidedRefiner


class TwoSidedEnsemble(nn.Module):
    """Average the class probabilities of two-sided refiners.

    What refiners learn from few key frames differs from seed to seed, most of all for rare classes; their
    mean is better than most of them.

    Args:
        make: Builds a member from the numbers of classes and of feature channels.
        class_count: C.
        feature_channels: Channels of the segmenter's features.
        members: How many.
        widths: Channels of a member at strides 1, 2, 4 and 8.
    """

    name = "ensemble"

    def __init__(
        self,
        make: Callable[..., TwoSidedRefiner],
        class_count: int,
        feature_channels: int,
        *,
        members: int,
        widths: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.class_count, self._widths = class_count, widths
        self.members = nn.ModuleList(
            module_of(make(class_count, feature_channels, widths=widths)) for _ in range(members)
        )

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments of its constructor, for the card of a checkpoint."""
        return {"members": len(self.members), "widths": list(self._widths)}

    def forward(self, inputs: TwoSidedInput) -> Logits:
        """Return logits (b, C + 1, h, w) whose softmax is the mean of those of all members; float32."""
        found = [member(inputs).float().log_softmax(dim=1) for member in self.members]
        return torch.stack(found).logsumexp(dim=0) - math.log(len(found))
