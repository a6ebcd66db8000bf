"""List the tasks of a job with what each is expected to cost, for a forecast of its time.

Costs are seconds on one core, measured at 480 x 360 pixels; a forecast scales them to the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from warprefine.core.forecast import Task
from warprefine.core.stages import Stage
from warprefine.io.frames import frame_size
from warprefine.jobs.context import RunContext
from warprefine.jobs.held_out_networks import short_trainings
from warprefine.jobs.networks import Networks
from warprefine.jobs.stages import StagePass
from warprefine.propagation.methods import METHODS, Need, needs_of
from warprefine.propagation.stepwise.cycle import cycles_of
from warprefine.propagation.units import frames_in_reach
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.recipe.two_sided_refiner import REFINER_WIDTHS, TwoSidedTraining
from warprefine.training.data.samples import labelled_frames
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.tau import trial_walks
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.teachers import BASE, LABELLER, fold_name

_FRAME = 360 * 480
_CROP, _REFINER_CROP, _FEATURES_CROP = 8 * 288 * 352, 4 * 256 * 320, 352 * 480
"""Pixels of frames, of batches of segmenter and refiner, and of crops, that costs were measured with."""
_FEATURES, _HEAD_STEP, _SEGMENTER_STEP = 0.055, 0.14, 1.2
"""The trunk of lite0-frozen for a crop; a step of its head; a step of a segmenter that is trained whole."""
_WALK, _CYCLE = 0.5, 0.2
"""A walk on which tau is chosen, and a cycle of the paper's refiner."""
_SIDES, _TARGETS, _REFINER_STEP = 8.5, 0.5, 1.2
"""Sides of a key frame by cycles of 10; the rest of its samples; a step of the network two-sided."""
_LIGHT = {"auto": 0.5, "two-sided-light": 0.5, "candidates": 0.4}
"""Cost of a step of other two-sided refiners, as a part of one of two-sided."""
_FRAME_VOTED, _FRAME_REFINED, _FRAME_OTHERS = 0.35, 0.2, 0.2
"""A frame by vote, with flow and segmentation; what the refiner adds; a frame by another method."""
_REHEARSAL = 4.0
"""A key frame, and those around it, labelled as if it were none."""
_SCORED = 0.15
"""Scores and report of a frame, by one method."""
_BEGUN = 1.0
"""What a training takes before its first step."""


def tasks_of(passes: Sequence[StagePass]) -> list[Task]:
    """Return the tasks of passes in order, without those trainings that are done."""
    planned: set[Path] = set()
    return [task for one in passes for task in _tasks_of_pass(one, planned)]


def _tasks_of_pass(one: StagePass, planned: set[Path]) -> Iterator[Task]:
    """Yield the tasks of a pass; checkpoints that are planned already are not trained again."""
    context, stage = one.networks.context, one.stage
    videos = context.dataset.videos
    frames = sum(len(frames_in_reach(video, context.horizon)) - len(video.labels) for video in videos)
    scale = _pixels(context) / _FRAME
    for networks, methods in one.steps:
        yield from trainings_of(networks, methods, stage, planned)
        yield from _calibration(networks, methods, stage)
        kinds = {METHODS[method].labeller for method in methods}
        refiner = networks.context.recipe.plus.refiner
        refined = refiner.members if refiner.enabled else 0
        costs = [
            _FRAME_VOTED + _FRAME_REFINED * refined if kind == "two-sided" else _FRAME_OTHERS
            for kind in kinds
        ]
        yield Task(
            name="propagating",
            stage=stage,
            kind=f"frame of {stage}, {sorted(kinds)}",
            units=frames * len(kinds),
            seconds=scale * sum(costs) / len(kinds),
        )
    seconds = 1 + _SCORED * frames * len(one.methods) * scale
    yield Task(name="scores and report", stage=stage, kind="report", units=1, seconds=seconds)


