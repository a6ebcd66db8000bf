"""Label a few frames of a video by hand, get the whole video: Warp-Refine Propagation (ICCV 2021).

The main job is `autolabel`; it returns a `FinishedRun`. `METHODS`, `MOTIONS`, `SEGMENTERS`, `REFINERS`,
`TWO_SIDED_REFINERS`, `READERS` and `LOSSES` list what can be chosen by name; an object that fits one of the
protocols `MotionEstimator`, `Segmenter`, `Refiner`, `TwoSidedRefiner` may take the place of a name. The pure
functions are in `warprefine.ops` (warping, voting, trust) and `warprefine.metrics` (scores of label maps).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warprefine.core.classes import ClassSet
    from warprefine.core.errors import WarpRefineError
    from warprefine.core.progress import Progress, print_progress
    from warprefine.core.protocols import MotionEstimator, Refiner, RefinerInput, Segmentation, Segmenter
    from warprefine.core.tensors import VOID
    from warprefine.core.video import Dataset, Video
    from warprefine.datasets import READERS, open_dataset
    from warprefine.jobs.autolabel import autolabel
    from warprefine.jobs.finished import FinishedRun
    from warprefine.jobs.finished import evaluate_run as evaluate
    from warprefine.jobs.frame_labels import FrameLabels
    from warprefine.jobs.label_frames import label_frames
    from warprefine.jobs.labelled_video import LabelledVideo
    from warprefine.jobs.predict import PredictedFrame, Prediction, predict
    from warprefine.jobs.student import train_student_on_run as train_student
    from warprefine.motion import MOTIONS
    from warprefine.propagation.labeller import Labeller
    from warprefine.propagation.methods import METHODS
    from warprefine.recipe.recipe import Recipe, load_recipe
    from warprefine.recipe.student import StudentRecipe, load_student_recipe
    from warprefine.refinement import REFINERS, TWO_SIDED_REFINERS
    from warprefine.refinement.interface import TwoSidedInput, TwoSidedRefiner
    from warprefine.segmentation import SEGMENTERS
    from warprefine.training.losses import LOSSES

__version__ = "0.1.0"

__all__ = [
    "LOSSES",
    "METHODS",
    "MOTIONS",
    "READERS",
    "REFINERS",
    "SEGMENTERS",
    "TWO_SIDED_REFINERS",
    "VOID",
    "ClassSet",
    "Dataset",
    "FinishedRun",
    "FrameLabels",
    "LabelledVideo",
    "Labeller",
    "MotionEstimator",
    "PredictedFrame",
    "Prediction",
    "Progress",
    "Recipe",
    "Refiner",
    "RefinerInput",
    "Segmentation",
    "Segmenter",
    "StudentRecipe",
    "TwoSidedInput",
    "TwoSidedRefiner",
    "Video",
    "WarpRefineError",
    "autolabel",
    "evaluate",
    "label_frames",
    "load_recipe",
    "load_student_recipe",
    "open_dataset",
    "predict",
    "print_progress",
    "train_student",
]

# Imported when they are first used: torch alone takes seconds, and `warprefine --help` needs none of it.
_HOMES = {
    "core.classes": "ClassSet",
    "core.errors": "WarpRefineError",
    "core.progress": "Progress print_progress",
    "core.protocols": "MotionEstimator Refiner RefinerInput Segmentation Segmenter",
    "core.tensors": "VOID",
    "core.video": "Dataset Video",
    "datasets": "READERS open_dataset",
    "jobs.autolabel": "autolabel",
    "jobs.finished": "FinishedRun evaluate:evaluate_run",
    "jobs.frame_labels": "FrameLabels",
    "jobs.label_frames": "label_frames",
    "jobs.labelled_video": "LabelledVideo",
    "jobs.predict": "PredictedFrame Prediction predict",
    "jobs.student": "train_student:train_student_on_run",
    "motion": "MOTIONS",
    "propagation.labeller": "Labeller",
    "propagation.methods": "METHODS",
    "recipe.recipe": "Recipe load_recipe",
    "recipe.student": "StudentRecipe load_student_recipe",
    "refinement": "REFINERS TWO_SIDED_REFINERS",
    "refinement.interface": "TwoSidedInput TwoSidedRefiner",
    "segmentation": "SEGMENTERS",
    "training.losses": "LOSSES",
}
"""Modules and what is taken from them, as NAME or NAME:NAME THERE."""
_PLACES = {
    name.partition(":")[0]: (module, name.partition(":")[2] or name)
    for module, names in _HOMES.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        module, there = _PLACES[name]
        value = getattr(import_module(f"{__name__}.{module}"), there)
    elif name in ("metrics", "ops"):
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "metrics", "ops"})
