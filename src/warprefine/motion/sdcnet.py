"""SDC-Net: optical flow self-supervised by photometric reconstruction, as released and with extensions.

After Reda et al., SDC-Net (ECCV 2018), and Zhu et al., Improving Semantic Segmentation via Video
Propagation and Label Relaxation (CVPR 2019). Unlike the first paper, the released network predicts a
flow and no displaced kernels; here it may predict both. It refines the flow of another estimator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warprefine.core.errors import FrameError
from warprefine.core.tensors import Flow
from warprefine.io.published import load_renamed
from warprefine.motion.displaced import displaced_convolution
from warprefine.motion.flownet2_parts import STRIDE, Conv, Encoder, LeakyDeconv, published_name
from warprefine.motion.flownet_ops import resample2d
from warprefine.motion.sdcnet_kernels import KernelHeads, Kernels

_FLOW_MEAN = (-0.94427323, -1.23077035)
_FLOW_STD = (13.77204132, 7.47463894)
"""Of FlowNet2's flows on the released network's training videos, in pixels (x, y)."""
_MIN_STD = 0.1
"""In pixels; the flow of a static video has no deviation to divide by."""
_MIN_CHANNELS = 8
"""Those of the finest level as released: fewer block what comes from the coarse levels."""
_ENCODER = {
    1: (Conv(32, 7, 2),),
    2: (Conv(64, 5, 2),),
    3: (Conv(128, 5, 2), Conv(128)),
    4: (Conv(256, 3, 2), Conv(256)),
    5: (Conv(256, 3, 2), Conv(256)),
    6: (Conv(512, 3, 2), Conv(512)),
}
_UPS = {5: 256, 4: 128, 3: 64, 2: 32, 1: 16, 0: 8}
_UNUSED = "rgb_mean"
"""The published weights hold a mean colour, but the network subtracts that of its own input."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """The flow that warps frame a onto b, in pixels, and the kernels that filter it there, if any."""

    flow_ba: Tensor
    kernels: Kernels | None = None


class SDCNet(nn.Module):
    """SDC-Net: predict the flow that warps a frame onto the frame after it.

    The defaults are the network as released; the last three arguments extend it.

    Args:
        frame_count: Number of input frames; with n frames come n - 1 flows.
        sees_target: Whether the last frame is the one to be reconstructed (`SDCNet2DRecon` as released,
            three frames), or lies one step before it (`SDCNet2D`, two or three frames).
        width: Multiplies the channels of all levels, of which at least 8 remain; a quarter can be trained
            on a CPU.
        kernel_taps: Length of the kernels that each pixel gets besides its flow, an odd number such as 11 or
            51; 0 for none, as released.
        starts_from_flow: Whether the network predicts a correction of the last input flow, in pixels, so
            that the untrained network returns that flow. Published weights predict the flow itself.

    Example:
        >>> network = SDCNet(2, width=0.05, starts_from_flow=True)
        >>> frames, flows = torch.zeros(1, 2, 3, 64, 64), torch.ones(1, 1, 2, 64, 64)
        >>> torch.equal(network(frames, flows), flows[:, 0])
        True
    """

    flow_mean: Tensor
    flow_std: Tensor

    def __init__(
        self,
        frame_count: int = 3,
        *,
        sees_target: bool = True,
        width: float = 1.0,
        kernel_taps: int = 0,
        starts_from_flow: bool = False,
    ) -> None:
        super().__init__()
        self.frame_count = frame_count
        self.sees_target = sees_target
        self.starts_from_flow = starts_from_flow
        channels = 5 * frame_count - 2
        self.register_buffer("flow_mean", torch.tensor(_FLOW_MEAN).view(1, 2, 1, 1))
        self.register_buffer("flow_std", torch.tensor(_FLOW_STD).view(1, 2, 1, 1))
        encoder = {
            level: [conv._replace(channels=_scaled(conv.channels, width)) for conv in convs]
            for level, convs in _ENCODER.items()
        }
        self.encoder = Encoder(channels, encoder)
        skips = {level: convs[-1].channels for level, convs in encoder.items()}
        self.up = nn.ModuleDict()
        below = skips[max(skips)]
        for level, released in _UPS.items():
            self.up[str(level)] = LeakyDeconv(below, _scaled(released, width))
            below = _scaled(released, width) + skips.get(level, channels)
        self.final_flow = nn.Conv2d(below, 2, 3, padding=1)
        if starts_from_flow:
            nn.init.zeros_(self.final_flow.weight)
            nn.init.zeros_(torch.as_tensor(self.final_flow.bias))
        self.final_kernels = KernelHeads(below, kernel_taps) if kernel_taps else None

    def forward(
        self, frames: Float[Tensor, "b t 3 h w"], flows: Float[Tensor, "b s 2 h w"]
    ) -> Float[Tensor, "b 2 h w"]:
        """Return `flow_ba` in pixels: b is the frame to reconstruct, a the one before it; see `predict`."""
        return self.predict(frames, flows).flow_ba

    def predict(self, frames: Float[Tensor, "b t 3 h w"], flows: Float[Tensor, "b s 2 h w"]) -> Prediction:
        """Return the flow and, where the network has them, the kernels that warp frame a onto b.

        Args:
            frames: Colours from 0 to 255, oldest first; height and width are multiples of 64. The
                published weights expect blue, green, red.
            flows: Motion in pixels, (x, y): flow i lives on frame i + 1 and points into frame i.

        Raises:
            FrameError: The number of frames or flows, or the size, is not what the network expects.
        """
        self._check(frames, flows)
        scale = 3 * self.flow_std
        colours = (frames - frames.mean(dim=(1, 3, 4), keepdim=True)) / 255
        motion = (flows - self.flow_mean) / scale
        # The published weights expect all frames of one channel side by side: r1 r2 r3 g1 g2 g3 and so on.
        x = torch.cat((motion.transpose(1, 2).flatten(1, 2), colours.transpose(1, 2).flatten(1, 2)), dim=1)
        features = {0: x, **self.encoder(x)}
        x = features[max(features)]
        for level, up in self.up.items():
            x = torch.cat((features[int(level)], up(x)), dim=1)
        output = torch.as_tensor(self.final_flow(x))
        return Prediction(
            flow_ba=flows[:, -1] + output if self.starts_from_flow else output * scale + self.flow_mean,
            kernels=self.final_kernels(x) if self.final_kernels is not None else None,
        )

    def rebuild(
        self,
        frames: Float[Tensor, "b t 3 h w"],
        flow_ba: Float[Tensor, "b 2 h w"],
        kernels: Kernels | None = None,
    ) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct frame b: warp frame a along the predicted flow, repeating its border beyond it.

        Labels of a are warped likewise by `resample2d(labels_a, flow_ba, nearest=True)`, with kernels by
        `displaced_labels`.
        """
        frame_a = frames[:, -2 if self.sees_target else -1]
        if kernels is None:
            return resample2d(frame_a, flow_ba)
        return displaced_convolution(frame_a, flow_ba, kernels.vertical, kernels.horizontal)

    def estimate_normalisation(self, flows: Iterable[Flow]) -> None:
        """Set mean and standard deviation of the motion, per component, from flows of the training videos."""
        count, total, squared = 0, torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
        for flow in flows:
            motion = flow.cpu().double().transpose(0, 1).flatten(1)
            count += motion.shape[1]
            total += motion.sum(dim=1)
            squared += motion.square().sum(dim=1)
        mean = total / count
        deviation = (squared / count - mean.square()).clamp(min=0).sqrt().clamp(min=_MIN_STD)
        self.flow_mean.copy_(mean.view(1, 2, 1, 1))
        self.flow_std.copy_(deviation.view(1, 2, 1, 1))

    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Load weights under the names of the published checkpoint, without those of FlowNet2.

        They fit the network as released: of full width and without kernels.

        Raises:
            CheckpointError: A weight is missing, left over or of another shape.
        """
        used = {name: values for name, values in published.items() if name != _UNUSED}
        load_renamed(self, used, published_name, name=f"SDC-Net for {self.frame_count} frames")

    def _check(self, frames: Tensor, flows: Tensor) -> None:
        count, (h, w) = frames.shape[1], frames.shape[-2:]
        if count != self.frame_count or flows.shape[1] != count - 1:
            raise FrameError(
                f"SDC-Net got {count} frames and {flows.shape[1]} flows, expected {self.frame_count} "
                f"frames and {self.frame_count - 1} flows"
            )
        if h % STRIDE or w % STRIDE:
            raise FrameError(f"SDC-Net got frames of {h} × {w}, expected multiples of {STRIDE}; pad them")


@dataclass(frozen=True, kw_only=True, eq=False)
class ReconstructionLoss:
    """Terms of the photometric reconstruction loss; each is a mean, before its weight."""

    color: Tensor
    color_gradient: Tensor
    flow_smoothness: Tensor

    @property
    def total(self) -> Tensor:
        """The weighted sum that the released network was trained with."""
        return 0.7 * self.color + 0.2 * self.color_gradient + 0.1 * self.flow_smoothness


def reconstruction_loss(
    rebuilt_b: Float[Tensor, "b 3 h w"],
    frame_b: Float[Tensor, "b 3 h w"],
    *,
    flow_ba: Float[Tensor, "b 2 h w"],
) -> ReconstructionLoss:
    """Photometric reconstruction loss: L1 of colours and of their gradients, and smoothness of the flow.

    Only the colours are scaled to the range from 0 to 1; gradients are compared in the range from 0 to
    255, as in the released code, and so weigh the most.

    Args:
        rebuilt_b: Colours from 0 to 255.
        frame_b: Colours from 0 to 255.
        flow_ba: The flow that the frame was reconstructed with, in pixels.

    Example:
        >>> white, black = torch.full((1, 3, 4, 4), 255.0), torch.zeros(1, 3, 4, 4)
        >>> reconstruction_loss(white, black, flow_ba=torch.zeros(1, 2, 4, 4)).total
        tensor(0.7000)
    """
    rebuilt, target = _differences(rebuilt_b), _differences(frame_b)
    return ReconstructionLoss(
        color=((rebuilt_b - frame_b) / 255).abs().mean(),
        color_gradient=torch.stack(
            [(a.abs() - b.abs()).abs().mean() for a, b in zip(rebuilt, target, strict=True)]
        ).sum(),
        flow_smoothness=torch.stack([step.abs().mean() for step in _differences(flow_ba)]).sum(),
    )


def _differences(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the differences of neighbours, to the right and down."""
    return values.diff(dim=-1), values.diff(dim=-2)


def _scaled(channels: int, width: float) -> int:
    return max(min(channels, _MIN_CHANNELS), round(channels * width))