def trainings_of(
    networks: Networks, methods: Sequence[str], stage: Stage, planned: set[Path]
) -> Iterator[Task]:
    """Yield the trainings of a stage and what they need; those of rounds are as many times those of one.

    Args:
        networks: The networks of the stage.
        methods: The methods that need them.
        stage: The stage.
        planned: Checkpoints that are planned already; those of the stage are added.
    """
    context, needs = networks.context, needs_of(methods)
    recipe, run = context.recipe, context.run
    segmenter = recipe.segmenter
    rounds = recipe.plus.rounds.count if "rounds" in needs else 1
    refined = "two-sided-refiner" in needs and recipe.plus.refiner.enabled
    if context.parts.segmenter is None and "segmenter" in needs:
        names = [LABELLER, *(_folds(context) if refined or _cycles(networks, needs) else [])]
        further = _further(context)
        alone = segmenter.main_training(len(labelled_frames(context.dataset)))
        first = segmenter.adaptation if further else alone
        if further and _is_due(run.checkpoint_path(BASE), planned):
            group = "base" if rounds == 1 else "rounds"
            yield from _segmenter(context, BASE, segmenter.main_training(further), stage, group)
        for name in names:
            if _is_due(run.checkpoint_path(name), planned):
                group = "rounds" if rounds > 1 else "segmenter" if name == LABELLER else "refiner"
                for training in (first, *(rounds - 1) * [segmenter.adaptation]):
                    yield from _segmenter(context, name, training, stage, group)
    if "tau" in needs and not networks.tau_is_known:
        yield from _tau(context, stage)
    refiner = run.checkpoint_path(REFINER.part)
    if "refiner" in needs and not context.parts.refiner and _is_due(refiner, planned):
        yield from _refiner(context, stage)
    refiner = run.checkpoint_path(TWO_SIDED_REFINER.part)
    if refined and not context.parts.two_sided_refiner and _is_due(refiner, planned):
        yield from _two_sided_refiner(context, stage, rounds=rounds)


def _calibration(networks: Networks, methods: Sequence[str], stage: Stage) -> Iterator[Task]:
    """Yield what calibration takes: networks without each fold of the key frames, and what they label."""
    context, needs = networks.context, needs_of(methods)
    propagation, segmenter = context.recipe.propagation, context.recipe.segmenter
    own, group = len(labelled_frames(context.dataset)), "calibration"
    if not propagation.calibration_key_frames:
        return
    refined = "two-sided-refiner" in needs and context.recipe.plus.refiner.enabled
    short = replace(context, recipe=short_trainings(context.recipe))
    for _ in range(min(segmenter.folds, own)):
        if segmenter.held_out == "base" and _further(context) and "segmenter" in needs:
            yield from _segmenter(context, LABELLER, segmenter.adaptation, stage, group)
        if refined and propagation.calibration_steps:
            yield from _two_sided_refiner(short, stage, rounds=1, group=group)
    yield Task(
        name="calibrating confidence",
        stage=stage,
        kind=f"rehearsal {sorted(needs)}",
        units=min(own, propagation.calibration_key_frames),
        seconds=_REHEARSAL * _pixels(context) / _FRAME,
        group=group,
    )


def _cycles(networks: Networks, needs: frozenset[Need]) -> bool:
    """Return whether the paper's methods run cycles with segmenters of folds: for tau, or for the refiner."""
    recipe = networks.context.recipe
    chosen = "tau" in needs and not networks.tau_is_known
    return chosen or ("refiner" in needs and recipe.refiner.segmenters != "seen")


def _folds(context: RunContext) -> list[str]:
    """Return the names of the segmenters of folds that have key frames, where others are left to train on."""
    own, folds = len(labelled_frames(context.dataset)), context.recipe.segmenter.folds
    recipe = context.recipe.segmenter
    if folds == 1 or not (own > 1 or _further(context)) or (recipe.held_out == "base" and _further(context)):
        return []
    return [fold_name(k) for k in range(min(folds, own))]


def _further(context: RunContext) -> int:
    """Return the number of further labelled frames that segmenters learn from."""
    used = context.also_train if context.recipe.segmenter.further else ()
    return sum(len(labelled_frames(dataset)) for dataset in used)


def _is_due(checkpoint: Path, planned: set[Path]) -> bool:
    """Return whether a network is to be trained, and note that this is planned."""
    due = checkpoint not in planned and not checkpoint.exists()
    planned.add(checkpoint)
    return due


