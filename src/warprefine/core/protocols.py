"""Name the three parts that users swap: what moves, what it is, and what is wrong with the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from warprefine.core.tensors import Flow, Frames, LabelMaps, Logits

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """What a segmenter says of frames: class scores and the features behind them.

    Both may be smaller than the frame (logits often at stride 2 or 4); whoever needs them at full
    size resizes them (`ops.resize.to_size`). Softmax over `logits` gives class probabilities.

    Some networks say more while they are trained, which the loss may look at too: a `first_guess`
    before the final scores, and what each of several scales (`by_scale`) says by itself.
    """

    logits: Logits
    features: Tensor  # (b, f, h/s, w/s)
    first_guess: Logits | None = None
    by_scale: tuple[Logits, ...] = ()

    def to(self, device: torch.device) -> Segmentation:
        """Return the same on another device."""
        return Segmentation(logits=self.logits.to(device), features=self.features.to(device))


@runtime_checkable
class MotionEstimator(Protocol):
    """Estimate where each pixel of frame b was in frame a (the paper's f_theta)."""

    name: str

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        """Return `flow_ba`: it lives on b and points into a, (x, y) in pixels."""
        ...


@runtime_checkable
class LooksBack(Protocol):
    """A motion estimator that does better if it also sees the frame on the far side of frame a."""

    def from_three(self, frame_b: Frames, frame_a: Frames, frame_before: Frames) -> Flow:
        """Return `flow_ba`; `frame_before` lies as far from a as b does, on the other side."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Say which class each pixel of a frame is (the paper's g_psi); any network with logits fits."""

    name: str
    class_count: int
    feature_channels: int

    def __call__(self, frames: Frames) -> Segmentation:
        """Segment frames of any size."""
        ...


@runtime_checkable
class Pretrained(Protocol):
    """A network that may begin from weights trained on other data."""

    def load_pretrained(self) -> None:
        """Take those weights."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class RefinerInput:
    """What the refiner sees of frame b: all that the paper's equation (A) names, and nothing else.

    `warped_frame` is frame a warped onto b; `labels` are the warp-inpainted labels of b.
    """

    frame: Frames
    warped_frame: Frames
    labels: LabelMaps
    segmentation: Segmentation

    def to(self, device: torch.device) -> RefinerInput:
        """Return the same on another device."""
        return RefinerInput(
            frame=self.frame.to(device),
            warped_frame=self.warped_frame.to(device),
            labels=self.labels.to(device),
            segmentation=self.segmentation.to(device),
        )


@runtime_checkable
class Refiner(Protocol):
    """Repair warp-inpainted labels (the paper's Omega_lambda)."""

    name: str
    class_count: int

    def __call__(self, seen: RefinerInput) -> Logits:
        """Return scores (b, C + 1, h, w) at the frame's size; the last channel is VOID."""
        ...


def as_module(part: object) -> nn.Module | None:
    """Return `part` as a module if it has weights, else None."""
    return part if isinstance(part, nn.Module) else None


def device_of(part: object) -> torch.device:
    """Return the device that a part's weights live on; the CPU if it has none."""
    module = as_module(part)
    first = next(module.parameters(), None) if module is not None else None
    return first.device if first is not None else torch.device("cpu")


def channels_last(network: ModuleT) -> ModuleT:
    """Lay a network's kernels out channel by channel per pixel, which convolutions on a CPU like best."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
