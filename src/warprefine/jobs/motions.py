"""The motion estimators of a run: what the user supplies, else what the recipe names."""

from __future__ import annotations

import torch

from warprefine.core.errors import RecipeError
from warprefine.core.protocols import MotionEstimator
from warprefine.io.run import RunFolder
from warprefine.jobs.context import RunContext
from warprefine.motion.loading import load_motion
from warprefine.propagation.two_sided.direct_flow import RefinesFlow
from warprefine.recipe.recipe import BEST_MOTION, DEFAULT_MOTION, Recipe
from warprefine.training.motion import PART as MOTION


def stepwise_motion(context: RunContext) -> MotionEstimator:
    """Return the motion of the paper's methods: what the user supplies, or what the recipe names."""
    return context.parts.motion or motion_of_run(context.run, context.recipe, device=context.device)


def motion_of_run(run: RunFolder, recipe: Recipe, *, device: torch.device) -> MotionEstimator:
    """Load the motion of the paper's methods; "best" is what was trained in the run, else the default."""
    trained = run.checkpoint_path(MOTION)
    best = str(trained) if trained.exists() else DEFAULT_MOTION
    named = recipe.propagation.motion
    return load_motion(
        best if named == BEST_MOTION else named,
        device=device,
        iterations=recipe.propagation.motion_iterations,
        start=recipe.motion.input_motion,
    )


def two_sided_motion(context: RunContext) -> MotionEstimator:
    """Return the motion of warp-refine-plus: what the user supplies, or what the recipe names.

    Raises:
        RecipeError: long_range is set, but the motion cannot start from a flow.
    """
    carry = context.recipe.plus.carry
    motion = context.parts.motion or load_motion(carry.motion, device=context.device)
    if carry.long_range and not isinstance(motion, RefinesFlow):
        raise RecipeError(
            f"long_range needs motion that can start from a flow, but {motion.name} cannot; "
            "set motion under [plus.carry] to one of the dis estimators, or long_range to false"
        )
    return motion
