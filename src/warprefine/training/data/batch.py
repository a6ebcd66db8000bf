"""A batch of training crops and their label maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.tensors import Frames, LabelMaps
from warprefine.training.losses.counted import Counted

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Crops and their labels, and what all batches of a step hold together, if it has several."""

    frames: Frames
    labels: LabelMaps
    step: Counted | None = None

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
