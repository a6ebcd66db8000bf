"""FlowNet2 (Ilg et al., CVPR 2017): optical flow of large and small motion from five stacked networks.

FlowNetC correlates features, two FlowNetS refine its flow on warped frames, FlowNetSD estimates small
displacements, and a fusion network combines both. Flows are in units of 20 pixels or of 1/20 pixel.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.errors import FrameError
from warprefine.core.protocols import device_of
from warprefine.core.tensors import Flow, Frames
from warprefine.io.published import load_renamed
from warprefine.motion.flownet2_parts import STRIDE, Conv, Encoder, FlowDecoder, LeakyConv, published_name
from warprefine.motion.flownet_ops import channel_norm, correlation, resample2d
from warprefine.ops.resize import pad_to_multiple

_FLOW_UNIT_PX = 20
_FINEST = 2
"""Level of the finest flow of each network but the fusion; it is upsampled four times."""
_COARSE_HALF = {level: (Conv(c, 3, 2), Conv(c)) for level, c in {4: 512, 5: 512, 6: 1024}.items()}
_SKIPS = {2: 128, 3: 256, 4: 512, 5: 512, 6: 1024}
_UPS = {2: 64, 3: 128, 4: 256, 5: 512}
_PUBLISHED = {
    "compare": "flownetc",
    "refine_first": "flownets_1",
    "refine_second": "flownets_2",
    "small_motion": "flownets_d",
    "fuse": "flownetfusion",
}


class FlowNetC(nn.Module):
    """FlowNetC: correlate each pixel's features with its neighbourhood in the other frame, decode flow."""

    def __init__(self) -> None:
        super().__init__()
        self.siamese = Encoder(3, {1: (Conv(64, 7, 2),), 2: (Conv(128, 5, 2),), 3: (Conv(256, 5, 2),)})
        self.redirect = LeakyConv(256, 32, 1)
        # Level 3 continues at its own stride, from the features of both frames.
        self.merge = LeakyConv(441 + 32, 256)
        self.encoder = Encoder(256, _COARSE_HALF)
        self.decoder = FlowDecoder(_SKIPS, _UPS, smoothed=False, bias=True)

    def forward(self, frames: Float[Tensor, "b 6 h w"]) -> dict[int, Tensor]:
        """Return flows at levels 6 to 2, in units of 20 pixels, of frame b and frame a side by side."""
        features_b, features_a = self.siamese(frames[:, :3]), self.siamese(frames[:, 3:])
        cost = functional.leaky_relu(correlation(features_b[3], features_a[3]), 0.1)
        merged = self.merge(torch.cat((self.redirect(features_b[3]), cost), dim=1))
        flows: dict[int, Tensor] = self.decoder({2: features_b[2], 3: merged, **self.encoder(merged)})
        return flows


class FlowNetS(nn.Module):
    """FlowNetS: refine a flow from both frames, the warped frame, the flow and the remaining error."""

    def __init__(self) -> None:
        super().__init__()
        fine_half = {1: (Conv(64, 7, 2),), 2: (Conv(128, 5, 2),), 3: (Conv(256, 5, 2), Conv(256))}
        self.encoder = Encoder(12, {**fine_half, **_COARSE_HALF})
        self.decoder = FlowDecoder(_SKIPS, _UPS, smoothed=False, bias=False)

    def forward(self, inputs: Float[Tensor, "b 12 h w"]) -> dict[int, Tensor]:
        """Return flows at levels 6 to 2, in units of 20 pixels."""
        flows: dict[int, Tensor] = self.decoder(self.encoder(inputs))
        return flows


class FlowNetSD(nn.Module):
    """FlowNetSD for small displacements: small kernels, and a first level at full resolution."""

    def __init__(self) -> None:
        super().__init__()
        fine_half = {
            0: (Conv(64),),
            1: (Conv(64, 3, 2), Conv(128)),
            2: (Conv(128, 3, 2), Conv(128)),
            3: (Conv(256, 3, 2), Conv(256)),
        }
        self.encoder = Encoder(6, {**fine_half, **_COARSE_HALF})
        self.decoder = FlowDecoder(_SKIPS, _UPS, smoothed=True, bias=True)

    def forward(self, frames: Float[Tensor, "b 6 h w"]) -> dict[int, Tensor]:
        """Return flows at levels 6 to 2, in units of 1/20 pixel, of frame b and frame a side by side."""
        flows: dict[int, Tensor] = self.decoder(self.encoder(frames))
        return flows


