"""A batch of training crops and their label maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from warprefine.core.layout import in_fast_layout
from warprefine.core.protocols import FrozenTrunk, Segmentation, Segmenter
from warprefine.core.tensors import Frames, LabelMaps
from warprefine.training.losses.counted import Counted

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledBatch(ABC):
    """Labels, and where in the training they are.

    Attributes:
        labels: Label maps of the crops.
        step: What all batches of the step hold together, if it has several.
        progress: Share of the training's steps that came before, from 0 to 1.
    """

    labels: LabelMaps
    step: Counted | None = None
    progress: float = 0.0

    @abstractmethod
    def segmented(self, segmenter: Segmenter, device: torch.device) -> Segmentation:
        """Return what a segmenter makes of the batch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch(LabelledBatch):
    """Crops and their labels."""

    frames: Frames

    def segmented(self, segmenter: Segmenter, device: torch.device) -> Segmentation:
        """Return what a segmenter that is trained as a whole makes of the crops."""
        return segmenter(self.frames.to(device, non_blocking=True))

    @classmethod
    def of(cls, crops: Sequence[tuple[Picture, Picture]]) -> Batch:
        """Stack crops of one size, each an image (h, w, 3) and its labels (h, w).

        Example:
            >>> crop = np.zeros((32, 48, 3), np.uint8), np.ones((32, 48), np.uint8)
            >>> batch = Batch.of([crop, crop])
            >>> batch.frames.shape, batch.labels.shape
            (torch.Size([2, 3, 32, 48]), torch.Size([2, 32, 48]))
        """
        frames = torch.from_numpy(np.stack([image for image, _ in crops])).permute(0, 3, 1, 2)
        return cls(frames=frames, labels=torch.from_numpy(np.stack([labels for _, labels in crops])))


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureBatch(LabelledBatch):
    """Windows of a frozen trunk's features (b, c, h / s, w / s), finest first, and every second label."""

    features: tuple[Tensor, ...]

    def segmented(self, segmenter: Segmenter, device: torch.device) -> Segmentation:
        """Return what the head of a segmenter makes of the features."""
        assert isinstance(segmenter, FrozenTrunk), "features are computed for such segmenters alone"
        return segmenter.head([values.to(device, non_blocking=True).float() for values in self.features])

    @classmethod
    def of(cls, windows: Sequence[tuple[Sequence[Tensor], Tensor]]) -> FeatureBatch:
        """Stack windows of one size, each its features and its labels (b = 1)."""
        features = [
            in_fast_layout(torch.cat(list(of_stride)))
            for of_stride in zip(*(features for features, _ in windows), strict=True)
        ]
        return cls(features=tuple(features), labels=torch.cat([labels for _, labels in windows]))