def _tau(context: RunContext, stage: Stage) -> Iterator[Task]:
    """Yield the choice of tau on a few walks."""
    yield Task(
        name="choosing tau",
        stage=stage,
        kind="walk",
        units=len(trial_walks(context.dataset)),
        seconds=_WALK * _pixels(context) / _FRAME,
        group="refiner",
    )


def _refiner(context: RunContext, stage: Stage) -> Iterator[Task]:
    """Yield the training of the paper's refiner, and its cycles."""
    training = context.recipe.refiner.resolved(len(labelled_frames(context.dataset)))
    pools = 2 if training.segmenters == "both" else 1
    for number in range(pools):
        yield Task(
            name="cycling",
            stage=stage,
            kind=f"cycles {number}",
            units=sum(len(cycles_of(video, training.longest_cycle)) for video in context.dataset.videos),
            seconds=_CYCLE * _pixels(context) / _FRAME,
            group="refiner",
        )
    yield Task(
        name=f"training the {REFINER.part}",
        stage=stage,
        kind=f"step of {training.network}",
        units=training.optimisation.steps,
        seconds=_refiner_step(training),
        setup=_BEGUN,
        group="refiner",
    )


def _refiner_step(training: RefinerRecipe | TwoSidedTraining) -> float:
    """Return what a step of a refiner is expected to take; wider networks take longer."""
    size = training.optimisation.batch * training.crop[0] * training.crop[1] / _REFINER_CROP
    return _REFINER_STEP * size * training.widths[0] / REFINER_WIDTHS[0]


def _two_sided_refiner(context: RunContext, stage: Stage, *, rounds: int, group: str = "") -> Iterator[Task]:
    """Yield the training of the two-sided refiner, and its samples."""
    training, group = context.recipe.plus.refiner, group or ("rounds" if rounds > 1 else "refiner")
    key_frames = min(len(labelled_frames(context.dataset)), training.key_frames)
    sides = _SIDES * _pixels(context) / _FRAME * training.longest_cycle / 10
    costs = (sides, _TARGETS) if training.segmenters == "both" else (sides,)
    for number, cost in enumerate(costs):
        yield Task(
            name="cycling in both directions",
            stage=stage,
            kind=f"sides {number}",
            units=key_frames,
            seconds=cost,
            group=group,
        )
    light = _LIGHT.get(training.network, 1.0)
    for _ in range(rounds - 1 + training.members):
        yield Task(
            name=f"training the {TWO_SIDED_REFINER.part}",
            stage=stage,
            kind=f"step of {training.network}",
            units=training.optimisation.steps,
            seconds=light * _refiner_step(training),
            setup=_BEGUN,
            group=group,
        )


def _segmenter(
    context: RunContext, name: str, training: Optimisation, stage: Stage, group: str
) -> Iterator[Task]:
    """Yield the training of a segmenter, and the features that it needs."""
    recipe = context.recipe.segmenter
    h, w = recipe.augmentation.crop
    frozen = recipe.network == "lite0-frozen"
    if frozen:
        most = recipe.features
        shown = (context.dataset,) if name == LABELLER else context.also_train if name == BASE else ()
        count = sum(len(labelled_frames(one)) for one in shown)  # folds find theirs in the cache
        larger = (h + most.margin[0]) * (w + most.margin[1]) / _FEATURES_CROP
        yield Task(
            name="computing features",
            stage=stage,
            kind="features",
            units=min(most.crops, count * max(1, min(most.variants, most.crops // max(count, 1)))),
            seconds=_FEATURES * larger,
            group=group,
            partly=True,
        )
    yield Task(
        name=f"training {name}",
        stage=stage,
        kind=f"step of {recipe.network}",
        units=training.steps,
        seconds=(_HEAD_STEP if frozen else _SEGMENTER_STEP) * training.batch * h * w / _CROP,
        setup=_BEGUN,
        group=group,
    )


def _pixels(context: RunContext) -> float:
    """Return the pixels of a frame of the first video: of a key frame, which can be read."""
    video = context.dataset.videos[0]
    h, w = frame_size(video, video.key_frames[0])
    return float(h * w)
