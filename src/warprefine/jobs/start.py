"""Start a run: check everything that can be checked before hours of work, then claim the folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from warprefine.core.engine import HERE, Engine, while_workers_rest
from warprefine.core.errors import RunFolderError
from warprefine.core.precision import name_of, native_precision, precision_named
from warprefine.core.progress import Progress, silent
from warprefine.core.stages import GOOD, Stage
from warprefine.core.video import Dataset
from warprefine.datasets.label_notes import review_labels
from warprefine.io.atomic import remove_old_drafts, write_text
from warprefine.io.claims import read_claim
from warprefine.io.run import RunFolder
from warprefine.jobs.checked_videos import CheckedVideos
from warprefine.jobs.context import GivenParts, RunContext
from warprefine.jobs.corrections import with_corrections
from warprefine.jobs.cut_guard import CutGuard
from warprefine.jobs.moved_data import moved_keys, seen_from
from warprefine.jobs.networks import Networks
from warprefine.jobs.preflight import (
    CALIBRATION,
    CHANGEABLE_JOB,
    FORMER_JOB,
    check_device,
    check_further,
    check_names,
    check_parts,
    check_reach,
    check_seed,
    describe_job,
)
from warprefine.jobs.reuse import use_base
from warprefine.jobs.stages import check_stage
from warprefine.jobs.training_data import check_networks
from warprefine.jobs.usable_data import set_aside, sound_videos, without
from warprefine.jobs.video_check import VideoCheck
from warprefine.propagation.coverage import Horizon
from warprefine.propagation.unreached import Unreached, check_unreached
from warprefine.recipe.recipe import Recipe
from warprefine.recipe.settings_file import settings_to_toml
from warprefine.training.base_store import BaseStore
from warprefine.training.data.samples import check_learnable
from warprefine.training.segmenter import build_segmenter
from warprefine.training.teachers import LABELLER

log = logging.getLogger(__name__)


def start(
    dataset: Dataset,
    out: Path,
    *,
    horizon: Horizon = 10,
    also_train: Sequence[Dataset] = (),
    recipe: Recipe | None = None,
    parts: GivenParts | None = None,
    device: str = "cpu",
    seed: int = 0,
    training: bool = True,
    single_frames: bool = False,
    cache: Path | None = None,
    cache_size: int | None = None,
    retrain: bool = False,
    base: Path | None = None,
    reuse: bool = True,
    until: Stage | None = None,
    unreached: Unreached = "skip",
    boundaries: bool = True,
    engine: Engine = HERE,
    progress: Progress = silent,
) -> RunContext:
    """Check the data and claim the run folder; the arguments are those of `autolabel`.

    Quick checks come first, long ones next. Nothing of this job is written before them, so that a mistake can
    be mended and the same folder used.

    Args:
        dataset: The videos.
        out: The run folder.
        horizon: Frames are labelled up to this far from a key frame; "all" labels every frame.
        also_train: Further labelled data of the same classes.
        recipe: All hyper-parameters; None means the defaults.
        parts: Parts that are supplied as objects.
        device: Where networks run.
        seed: Seed of all random numbers.
        training: Whether networks may be trained; if so, the weights that they start from have to be there.
        single_frames: Take data without any frame to label: a segmenter alone is trained.
        cache: A folder for all that can be computed again, shared with other runs; None is one in `out`.
        cache_size: Bytes that it may take; the oldest files are deleted. None: no limit.
        retrain: Train networks anew if their data have changed.
        base: A base segmenter to adapt, or a run that has one.
        reuse: Take base segmenters that were trained on the same further data before, and keep new ones.
        until: The last stage that is asked for; None for a job without stages.
        unreached: What becomes of frames that no key frame reaches.
        boundaries: Score boundaries where there is truth.
        engine: Where the files of videos are opened, and later networks trained and frames labelled.
        progress: Called as work proceeds.

    Raises:
        WarpRefineError: Nothing can be labelled, or workers cannot reach the data; the message has the reason
            and the remedy.
    """
    recipe, parts = _calibrating_as_before(out, recipe or Recipe()), parts or GivenParts()
    check_seed(seed)
    check_names(recipe)
    if until is not None:
        check_stage(recipe, until)
        check_names(recipe.for_stage(until))
    check_unreached(unreached)
    check_parts(parts, dataset)
    reach = check_reach(dataset, horizon, single_frames=single_frames)
    check_further(dataset, also_train)
    run = RunFolder(out, cache=cache, cache_size=cache_size)
    if cache is not None:
        remove_old_drafts(cache)  # those in the run folder are removed by whoever locks it
    job = seen_from(
        out,
        describe_job(dataset, horizon=horizon, also_train=also_train, seed=seed, recipe=recipe, parts=parts),
    )
    run.check(job, former=FORMER_JOB, changeable=_changeable(out, job))
    dataset = with_corrections(dataset, out)
    for stage in dict.fromkeys((GOOD, until or GOOD)):
        if (
            training
            and parts.segmenter is None
            and not run.for_stage(stage).checkpoint_path(LABELLER).exists()
        ):
            names = dataset.classes.names
            if len(names) == 1:
                check_learnable((), names)
            # The weights to start from may be missing.
            build_segmenter(recipe.for_stage(stage).segmenter, len(names), seed=seed, class_names=names)
    context = RunContext(
        dataset=dataset,
        horizon=reach,
        run=run,
        recipe=recipe,
        device=check_device(device),
        seed=seed,
        progress=progress,
        also_train=tuple(also_train),
        parts=parts,
        bases=BaseStore.of_user() if reuse else BaseStore(folder=None),
        unreached=unreached,
        boundaries=boundaries,
    )
    networks = Networks(context).on(engine)
    context = networks.context
    networks.motion("two-sided")
    wanted = recipe.propagation
    guard = CutGuard(run, sensitivity=wanted.cut_sensitivity) if wanted.stop_at_cuts else None
    with while_workers_rest(engine):
        usable = _usable(networks, guard, within=_needed_within(context, training=training))
    run.claim(job, former=FORMER_JOB, changeable=_changeable(out, job))
    if guard is not None:
        guard.record()
    stale = check_networks(run, usable.dataset, also_train, horizon=reach, retrain=retrain)
    if base is not None:
        use_base(context, base)
    precision = _note_machine(run, context.device)
    write_text(out / "recipe.toml", settings_to_toml(recipe))
    return replace(usable, precision=precision, stale=stale)


def _usable(networks: Networks, guard: CutGuard | None, *, within: int) -> RunContext:
    """Return the context of a run with what can be used of its data; the guard notes what it has found."""
    context = networks.context
    dataset = context.dataset
    review = review_labels(dataset)
    unused = set_aside(dataset, review.empty)
    check = VideoCheck(
        classes=dataset.classes,
        motion=networks.motion("stepwise"),
        guard=guard,
        checked=CheckedVideos(context.run.checked),
    )
    sound, left_out = sound_videos(
        without(dataset, unused), check, within=within, engine=context.engine, progress=context.progress
    )
    return replace(
        context,
        dataset=sound,
        left_out=left_out,
        set_aside=unused,
        notes=(*dataset.notes, *review.notes),
    )


def _changeable(out: Path, job: dict[str, Any]) -> tuple[str, ...]:
    """Return what may change in the job of a run."""
    return (*CHANGEABLE_JOB, *moved_keys(out, job))


def _calibrating_as_before(out: Path, recipe: Recipe) -> Recipe:
    """Return the recipe with the calibration that a run was made with, where it has none of its own.

    Confidence that is calibrated stays so, whether a later call asks for it again or not.
    """
    if recipe.propagation.calibration_key_frames or not (out / "job.json").exists():
        return recipe
    recorded: Any = read_claim(out / "job.json")
    for name in ("recipe", "propagation"):
        recorded = recorded.get(name) if isinstance(recorded, dict) else None
    if isinstance(recorded, dict):
        for key in CALIBRATION:
            value = recorded.get(key)
            recipe = recipe.changed(("propagation", key), value) if type(value) is int else recipe
    return recipe


def _needed_within(context: RunContext, *, training: bool) -> int:
    """Return up to which distance from a key frame frames are needed."""
    if context.unreached == "semantic":
        return max(map(len, context.dataset.videos))
    recipe = context.recipe
    longest = max(recipe.refiner.longest_cycle, recipe.plus.refiner.longest_cycle)
    return max(context.horizon, longest) if training else context.horizon


def precision_of_run(run: RunFolder, device: torch.device) -> torch.dtype:
    """Return the precision that a run was begun with on a device of this kind, else that of the device."""
    path = run.root / "computed_with.json"
    try:
        before = read_claim(path, {"device": str}) if path.exists() else {}
    except RunFolderError:
        before = {}
    recorded = precision_named(before.get("precision")) if before.get("device") == device.type else None
    return recorded or native_precision(device)


def _note_machine(run: RunFolder, device: torch.device) -> torch.dtype:
    """Record what the last bits of labels depend on, and warn if a run goes on with something else.

    Returns:
        The precision that the run was begun with on a device of this kind, else that of the device.
    """
    path = run.root / "computed_with.json"
    now = {"device": device.type, "threads": torch.get_num_threads(), "torch": str(torch.__version__)}
    try:
        before = read_claim(path, {"device": str}) if path.exists() else now
    except RunFolderError:  # written anew below
        before = now
    precision = precision_of_run(run, device)
    now["precision"] = name_of(precision)
    differing = [f"{key} {before[key]}, now {now.get(key)}" for key in before if before[key] != now.get(key)]
    if differing:
        log.warning(
            "%s was computed with %s: what is made now may differ in the last bits",
            run.root,
            "; ".join(differing),
        )
    write_text(path, json.dumps(now) + "\n")
    return precision


def announce(context: RunContext) -> None:
    """Log the videos that are left out, cuts, and what label maps and folders show that may not be meant."""
    for message in context.left_out.values():
        log.error("left out: %s", message)
    for note in context.notes:
        log.warning("%s", note)
    for video in context.dataset.videos:
        for note in video.continuity.notes(video.name):
            log.warning("%s", note)
    if context.stale:
        log.warning("%s", context.stale)
