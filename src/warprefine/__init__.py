"""Label a few frames of a video by hand, get the whole video: Warp-Refine Propagation (ICCV 2021).

The main job is `autolabel`; it returns a `FinishedRun`. `METHODS`, `MOTIONS`, `SEGMENTERS`, `REFINERS`,
`TWO_SIDED_REFINERS`, `READERS` and `LOSSES` list what can be chosen by name; an object that fits one of the
protocols `MotionEstimator`, `Segmenter`, `Refiner`, `TwoSidedRefiner` may take the place of a name. The pure
functions are in `warprefine.ops` (warping, voting, trust) and `warprefine.metrics` (scores of label maps).
"""

from __future__ import annotations

from warprefine.core.classes import ClassSet
from warprefine.core.errors import WarpRefineError
from warprefine.core.progress import Progress, print_progress
from warprefine.core.protocols import MotionEstimator, Refiner, RefinerInput, Segmentation, Segmenter
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset, Video
from warprefine.datasets import READERS, open_dataset
from warprefine.jobs.autolabel import autolabel
from warprefine.jobs.finished import FinishedRun, FrameLabels
from warprefine.jobs.finished import evaluate_run as evaluate
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
    "load_recipe",
    "load_student_recipe",
    "open_dataset",
    "predict",
    "print_progress",
    "train_student",
]
