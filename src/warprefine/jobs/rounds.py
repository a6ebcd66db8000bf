"""Self-training in rounds: the segmenter is trained on the pseudo-labels of the round before.

The segmenter is trained further on the key frames and on the confident pseudo-labels of the frames around
them. Whether that helps is measured on key frames: held-out segmenters are trained on pseudo-labels that were
computed without some of the key frames, and are tested on those.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from warprefine.core.video import Dataset
from warprefine.io.atomic import copy_file, write_text
from warprefine.io.run import RunFolder
from warprefine.jobs.context import RunContext
from warprefine.jobs.labellers import two_sided_labeller
from warprefine.jobs.networks import Networks
from warprefine.jobs.over_ranks import propagate_over_ranks
from warprefine.jobs.pseudo_labels import Confident
from warprefine.jobs.stages import share_base
from warprefine.jobs.together import train_together
from warprefine.metrics.confusion import mean_iou
from warprefine.propagation.methods import PLUS
from warprefine.propagation.run import Job
from warprefine.propagation.two_sided.label import TwoSidedLabeller
from warprefine.propagation.units import stepwise_units
from warprefine.training.data.samples import LabelledFrame, Samples
from warprefine.training.engine.distributed import shard
from warprefine.training.segmenter import confusion_over
from warprefine.training.teachers import LABELLER, Teachers, fold_name

log = logging.getLogger(__name__)


def train_in_rounds(context: RunContext) -> None:
    """Train the segmenters of the last round, if the recipe has several rounds and they are missing.

    The results of earlier rounds lie in rounds/NUMBER beside the weights, each a run folder of its own.
    If pseudo-labels do not help, the last round takes over the weights of the one before it. A segmenter
    that the user supplies is not trained, so there is one round. Where several processes share the run, all
    of them train and label.
    """
    run, rounds = context.run, context.recipe.plus.rounds
    if rounds.count == 1:
        return
    if context.parts.segmenter is not None:
        log.warning(
            "the segmenter %s is used as it is, so rounds = %d changes nothing",
            context.parts.segmenter.name,
            rounds.count,
        )
        return
    folder = _round_before(run.weights_root, rounds.count)
    if run.checkpoint_path(LABELLER).exists():
        if not folder.exists():
            log.warning(
                "%s: has a segmenter already, so rounds = %d changes nothing; begin in a new folder",
                run.root,
                rounds.count,
            )
        return
    earlier = _earlier(context, folder)
    train_in_rounds(earlier)
    networks = Networks(earlier)
    train_together(networks, (PLUS,))
    teachers = networks.teachers
    labeller = two_sided_labeller(networks, (PLUS,))
    pseudo_labels = _confident_labels(earlier, labeller, earlier.run, earlier.dataset)
    drafts = _folder(earlier, earlier.run.root / "adapted")
    before, after = _try_out(networks, drafts)
    helps = after > before
    log.info(
        "held-out key frames: mIoU %.2f %% before, %.2f %% after learning from pseudo-labels; %s",
        100 * before,
        100 * after,
        "used" if helps else "not used",
    )
    if context.world.is_first:
        write_text(
            earlier.run.root / "verdict.json",
            json.dumps({"miou_before": before, "miou_after": after, "used": helps}, indent=2) + "\n",
        )
    chosen = drafts if helps else earlier.run
    if helps:
        _learn(
            networks, drafts, LABELLER, teachers.key_frames, pseudo_labels, start=teachers.train_labeller()
        )
    weights = sorted((chosen.root / "checkpoints").glob("*.safetensors"))
    with context.world.parting():
        # The labelling segmenter comes last: its presence means that all are there.
        for path in sorted(weights, key=lambda path: path.stem == LABELLER) if context.world.is_first else ():
            copy_file(path, run.weights_root / "checkpoints" / path.name)


def first_round(root: Path, rounds: int) -> Path:
    """Return the run folder of the first of `rounds`, where existing segmenters belong."""
    return root if rounds == 1 else first_round(_round_before(root, rounds), rounds - 1)


def _round_before(root: Path, rounds: int) -> Path:
    return root / "rounds" / str(rounds - 1)


def _earlier(context: RunContext, folder: Path) -> RunContext:
    """Return the context of the round before, in a folder of its own."""
    fewer = context.recipe.changed(("plus", "rounds", "count"), context.recipe.plus.rounds.count - 1)
    fewer = fewer.changed(("plus", "refiner", "members"), 1)  # confident labels are right without more
    run = _folder(context, folder)
    network = fewer.segmenter.network
    context.world.of_first(partial(share_base, context.run, run, network=network))  # as with --base
    return replace(context, run=run, recipe=fewer)


def _folder(context: RunContext, folder: Path) -> RunFolder:
    """Return a run folder of its own beside a run's; the first process makes it."""
    return context.world.of_first(
        lambda: RunFolder(folder, cache=context.run.cache, cache_size=context.run.cache_size)
    )


