"""The command train: one network of a run."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from warprefine.cli import options
from warprefine.cli.console import console
from warprefine.cli.run import end, run_of
from warprefine.io.checkpoints import read_card
from warprefine.jobs.start import announce


class Part(StrEnum):
    """What can be trained on its own."""

    SEGMENTER = "segmenter"
    REFINER = "refiner"
    TWO_SIDED_REFINER = "two-sided-refiner"
    MOTION = "motion"


def train(
    part: Annotated[Part, typer.Argument(help="Which network to train.", show_default=False)],
    data: options.Data,
    out: options.OutOrUrl,
    reader: options.Reader = "folder",
    split: options.Split = "train",
    keyframes: options.KeyFrames = None,
    horizon: options.Horizon = 10,
    also_train: options.AlsoTrain = [],  # noqa: B006
    recipe: options.RecipeFile = None,
    motion: options.Motion = None,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    threads: options.Threads = 0,
    cache: options.Cache = None,
    retrain: options.Retrain = False,
    base: options.Base = None,
    reuse: options.Reuse = True,
) -> None:
    """Train one network of a run: the segmenter, a refiner with all that its samples need, or motion.

    The two-sided-refiner is that of warp-refine-plus, with labels from key frames on both sides; the refiner
    is that of the paper's warp-refine. Motion is a network that improves another estimator's flow; its
    training is self-supervised, by photometric reconstruction of each frame from the one before. Methods of
    the paper use it in the same run; `--motion` takes its checkpoint in other runs. The segmenter can be
    trained on single pictures, of any classes; other trainings begin from it with `weights` in their recipe.

    With several GPUs, start it by torchrun: they share the preparation of samples and each batch, and the
    result is that of one.

    Examples:
    - `warprefine train segmenter data/mine --out runs/mine`
    - `warprefine train two-sided-refiner data/mine --out runs/mine`
    - `torchrun --nproc-per-node 8 -m warprefine train segmenter data/city --device cuda --out runs/city`
    """
    arguments = locals()
    alone = part is Part.SEGMENTER
    with run_of(arguments, training=part is not Part.MOTION, single_frames=alone) as networks:
        train_part: dict[Part, Callable[[], object]] = {
            Part.SEGMENTER: networks.segmenter,
            Part.REFINER: lambda: networks.refiner("stepwise"),
            Part.TWO_SIDED_REFINER: lambda: networks.refiner("two-sided"),
            Part.MOTION: networks.trained_motion,
        }
        context = networks.context
        if context.world.is_first:
            announce(context)
        train_part[part]()
    if not context.world.is_first:
        return
    path = context.run.checkpoint_path(part)
    console.print(f"weights: {path}")
    if error := read_card(path).facts.get("photometric"):
        console.print(
            f"photometric error on held-out frames: {error['before']:.5f} before, {error['after']:.5f} after"
        )
    end(context.left_out)
