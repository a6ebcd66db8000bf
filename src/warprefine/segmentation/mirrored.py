"""Test-time flip averaging: the mean over an input and its mirror image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from warprefine.core.protocols import Segmentation, Segmenter, module_of
from warprefine.core.tensors import Frames, size_of
from warprefine.ops.averaging import mean_logits
from warprefine.ops.compiled import has_loops
from warprefine.ops.resize import LARGEST_STRIDE, pad_to_multiple, stride_of

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


@runtime_checkable
class _Network(Protocol):
    name: str
    class_count: int

    def __call__(self, inputs: Any, /) -> Any: ...


class Mirrored(nn.Module, Generic[InputT, OutputT]):
    """A network whose output is averaged over its input and the mirror image of that; twice the time.

    Devices other than the CPU, which compute a batch faster than its members one by one, get both at once.

    Args:
        network: A segmenter or refiner.
        flip: Mirrors an input left to right; also gets the network's output for that input.
        join: Returns an input and its mirror image as a batch; None if they differ in size.
        split: Returns the outputs for both halves of a batch.
        average: Averages the output for an input with the output for its mirror image.
    """

    def __init__(
        self,
        network: _Network,
        *,
        flip: Callable[[InputT, OutputT], InputT],
        join: Callable[[InputT], InputT | None],
        split: Callable[[OutputT], tuple[OutputT, OutputT]],
        average: Callable[[OutputT, OutputT], OutputT],
    ) -> None:
        super().__init__()
        self.network = module_of(network)
        self.name = f"{network.name}-mirrored"
        self.class_count = network.class_count
        self.feature_channels = int(getattr(network, "feature_channels", 0))
        self._flip, self._average, self._join, self._split = flip, average, join, split

    def forward(self, inputs: InputT) -> OutputT:
        """Return the average; logits in it are logarithms of probabilities."""
        both = self._join(inputs)
        if both is not None:
            return self._average(*self._split(self.network(both)))
        output: OutputT = self.network(inputs)
        return self._average(output, self.network(self._flip(inputs, output)))


def mirrored_segmenter(segmenter: Segmenter) -> Segmenter:
    """Average a segmenter's class probabilities over a frame and its mirror image.

    The features are those of the frame itself.
    """
    return Mirrored[Frames, Segmentation](
        segmenter, flip=_flip_whole, join=_with_mirror_image, split=_split, average=_average
    )


def _flip_whole(frames: Frames, segmentation: Segmentation) -> UInt8[Tensor, "b 3 _ _"]:
    # Cells of the mirrored frame cover the same pixels only where they fill the frame.
    stride = stride_of(segmentation.logits, size_of(frames))
    return pad_to_multiple(frames.float(), stride).to(frames.dtype).flip(-1)


def _with_mirror_image(frames: Frames) -> UInt8[Tensor, "_ 3 h w"] | None:
    """Return frames and their mirror images where cells of any stride fill the frames."""
    if has_loops(frames) or any(pixels % LARGEST_STRIDE for pixels in size_of(frames)):
        return None
    return torch.cat((frames, frames.flip(-1)))


def _split(both: Segmentation) -> tuple[Segmentation, Segmentation]:
    b = len(both.logits) // 2
    return both.mapped(lambda values: values[:b]), both.mapped(lambda values: values[b:])


def _average(segmentation: Segmentation, of_mirror_image: Segmentation) -> Segmentation:
    h, w = size_of(segmentation.logits)
    mirrored = of_mirror_image.logits.flip(-1)[..., :h, :w]
    return Segmentation(logits=mean_logits(segmentation.logits, mirrored), features=segmentation.features)
