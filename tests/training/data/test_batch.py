"""Tests of training/data/batch.py: crops are stacked in order."""

from __future__ import annotations

import numpy as np
import torch

from warprefine.training.data.batch import Batch


def test_crops_are_stacked_in_order(rng: np.random.Generator) -> None:
    """Each crop keeps its labels; colours come before rows and columns, as networks take them."""
    crops = [
        (rng.integers(0, 256, (6, 8, 3), np.uint8), rng.integers(0, 3, (6, 8), np.uint8)) for _ in range(3)
    ]

    batch = Batch.of(crops)

    assert batch.frames.shape == (3, 3, 6, 8)
    for i, (image, labels) in enumerate(crops):
        assert torch.equal(batch.frames[i].permute(1, 2, 0), torch.from_numpy(image))
        assert torch.equal(batch.labels[i], torch.from_numpy(labels))
