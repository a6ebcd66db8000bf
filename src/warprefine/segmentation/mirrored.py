"""Ask a segmenter twice: about the frame and about its mirror image, and average what it says."""

from __future__ import annotations

from typing import cast

from torch import nn

from warprefine.core.protocols import Segmentation, Segmenter
from warprefine.core.tensors import Frames
from warprefine.ops.averaging import mean_logits
from warprefine.ops.resize import pad_to_multiple, stride_of


class MirroredSegmenter(nn.Module):
    """A segmenter whose class probabilities are the mean over a frame and its mirror image.

    It takes twice the time. The features are those of the frame itself.

    Args:
        segmenter: The segmenter that is asked; a network.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = cast(nn.Module, segmenter)
        self.name = f"{segmenter.name}-mirrored"
        self.class_count = segmenter.class_count
        self.feature_channels = segmenter.feature_channels

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size; the logits are logarithms of probabilities."""
        size = (frames.shape[-2], frames.shape[-1])
        said = self.segmenter(frames)
        # Cells of the mirrored frame cover the same pixels only where they fill the frame.
        whole = pad_to_multiple(frames.float(), stride_of(said.logits, size)).to(frames.dtype)
        mirrored = self.segmenter(whole.flip(-1)).logits.flip(-1)
        mirrored = mirrored[..., : said.logits.shape[-2], : said.logits.shape[-1]]
        return Segmentation(logits=mean_logits(said.logits, mirrored), features=said.features)
