"""SDC-Net as a `MotionEstimator` that refines the flow of another one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from warprefine.core.protocols import MotionEstimator, device_of
from warprefine.core.tensors import Flow, Frames, LabelMaps
from warprefine.motion.displaced import displaced_labels
from warprefine.motion.flownet2_parts import STRIDE
from warprefine.motion.sdcnet import Prediction, SDCNet
from warprefine.motion.sdcnet_kernels import Kernels
from warprefine.ops.label_vote import warp_labels


class SDCNetMotion:
    """Two-frame SDC-Net as a `MotionEstimator`; the target frame is one of its inputs.

    Args:
        network: An `SDCNet` with `sees_target`; it computes on its own device.
        motion: Estimates the network's input flow from RGB frames.
        name: Key of the cache: must differ for other weights and another `motion`.
        blue_first: Whether the network was trained on BGR images.
    """

    def __init__(
        self, network: SDCNet, motion: MotionEstimator, *, name: str, blue_first: bool = False
    ) -> None:
        self.name = name
        self.network = network.eval()
        self._motion = motion
        self._blue_first = blue_first

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        """Return `flow_ba`, (b, 2, h, w) in pixels.

        Kernels, where the network has them, are not used: the protocol returns flow alone.

        Raises:
            FrameError: As for the estimator of the input flow.
        """
        return self._predict((frame_a, frame_b)).flow_ba.to(frame_b.device)

    def carry_labels(
        self, labels_a: LabelMaps, *, frame_b: Frames, frame_a: Frames, class_count: int
    ) -> LabelMaps:
        """Warp label maps from a to b by the flow and, where the network has them, the kernels.

        Beyond the border the border's labels are repeated, as SDC-Net does with colours.
        """
        prediction = self._predict((frame_a, frame_b))
        flow_ba, kernels = prediction.flow_ba.to(labels_a.device), prediction.kernels
        if kernels is None:
            return warp_labels(labels_a, flow_ba, outside="replicate")
        vertical, horizontal = (each.to(labels_a.device) for each in (kernels.vertical, kernels.horizontal))
        return displaced_labels(labels_a, flow_ba, vertical, horizontal, class_count=class_count)

    def _predict(self, frames: Sequence[Frames]) -> Prediction:
        """Return the flow and kernels that warp the last but one of `frames`, oldest first, onto the last."""
        flows = [self._motion(later, earlier) for earlier, later in pairwise(frames)]
        device = device_of(self.network)
        images = torch.stack([frame.flip(1) if self._blue_first else frame for frame in frames], dim=1)
        with torch.no_grad():
            return predict_any_size(
                self.network, images.to(device).float(), torch.stack(flows, dim=1).to(device)
            )


class SDCNetThreeFrameMotion(SDCNetMotion):
    """Three-frame SDC-Net, as published: its third input is the frame before the other two."""

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        """Return `flow_ba` where there is no earlier frame: frame a takes its place."""
        return self.from_three(frame_b, frame_a, frame_a)

    def from_three(self, frame_b: Frames, frame_a: Frames, frame_before: Frames) -> Flow:
        """Return `flow_ba`, (b, 2, h, w) in pixels; `frame_before` is one step before frame a."""
        return self._predict((frame_before, frame_a, frame_b)).flow_ba.to(frame_b.device)


def predict_any_size(
    network: SDCNet, frames: Float[Tensor, "b t 3 h w"], flows: Float[Tensor, "b s 2 h w"]
) -> Prediction:
    """Run `SDCNet.predict` on frames of any size, mirrored beyond the border as published."""
    h, w = frames.shape[-2:]
    size = (-(-h // STRIDE) * STRIDE, -(-w // STRIDE) * STRIDE)
    padded = network.predict(mirror_frames(frames, size), mirror_flows(flows, size))
    inside = (..., slice(h), slice(w))
    kernels = padded.kernels and Kernels(
        vertical=padded.kernels.vertical[inside], horizontal=padded.kernels.horizontal[inside]
    )
    return Prediction(flow_ba=padded.flow_ba[inside], kernels=kernels)


def mirror_frames(frames: Shaped[Tensor, "*n h w"], size: tuple[int, int]) -> Shaped[Tensor, "*n h2 w2"]:
    """Pad images below and to the right by reflection, up to `size` (h, w); larger sides stay.

    Example:
        >>> mirror_frames(torch.arange(3).view(1, 1, 3), (1, 5))
        tensor([[[0, 1, 2, 1, 0]]])
    """
    (rows, _), (columns, _) = (_folded(n, wanted) for n, wanted in zip(frames.shape[-2:], size, strict=True))
    return frames[..., rows[:, None].to(frames.device), columns.to(frames.device)]


def mirror_flows(flows: Float[Tensor, "*n 2 h w"], size: tuple[int, int]) -> Float[Tensor, "*n 2 h2 w2"]:
    """Pad flows as `mirror_frames` pads images: reflected motion changes its sign across the mirror.

    Example:
        >>> mirror_flows(torch.ones(2, 1, 3), (1, 4))[0]  # x
        tensor([[ 1.,  1.,  1., -1.]])
    """
    (_, down), (_, right) = (_folded(n, wanted) for n, wanted in zip(flows.shape[-2:], size, strict=True))
    x, y = mirror_frames(flows, size).unbind(dim=-3)
    return torch.stack((x * right.to(x), y * down[:, None].to(y)), dim=-3)


def _folded(length: int, wanted: int) -> tuple[Tensor, Tensor]:
    """Return the source index of each position along a reflected line, and 1, or −1 where reflected."""
    period = max(2 * (length - 1), 1)
    position = torch.arange(max(length, wanted)) % period
    mirrored = position >= length
    return torch.where(mirrored, period - position, position), torch.where(mirrored, -1.0, 1.0)
