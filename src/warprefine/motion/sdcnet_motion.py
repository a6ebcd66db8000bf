"""Let SDC-Net improve another estimator's motion, behind the `MotionEstimator` protocol."""

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
    """An SDC-Net that sees two frames, the target among them, and improves the motion between them.

    Args:
        network: An `SDCNet` that sees the target; it computes on its own device.
        motion: Gives the flow that the network starts with; it sees frames as they are.
        name: Must differ for other weights and another `motion`: flows are cached under it.
        blue_first: Whether the network was trained on pictures whose channels are blue, green, red.
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

        Kernels, where the network has them, are left aside: the protocol knows flows alone.

        Raises:
            FrameError: As for the estimator that is improved.
        """
        return self._predicted((frame_a, frame_b)).flow_ba.to(frame_b.device)

    def carry_labels(
        self, labels_a: LabelMaps, *, frame_b: Frames, frame_a: Frames, class_count: int
    ) -> LabelMaps:
        """Carry label maps from a to b by the flow and, where the network has them, the kernels.

        Beyond the border its labels are repeated, as SDC-Net does with colours.
        """
        found = self._predicted((frame_a, frame_b))
        flow_ba = found.flow_ba.to(labels_a.device)
        if found.kernels is None:
            return warp_labels(labels_a, flow_ba, outside="replicate")
        vertical, horizontal = (
            kernel.to(labels_a.device) for kernel in (found.kernels.vertical, found.kernels.horizontal)
        )
        return displaced_labels(labels_a, flow_ba, vertical, horizontal, class_count=class_count)

    def _predicted(self, frames: Sequence[Frames]) -> Prediction:
        """Return what carries the last but one of the frames, which are in order of time, to the last."""
        flows = [self._motion(later, earlier) for earlier, later in pairwise(frames)]
        device = device_of(self.network)
        shown = torch.stack([frame.flip(1) if self._blue_first else frame for frame in frames], dim=1)
        given = torch.stack(flows, dim=1)
        with torch.no_grad():
            return predict_any_size(self.network, shown.to(device).float(), given.to(device))


class SDCNetLooksBack(SDCNetMotion):
    """An SDC-Net that sees a third frame, before the other two, as it was published."""

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        """Return `flow_ba` where there is no frame before: frame a stands in for it."""
        return self.from_three(frame_b, frame_a, frame_a)

    def from_three(self, frame_b: Frames, frame_a: Frames, frame_before: Frames) -> Flow:
        """Return `flow_ba`, (b, 2, h, w) in pixels; `frame_before` is one step before frame a."""
        return self._predicted((frame_before, frame_a, frame_b)).flow_ba.to(frame_b.device)


def predict_any_size(
    network: SDCNet, frames: Float[Tensor, "b t 3 h w"], flows: Float[Tensor, "b s 2 h w"]
) -> Prediction:
    """Do as `SDCNet.predict` for frames of any size: they are mirrored beyond the border, as published."""
    h, w = frames.shape[-2:]
    size = (-(-h // STRIDE) * STRIDE, -(-w // STRIDE) * STRIDE)
    found = network.predict(mirror_frames(frames, size), mirror_flows(flows, size))
    inside = (..., slice(h), slice(w))
    kernels = found.kernels and Kernels(
        vertical=found.kernels.vertical[inside], horizontal=found.kernels.horizontal[inside]
    )
    return Prediction(flow_ba=found.flow_ba[inside], kernels=kernels)


def mirror_frames(frames: Shaped[Tensor, "*n h w"], size: tuple[int, int]) -> Shaped[Tensor, "*n h2 w2"]:
    """Continue pictures below and to the right by their mirror image, as far as `size` (h, w) needs."""
    (rows, _), (columns, _) = (_folded(n, wanted) for n, wanted in zip(frames.shape[-2:], size, strict=True))
    return frames[..., rows[:, None].to(frames.device), columns.to(frames.device)]


def mirror_flows(flows: Float[Tensor, "*n 2 h w"], size: tuple[int, int]) -> Float[Tensor, "*n 2 h2 w2"]:
    """Continue flows as `mirror_frames` does pictures: what is seen in a mirror moves the other way."""
    (_, down), (_, right) = (_folded(n, wanted) for n, wanted in zip(flows.shape[-2:], size, strict=True))
    continued = mirror_frames(flows, size)
    x, y = continued.unbind(dim=-3)
    return torch.stack((x * right.to(x), y * down[:, None].to(y)), dim=-3)


def _folded(length: int, wanted: int) -> tuple[Tensor, Tensor]:
    """Return, for each place along a mirrored line, where it looks and 1, or −1 in the mirror."""
    period = max(2 * (length - 1), 1)
    place = torch.arange(max(length, wanted)) % period
    mirrored = place >= length
    return torch.where(mirrored, period - place, place), torch.where(mirrored, -1.0, 1.0)
