"""Define the protocols of the parts that users swap: motion estimator, segmenter and refiner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from warprefine.core.tensors import Flow, Frames, LabelMaps, Logits

PartT = TypeVar("PartT")


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """A segmenter's output: logits and the features that they are computed from.

    Both may be smaller than the frame (logits often at stride 2 or 4); `ops.resize.to_size` resizes
    them to it. Softmax over `logits` gives class probabilities.

    In training, some networks also return logits for auxiliary losses: a `first_guess`, predicted
    before the final logits, and `by_scale`, the logits of each of several input scales.
    """

    logits: Logits
    features: Tensor  # (b, f, h/s, w/s)
    first_guess: Logits | None = None
    by_scale: tuple[Logits, ...] = ()

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Segmentation:
        """Return logits and features changed alike, without the auxiliary outputs of training."""
        return Segmentation(logits=change(self.logits), features=change(self.features))

    @property
    def nbytes(self) -> int:
        """Bytes of logits and features."""
        return self.logits.nbytes + self.features.nbytes

    @classmethod
    def stacked(cls, parts: Sequence[Segmentation]) -> Segmentation:
        """Concatenate outputs for frames of one size into a batch, in order."""
        return cls(
            logits=torch.cat([part.logits for part in parts]),
            features=torch.cat([part.features for part in parts]),
        )


@runtime_checkable
class MotionEstimator(Protocol):
    """A motion estimator (the paper's f_theta): where each pixel of frame b was in frame a.

    Its `name` stands for all that its flow depends on: flow in a cache is found by that name.

    Example:
        >>> class Pan:
        ...     name = "pan"
        ...
        ...     def __call__(self, frame_b, frame_a):  # everything moves 3 pixels to the left
        ...         flow = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1)
        ...         return flow.expand(len(frame_b), 2, *frame_b.shape[2:])
        >>> isinstance(Pan(), MotionEstimator)
        True
    """

    name: str

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        """Return `flow_ba`: it lives on b and points into a, (x, y) in pixels."""
        ...


@runtime_checkable
class ThreeFrameMotion(Protocol):
    """A motion estimator whose flow is more accurate with a third frame, on the far side of frame a."""

    def from_three(self, frame_b: Frames, frame_a: Frames, frame_before: Frames) -> Flow:
        """Return `flow_ba`; `frame_before` is as far from a as b is, on the other side."""
        ...


@runtime_checkable
class ThreadedMotion(Protocol):
    """A motion estimator on the CPU whose flow is computed in several threads, a copy in each of them.

    It computes in one thread and leaves Python's lock to others meanwhile.
    """

    def for_thread(self) -> MotionEstimator:
        """Return a copy with the same flow for another thread."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """A semantic segmentation network (the paper's g_psi); any network that returns logits fits.

    Attributes:
        class_count: Channels of the logits, one per class; VOID is not one of them.
        feature_channels: Channels of the features.

    Example:
        >>> class Brightness:
        ...     name, class_count, feature_channels = "brightness", 2, 1
        ...
        ...     def __call__(self, frames):  # class 0 is dark, class 1 is bright
        ...         gray = frames.float().mean(dim=1, keepdim=True) / 255
        ...         return Segmentation(logits=torch.cat((0.5 - gray, gray - 0.5), dim=1), features=gray)
        >>> isinstance(Brightness(), Segmenter)
        True
    """

    name: str
    class_count: int
    feature_channels: int

    def __call__(self, frames: Frames) -> Segmentation:
        """Segment frames of any size."""
        ...


@runtime_checkable
class Pretrained(Protocol):
    """A network that can be initialised with weights trained on other data."""

    def load_pretrained(self) -> None:
        """Load those weights."""
        ...


@runtime_checkable
class FrozenTrunk(Protocol):
    """A segmenter whose part `trunk` is never trained: its head learns from features that are computed once.

    The part is no member of this protocol: since Python 3.12 `isinstance` does not look where torch keeps
    the parts of a module, and would find no such segmenter.
    """

    def trunk_features(self, frames: Frames) -> Sequence[Tensor]:
        """Return the trunk's features, finest first; the coarsest have stride 32."""
        ...

    def head(self, features: Sequence[Tensor]) -> Segmentation:
        """Return the scores that the head computes from the trunk's features."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class RefinerInput:
    """The refiner's input for frame b: all terms of the paper's equation (A), and nothing else.

    `warped_frame` is frame a warped onto b; `labels` are the warp-inpainted labels of b.
    """

    frame: Frames
    warped_frame: Frames
    labels: LabelMaps
    segmentation: Segmentation

    def mapped(self, change: Callable[[Tensor], Tensor]) -> RefinerInput:
        """Return all of it changed alike: cropped, flipped or moved to another device."""
        return RefinerInput(
            frame=change(self.frame),
            warped_frame=change(self.warped_frame),
            labels=change(self.labels),
            segmentation=self.segmentation.mapped(change),
        )

    def to(self, device: torch.device) -> RefinerInput:
        """Return all of it on another device."""
        ahead = device.type == "cuda"  # from pinned memory; what comes back is waited for
        return self.mapped(lambda values: values.to(device, non_blocking=ahead))

    @property
    def images(self) -> tuple[Frames, Frames]:
        """The frame and the warped frame."""
        return self.frame, self.warped_frame

    def with_images(self, frame: Frames, warped_frame: Frames) -> RefinerInput:
        """Return the same with other images."""
        return replace(self, frame=frame, warped_frame=warped_frame)

    @classmethod
    def stacked(cls, inputs: Sequence[RefinerInput]) -> RefinerInput:
        """Concatenate inputs of frames of one size into a batch, in order."""
        return cls(
            frame=torch.cat([one.frame for one in inputs]),
            warped_frame=torch.cat([one.warped_frame for one in inputs]),
            labels=torch.cat([one.labels for one in inputs]),
            segmentation=Segmentation.stacked([one.segmentation for one in inputs]),
        )


@runtime_checkable
class Refiner(Protocol):
    """A label refinement network (the paper's Omega_lambda): it corrects warp-inpainted labels."""

    name: str
    class_count: int

    def __call__(self, inputs: RefinerInput) -> Logits:
        """Return logits (b, C + 1, h, w) at the frame's size; the last channel is VOID."""
        ...


def module_of(part: object) -> nn.Module:
    """Return a part as a module, whose weights can be trained, saved and moved to a device.

    Raises:
        TypeError: The part is no module, so it has no weights.
    """
    if not isinstance(part, nn.Module):
        raise TypeError(f"{type(part).__name__} is no torch.nn.Module, so it has no weights")
    return part


def device_of(part: object) -> torch.device:
    """Return the device of a part's weights; the CPU if it has none.

    Example:
        >>> device_of(nn.Linear(2, 1, device="meta")), device_of(nn.ReLU())
        (device(type='meta'), device(type='cpu'))
    """
    first = next(part.parameters(), None) if isinstance(part, nn.Module) else None
    return first.device if first is not None else torch.device("cpu")


def channels_last(part: PartT) -> PartT:
    """Store a network's kernels in channels-last layout, the fastest for convolutions on a CPU."""
    module_of(part).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return part


def ready(part: PartT, device: torch.device) -> PartT:
    """Move a network to a device, in channels-last layout, and set it to evaluation mode."""
    module_of(channels_last(part)).to(device).eval()
    return part
