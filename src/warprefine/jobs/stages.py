"""Plan the stages of the main job: which are due, with which networks, and what each labels."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from warprefine.core.errors import CheckpointError, RecipeError, RunFolderError
from warprefine.core.names import look_up
from warprefine.core.stages import FIRST, GOOD, STAGES, Stage, count_stages, described, is_later, later
from warprefine.core.video import Dataset
from warprefine.io.atomic import copy_file, write_text
from warprefine.io.checkpoints import read_card
from warprefine.io.claims import read_claim
from warprefine.io.run import RunFolder
from warprefine.jobs.networks import Networks
from warprefine.propagation.methods import PLUS
from warprefine.recipe.recipe import Recipe
from warprefine.training.engine.checkpoint import is_trained
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.segmenter import build_segmenter
from warprefine.training.teachers import BASE, LABELLER

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StagePass:
    """One pass over the videos.

    Attributes:
        stage: The stage of its labels.
        networks: The networks of the stage.
        steps: Methods that are labelled one after the other, each with their networks.
        methods: The methods that have labels when it is done.
    """

    stage: Stage
    networks: Networks
    steps: tuple[tuple[Networks, tuple[str, ...]], ...]
    methods: tuple[str, ...]


def plan_passes(networks: Networks, methods: Sequence[str], *, until: Stage | None) -> list[StagePass]:
    """Return the passes that are due, in order.

    Args:
        networks: The networks of the run, which are those of stage good.
        methods: Methods; warp-refine-plus alone has stages, all others belong to stage good.
        until: The last stage that is asked for; None for a job without stages.
    """
    run, asked = networks.context.run, tuple(methods)
    alone = StagePass(stage=GOOD, networks=networks, steps=((networks, asked),), methods=asked)
    if until is None or PLUS not in asked:
        if until not in (None, GOOD):
            log.warning("only %s has stages: stage %s is that of all other methods", PLUS, GOOD)
        return [alone]
    stages = _usable_stages(networks, until)
    others = tuple(method for method in asked if method != PLUS)
    if until == FIRST and others:
        log.warning("%s: labelled from stage %s on (--until %s)", ", ".join(others), GOOD, GOOD)
    if stages == (GOOD,) and not (run.root / "stages").exists():
        return [alone]
    passes: list[StagePass] = []
    for stage in stages:
        of_stage = networks_of(networks, stage)
        steps: list[tuple[Networks, tuple[str, ...]]] = [(of_stage, (PLUS,))]
        if others and until != FIRST and stage == next((s for s in stages if s != FIRST), None):
            steps.append((networks, others))
        labelled = (PLUS,) if FIRST in (until, stage) else asked
        passes.append(StagePass(stage=stage, networks=of_stage, steps=tuple(steps), methods=labelled))
    return passes


def _usable_stages(networks: Networks, until: Stage) -> tuple[Stage, ...]:
    """Return the stages to run, without first where that cannot be had or is of no use."""
    run = networks.context.run
    reached = finished_stage(run)
    if reached is not None and is_later(reached, until):
        log.warning(
            "%s: the labels are of stage %s already, and none becomes one of stage %s",
            *(run.root, reached, until),
        )
    stages = due_stages(networks.context.recipe, until=until, reached=reached)
    if stages[0] != FIRST or until == FIRST:
        return stages
    problem = _unusable(networks, FIRST)
    if problem:
        log.warning("stage %s is left out: %s", FIRST, problem)
    return stages[1:] if problem or _is_quick(networks) else stages


def due_stages(recipe: Recipe, *, until: Stage, reached: Stage | None) -> tuple[Stage, ...]:
    """Return the stages to run: those after the one that is reached, up to the one that is asked for.

    Nothing is downgraded: where a later stage is reached than is asked for, that one is due, which finds all
    frames done unless the data have changed.

    Example:
        >>> due_stages(Recipe(), until="good", reached=None)
        ('first', 'good')
        >>> due_stages(Recipe(), until="first", reached="good")
        ('good',)
    """
    last = later(until, reached)
    after = [stage for stage in STAGES if reached is None or is_later(stage, reached)]
    before = [stage for stage in after if is_later(last, stage) and recipe.has_stage(stage)]
    return (*before, last)


def networks_of(networks: Networks, stage: Stage) -> Networks:
    """Return the networks of a stage; those of good are the ones that are given."""
    if stage == GOOD:
        return networks
    context = networks.context
    recipe, run = context.recipe.for_stage(stage), context.run.for_stage(stage)
    if stage == FIRST:
        share_base(context.run, run, network=recipe.segmenter.network)
    return Networks(replace(context, recipe=recipe, run=run))


def check_stage_name(name: str) -> Stage:
    """Return a stage by its name.

    Raises:
        RecipeError: There is none of this name; the message has the nearest one.

    Example:
        >>> check_stage_name("best")
        'best'
    """
    return look_up({stage: stage for stage in STAGES}, name, what="stage")


def check_stage(recipe: Recipe, stage: Stage) -> None:
    """Check that a recipe has a stage.

    Raises:
        RecipeError: It has not.
    """
    if not recipe.has_stage(stage):
        raise RecipeError(
            f"the recipe has no stage {stage!r} (enabled = false under [stages.{stage}]); choose --until "
            f"{GOOD}, or set enabled = true in a copy of the recipe"
        )


def finished_stage(run: RunFolder) -> Stage | None:
    """Return the last stage that labelled all videos of a run; None if none has, or nothing is recorded."""
    path = run.root / "stages.json"
    if not path.exists():
        return None
    try:
        found = read_claim(path).get("finished")
    except RunFolderError:  # damaged: every frame is looked at again
        return None
    return next((stage for stage in STAGES if stage == found), None)


def record_finished(run: RunFolder, stage: Stage) -> None:
    """Record that a stage has labelled all videos."""
    write_text(run.root / "stages.json", json.dumps({"finished": stage}) + "\n")


def labels_so_far(run: RunFolder, dataset: Dataset) -> str:
    """Return how many frames have labels of warp-refine-plus, and of which stages, for people."""
    found = [
        provenance.stage
        for video in dataset.videos
        for provenance in run.manifest.provenances(video.name, PLUS).values()
    ]
    if not found:
        return "no frame is labelled yet"
    counts = count_stages(found)
    frames = "frame is" if len(found) == 1 else "frames are"
    return f"{len(found)} {frames} labelled: {described(counts)}"


def _unusable(networks: Networks, stage: Stage) -> str:
    """Return why the segmenter of a stage cannot be built; empty if it can, or is there."""
    context = networks.context
    recipe, names = context.recipe.for_stage(stage), context.dataset.classes.names
    if context.parts.segmenter is not None or context.run.for_stage(stage).checkpoint_path(LABELLER).exists():
        return ""
    try:
        build_segmenter(recipe.segmenter, len(names), seed=context.seed, class_names=names)
    except (RecipeError, CheckpointError) as error:
        return str(error)
    return ""


def _is_quick(networks: Networks) -> bool:
    """Return whether the networks of stage good are there, so that no other labels are needed before."""
    run, refiner = networks.context.run, networks.context.recipe.plus.refiner
    parts = [LABELLER, *([TWO_SIDED_REFINER.part] if refiner.enabled else [])]
    return all(run.checkpoint_path(part).exists() for part in parts)


def share_base(run: RunFolder, of_stage: RunFolder, *, network: str) -> None:
    """Let others adapt the base segmenter of the run, if that is there and of the same network."""
    source, target = run.checkpoint_path(BASE), of_stage.checkpoint_path(BASE)
    if is_trained(source) and not target.exists() and read_card(source).network == network:
        copy_file(source, target)