def _try_out(networks: Networks, drafts: RunFolder) -> tuple[float, float]:
    """Return the mIoU of held-out segmenters on hidden key frames, before and after self-training."""
    context, teachers = networks.context, networks.teachers
    size = len(context.dataset.classes) + 1
    confusion = {"before": np.zeros((size, size), np.int64), "after": np.zeros((size, size), np.int64)}
    for fold in range(teachers.recipe.folds):
        shown = teachers.outside_fold(fold)
        hidden = [member for member in teachers.key_frames if member not in shown]
        if not shown or not hidden:
            continue
        name = fold_name(fold)
        before = networks.held_out(fold)
        # Both sides and the segmenter vote: no refiner exists that is held out too.
        voting = TwoSidedLabeller(
            models=networks.models("two-sided", before),
            recipe=context.recipe.plus,
            refiner_fingerprint="votes",
        )
        labelled = _folder(context, drafts.root / name)
        pseudo_labels = _confident_labels(context, voting, labelled, _only(context.dataset, shown))
        _learn(networks, drafts, name, shown, pseudo_labels, start=teachers.train_held_out(fold))
        after = networks.load_segmenter(drafts.checkpoint_path(name))
        samples = Samples(hidden)
        for when, (segmenter, _) in (("before", before), ("after", after)):
            own = shard(range(len(samples)), context.world)
            confusion[when] += context.world.sum(confusion_over(segmenter, samples, own))
    miou_before, miou_after = (float(np.nan_to_num(mean_iou(counts))) for counts in confusion.values())
    return miou_before, miou_after


def _learn(
    networks: Networks,
    drafts: RunFolder,
    name: str,
    key_frames: Sequence[LabelledFrame],
    pseudo_labels: Sequence[LabelledFrame],
    *,
    start: Path,
) -> None:
    teachers: Teachers = replace(networks.teachers, run=drafts)
    teachers.train_on_pseudo_labels(
        name,
        start=start,
        key_frames=key_frames,
        pseudo_labels=pseudo_labels,
        share=networks.context.recipe.plus.rounds.pseudo_label_share,
    )


def _only(dataset: Dataset, shown: Sequence[LabelledFrame]) -> Dataset:
    """Return the data set with no other key frames than these."""
    keys = {(member.video.name, member.frame) for member in shown}
    videos = [
        replace(video, labels={k: path for k, path in video.labels.items() if (video.name, k) in keys})
        for video in dataset.videos
    ]
    return replace(dataset, videos=tuple(video for video in videos if video.labels))


def _confident_labels(
    context: RunContext, labeller: TwoSidedLabeller, run: RunFolder, dataset: Dataset
) -> list[LabelledFrame]:
    """Label frames, and return them with VOID where the confidence is too low."""
    job = Job(dataset=dataset, horizon=context.horizon, labellers=(labeller,))
    propagate_over_ranks(job, run, world=context.world, engine=context.engine)
    confident = Confident(least=context.recipe.plus.rounds.confident, folder=run.root / "confident")
    members = [
        LabelledFrame(
            video=video,
            frame=frame,
            classes=dataset.classes,
            labels=run.labels_path(PLUS, video.name, video.stems[frame]),
        )
        for video in dataset.videos
        for unit in stepwise_units(video, context.horizon)
        for frame in unit.frames
    ]
    return context.world.of_first(lambda: [confident.of(run, member, PLUS) for member in members])
