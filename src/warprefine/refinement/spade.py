"""Spatially-adaptive normalisation (SPADE): norms whose scale and shift depend on a label map."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class SpadeNorm(nn.Module):
    """Normalise features, then scale and shift each cell by functions of the label map there.

        norm(x) · (1 + γ(labels)) + β(labels)

    (Park et al., CVPR 2019, "SPADE", equations 1 to 3.) γ and β are two 3 x 3 convolutions of a
    hidden layer, which is a 3 x 3 convolution of the label map and a ReLU. A norm over the image removes
    what is constant over it, such as one label for all pixels; γ and β restore it.

    Args:
        norm: The norm that is modulated; one without weights of its own, over the image or the batch.
        channels: Channels of the features.
        map_channels: Planes of the label map.
        hidden: Channels between the label map and γ and β; 128 in that paper.
    """

    def __init__(self, norm: nn.Module, *, channels: int, map_channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.norm = norm
        self.shared = nn.Conv2d(map_channels, hidden, 3, padding=1)
        self.scale = nn.Conv2d(hidden, channels, 3, padding=1)
        self.shift = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "b c h w"], label_planes: Float[Tensor, "b k _ _"]
    ) -> Float[Tensor, "b c h w"]:
        """Normalise `x` under a label map of any size, of which each cell takes its first pixel."""
        # A stride-2 convolution with padding 1 is centred on that same pixel.
        label_planes = functional.interpolate(label_planes, size=x.shape[-2:], mode="nearest")
        hidden = functional.relu(self.shared(label_planes))
        normalised: Tensor = self.norm(x)
        scale: Tensor = self.scale(hidden)
        shift: Tensor = self.shift(hidden)
        return normalised * (1 + scale) + shift
