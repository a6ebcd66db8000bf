"""Start a run: check everything that can be checked before hours of work, then claim the folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from warprefine.core.progress import Progress, silent
from warprefine.core.video import Dataset
from warprefine.io.atomic import write_text
from warprefine.io.run import RunFolder
from warprefine.jobs.context import GivenParts, RunContext
from warprefine.jobs.networks import Networks
from warprefine.jobs.preflight import (
    check_device,
    check_further,
    check_names,
    check_parts,
    check_reach,
    describe_job,
    sound_videos,
)
from warprefine.recipe.recipe import Recipe
from warprefine.recipe.settings_file import settings_to_toml
from warprefine.training.segmenter import build_segmenter


def start(
    dataset: Dataset,
    out: Path,
    *,
    horizon: int = 10,
    also_train: Sequence[Dataset] = (),
    recipe: Recipe | None = None,
    parts: GivenParts | None = None,
    device: str = "cpu",
    seed: int = 0,
    training: bool = True,
    cache: Path | None = None,
    progress: Progress = silent,
) -> RunContext:
    """Check the data and claim the run folder; the arguments are those of `autolabel`.

    Quick checks come first, long ones next. Nothing of this job is written before them, so that a mistake can
    be mended and the same folder used.

    Args:
        dataset: The videos.
        out: The run folder.
        horizon: Frames are labelled up to this far from a key frame.
        also_train: Further labelled data of the same classes.
        recipe: All hyper-parameters; None means the defaults.
        parts: Parts that are supplied as objects.
        device: Where networks run.
        seed: Seed of all random numbers.
        training: Whether networks may be trained; if so, the weights that they start from have to be there.
        cache: A folder for flow and segmentations that is shared with other runs; None is one in `out`.
        progress: Called as work proceeds.

    Raises:
        WarpRefineError: Nothing can be labelled; the message has the reason and the remedy.
    """
    recipe, parts = recipe or Recipe(), parts or GivenParts()
    check_names(recipe)
    check_parts(parts, dataset)
    check_reach(dataset, horizon)
    check_further(dataset, also_train)
    run = RunFolder(out, cache=cache)
    job = describe_job(dataset, horizon=horizon, also_train=also_train, seed=seed, recipe=recipe, parts=parts)
    run.check(job)
    if training and parts.segmenter is None and not run.checkpoint_path("segmenter").exists():
        names = dataset.classes.names  # weights to start from may be missing
        build_segmenter(recipe.segmenter, len(names), seed=seed, class_names=names)
    context = RunContext(
        dataset=dataset,
        horizon=horizon,
        run=run,
        recipe=recipe,
        device=check_device(device),
        seed=seed,
        progress=progress,
        also_train=tuple(also_train),
        parts=parts,
    )
    networks = Networks(context)
    networks.motion("two-sided")
    sound, left_out = sound_videos(
        dataset, horizon=horizon, motion=networks.motion("stepwise"), progress=progress
    )
    run.claim(job)
    write_text(out / "recipe.toml", settings_to_toml(recipe))
    return RunContext(**{**vars(context), "dataset": sound, "left_out": left_out})
