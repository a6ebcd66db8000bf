"""Demo: label a procedural street with every method, in minutes on two CPU cores."""

from __future__ import annotations

from pathlib import Path

from warprefine.core.engine import HERE, Engine, while_workers_rest
from warprefine.core.errors import RunFolderError
from warprefine.core.parallel import thread_count
from warprefine.core.progress import Progress, silent
from warprefine.datasets import open_dataset
from warprefine.datasets.street import write_street
from warprefine.io.atomic import writing_errors
from warprefine.io.locks import locked
from warprefine.jobs.autolabel import label
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.networks import Networks
from warprefine.jobs.preflight import check_device, check_seed
from warprefine.jobs.start import start
from warprefine.propagation.methods import METHODS
from warprefine.recipe.network import Augmentation
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.plus import CarrySettings, PlusRecipe, SmoothSettings
from warprefine.recipe.recipe import (
    FeatureSettings,
    PropagationRecipe,
    Recipe,
    RefinerRecipe,
    SegmenterRecipe,
)
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe

HEIGHT, WIDTH = 144, 240
VIDEOS, LENGTH, KEY_FRAME, HORIZON = 8, 21, 10, 10
"""The paper's ApolloScape protocol, scaled down: clips of 21 frames, the middle one labelled."""

MOST_WORKERS = 4
"""Processes that share the demo's few trainings and videos with use."""

SMALL = Recipe(
    segmenter=SegmenterRecipe(
        augmentation=Augmentation(crop=(128, 192), scale=(0.7, 1.5)),
        features=FeatureSettings(crops=160, margin=(16, 32)),
    ),
    refiner=RefinerRecipe(
        widths=(16, 32, 48, 64),
        optimisation=Optimisation(
            steps=150, batch=4, learning_rate=1e-3, warmup=20, average_decay=0.97, class_balance=0.2
        ),
        crop=(128, 192),
    ),
    propagation=PropagationRecipe(tau_candidates=(0.08, 0.15, 0.3)),
    plus=PlusRecipe(
        carry=CarrySettings(motion="dis-fine", slack=1.0),
        refiner=TwoSidedRefinerRecipe(
            widths=(24, 48, 64, 96),
            optimisation=Optimisation(
                steps=200, batch=4, learning_rate=2e-3, warmup=20, average_decay=0.97, class_balance=0.2
            ),
            crop=(128, 192),
            void_weight=0.2,
        ),
        smooth=SmoothSettings(decay=0.7),
    ),
)
"""A recipe that trains in minutes, at the cost of accuracy."""


def run_demo(
    out: Path, *, device: str = "cpu", seed: int = 0, engine: Engine = HERE, progress: Progress = silent
) -> FinishedRun:
    """Render the street into `out`/data if it is missing, keep one label map in 21, label the rest."""
    check_device(device)
    check_seed(seed)
    with locked(out):
        root = out / "data"
        if not root.exists():
            if (out / "job.json").exists():
                raise RunFolderError(
                    f"{out} holds a run that is not the demo's; expected an empty folder, or that of an "
                    "earlier demo; choose another --out"
                )
            unfinished = out / ".data"
            with while_workers_rest(engine):
                write_street(
                    unfinished,
                    videos=VIDEOS,
                    length=LENGTH,
                    start=KEY_FRAME,
                    step=LENGTH,
                    h=HEIGHT,
                    w=WIDTH,
                    seed=seed,
                    threads=thread_count(),
                    progress=progress,
                )
            with writing_errors(root):
                unfinished.rename(root)
        # Not `autolabel`, which refuses data in its run folder: these are the demo's own.
        context = start(
            open_dataset(root),
            out,
            horizon=HORIZON,
            recipe=SMALL,
            device=device,
            seed=seed,
            engine=engine,
            progress=progress,
        )
        return label(Networks(context), tuple(METHODS))