class FlowNetFusion(nn.Module):
    """Fusion network: combine the flows of large and of small displacements at full resolution."""

    def __init__(self) -> None:
        super().__init__()
        levels = {0: (Conv(64),), 1: (Conv(64, 3, 2), Conv(128)), 2: (Conv(128, 3, 2), Conv(128))}
        self.encoder = Encoder(11, levels)
        self.decoder = FlowDecoder({0: 64, 1: 128, 2: 128}, {0: 16, 1: 32}, smoothed=True, bias=True)

    def forward(self, inputs: Float[Tensor, "b 11 h w"]) -> dict[int, Tensor]:
        """Return flows at levels 2 to 0, in pixels of the full resolution."""
        flows: dict[int, Tensor] = self.decoder(self.encoder(inputs))
        return flows


class FlowNet2(nn.Module):
    """FlowNet2: FlowNetC, two FlowNetS, FlowNetSD and their fusion.

    Args:
        align_corners: How two of the flows are upsampled. The released code leaves it unset, which meant
            True up to PyTorch 0.3, with which it was written, and has meant False since.
    """

    def __init__(self, *, align_corners: bool = False) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.compare = FlowNetC()
        self.refine_first = FlowNetS()
        self.refine_second = FlowNetS()
        self.small_motion = FlowNetSD()
        self.fuse = FlowNetFusion()

    def forward(
        self, frame_b: Float[Tensor, "b 3 h w"], frame_a: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 2 h w"]:
        """Return `flow_ba` in pixels, (x, y).

        Args:
            frame_b: Red, green and blue from 0 to 255; height and width are multiples of 64.
            frame_a: Likewise.
        """
        h, w = frame_b.shape[-2:]
        if h % STRIDE or w % STRIDE:
            raise FrameError(f"FlowNet2 got frames of {h} × {w}, expected multiples of {STRIDE}; pad them")
        both = torch.stack((frame_b, frame_a), dim=2)
        both = (both - both.mean(dim=(2, 3, 4), keepdim=True)) / 255
        b, a = both.unbind(dim=2)
        pair = torch.cat((b, a), dim=1)
        flow = self._upsample_bilinear(self.compare(pair)[_FINEST]) * _FLOW_UNIT_PX
        flow = self._upsample_bilinear(self.refine_first(_stack_inputs(b, a, flow))[_FINEST]) * _FLOW_UNIT_PX
        # The last two are upsampled by repeating pixels, as published.
        large = _upsample_nearest(self.refine_second(_stack_inputs(b, a, flow))[_FINEST]) * _FLOW_UNIT_PX
        small = _upsample_nearest(self.small_motion(pair)[_FINEST]) / _FLOW_UNIT_PX
        lengths = [channel_norm(small), channel_norm(large)]
        errors = [channel_norm(b - resample2d(a, flow)) for flow in (small, large)]
        fused: Tensor = self.fuse(torch.cat((b, small, large, *lengths, *errors), dim=1))[0]
        return fused

    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Load weights under the names of the published checkpoint, without batch normalisation.

        Raises:
            CheckpointError: A weight is missing, left over or of another shape.
        """
        load_renamed(self, published, _published_name, name="FlowNet2")

    def _upsample_bilinear(self, flow: Tensor) -> Tensor:
        return functional.interpolate(
            flow, scale_factor=2**_FINEST, mode="bilinear", align_corners=self.align_corners
        )


class FlowNet2Flow:
    """FlowNet2 as a `MotionEstimator`, for frames of any size.

    Args:
        network: The network with its weights, on the device that it computes on; set to evaluation mode.
        name: Identifies these weights; it is part of the cache's key.
    """

    def __init__(self, network: FlowNet2, *, name: str) -> None:
        self.name = name
        self._network = network.eval()

    @torch.inference_mode()
    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        """Return `flow_ba`, (b, 2, h, w) in pixels; frames are padded by their last row and column."""
        h, w = frame_b.shape[-2:]
        device = device_of(self._network)
        b, a = (pad_to_multiple(frame.to(device).float(), STRIDE) for frame in (frame_b, frame_a))
        flow: Tensor = self._network(b, a)[..., :h, :w]
        return flow.contiguous().to(frame_b.device)


def _upsample_nearest(flow: Tensor) -> Tensor:
    return functional.interpolate(flow, scale_factor=2**_FINEST, mode="nearest")


def _stack_inputs(frame_b: Tensor, frame_a: Tensor, flow_ba: Tensor) -> Tensor:
    """Return the inputs of FlowNetS: both frames, a warped to b, the flow and the brightness error."""
    warped = resample2d(frame_a, flow_ba)
    error = channel_norm(frame_b - warped)
    return torch.cat((frame_b, frame_a, warped, flow_ba / _FLOW_UNIT_PX, error), dim=1)


def _published_name(own: str) -> str:
    """Translate `compare.encoder.levels.4.1.bias` to `flownetc.conv4_1.0.bias`, and so on."""
    network, _, rest = own.partition(".")
    first, _, kind = rest.rpartition(".")
    special = {"redirect": "conv_redir.0", "merge": "conv3_1.0"}
    name = f"{special[first]}.{kind}" if first in special else published_name(rest)
    return f"{_PUBLISHED[network]}.{name}"
