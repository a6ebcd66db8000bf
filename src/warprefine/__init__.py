"""Label a few frames of a video by hand, get the whole video: Warp-Refine Propagation (ICCV 2021)."""

from __future__ import annotations

from warprefine.core.classes import ClassSet
from warprefine.core.errors import WarpRefineError
from warprefine.core.video import Dataset, Video
from warprefine.datasets import READERS, open_dataset
from warprefine.jobs.autolabel import Outcome, autolabel
from warprefine.training.recipe import Recipe, load_recipe

__version__ = "0.1.0"

__all__ = [
    "READERS",
    "ClassSet",
    "Dataset",
    "Outcome",
    "Recipe",
    "Video",
    "WarpRefineError",
    "autolabel",
    "load_recipe",
    "open_dataset",
]
