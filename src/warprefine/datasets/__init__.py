"""Read data sets: `open_dataset`, and readers of published layouts by name."""

from __future__ import annotations

from warprefine.datasets.opening import open_dataset
from warprefine.datasets.readers import READERS, Reader

__all__ = ["READERS", "Reader", "open_dataset"]
