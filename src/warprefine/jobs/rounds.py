"""Go through the whole loop again: a segmenter that has learned from the labels of the round before.

The segmenter is trained further on the key frames and on the labels that were made of the frames around
them, where those are confident. Whether that helps is tried where the truth is known: segmenters that have
not seen some of the key frames learn from labels made without those, and are tested on them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from warprefine.core.protocols import Segmenter
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset
from warprefine.evaluation.confusion import mean_iou
from warprefine.io.atomic import copy_file, write_text
from warprefine.io.images import read_gray, read_labels, write_labels
from warprefine.io.run import RunFolder
from warprefine.jobs.prepare import Preparation
from warprefine.jobs.prepare_plus import PlusPreparation
from warprefine.propagation.methods import PLUS
from warprefine.propagation.schedule import plan
from warprefine.propagation.writer import Job, propagate
from warprefine.training.samples import LabelledFrame, Samples
from warprefine.training.segmenter import confusion_over
from warprefine.training.teachers import train_further

log = logging.getLogger(__name__)


def adapt(preparation: Preparation, *, horizon: int) -> None:
    """Make the segmenters of the last round, where the recipe asks for more than one and they are not there.

    What the rounds before it made lies in ROUND/rounds/NUMBER, each a run folder of its own. If learning
    from made labels does not help, the last round takes over what the one before it had.
    """
    run, rounds = preparation.run, preparation.recipe.plus.rounds
    if rounds == 1:
        return
    folder = _round_before(run.root, rounds)
    if run.checkpoint_path("segmenter").exists():
        if not folder.exists():
            log.warning(
                "%s: has a segmenter already, so rounds = %d changes nothing; begin in a new folder",
                run.root,
                rounds,
            )
        return
    earlier = _earlier(preparation, folder)
    adapt(earlier, horizon=horizon)
    job = earlier.job(horizon=horizon, methods=(PLUS,))
    confident = preparation.recipe.plus.confident
    made = _made(replace(job, plus=PlusPreparation(preparation=earlier).job()), earlier.run, confident)
    drafts = RunFolder(earlier.run.root / "adapted", cache=run.cache)
    before, after = _try_out(earlier, drafts, horizon=horizon)
    helps = after > before
    log.info(
        "held-out key frames: mIoU %.2f %% before, %.2f %% after learning from made labels; %s",
        100 * before,
        100 * after,
        "used" if helps else "not used",
    )
    write_text(
        earlier.run.root / "verdict.json",
        json.dumps({"miou_before": before, "miou_after": after, "used": helps}, indent=2) + "\n",
    )
    chosen = drafts if helps else earlier.run
    if helps:
        _learn(earlier, drafts, "segmenter", earlier.teachers.key_frames, made)
    weights = sorted((chosen.root / "checkpoints").glob("*.safetensors"))
    # "segmenter" comes last: it says that all are there.
    for path in sorted(weights, key=lambda path: path.stem == "segmenter"):
        copy_file(path, run.root / "checkpoints" / path.name)


def first_round(root: Path, rounds: int) -> Path:
    """Return the run folder of the first of `rounds`: segmenters that are there already belong into that."""
    return root if rounds == 1 else first_round(_round_before(root, rounds), rounds - 1)


def _round_before(root: Path, rounds: int) -> Path:
    return root / "rounds" / str(rounds - 1)


def _earlier(preparation: Preparation, folder: Path) -> Preparation:
    """Return the preparation of the round before, in a folder of its own."""
    recipe = preparation.recipe
    plus = recipe.plus.model_copy(update={"rounds": recipe.plus.rounds - 1})
    run = RunFolder(folder, cache=preparation.run.cache)
    return replace(
        preparation,
        teachers=replace(preparation.teachers, run=run),
        recipe=recipe.model_copy(update={"plus": plus}),
    )


def _try_out(earlier: Preparation, drafts: RunFolder, *, horizon: int) -> tuple[float, float]:
    """Return the mIoU of segmenters on key frames that they have not seen, before and after learning."""
    teachers = earlier.teachers
    size = len(teachers.dataset.classes) + 1
    confusion = {"before": np.zeros((size, size), np.int64), "after": np.zeros((size, size), np.int64)}
    for fold in range(teachers.recipe.folds):
        seen = teachers.outside_fold(fold)
        hidden = [member for member in teachers.key_frames if member not in seen]
        if not seen or not hidden:
            continue
        name = f"segmenter-fold{fold}"
        models = earlier.honest_models(hidden[0].video, hidden[0].frame)
        shown = _only(teachers.dataset, seen)
        plus = PlusPreparation(preparation=earlier).job_of_votes(models)
        job = replace(earlier.job(horizon=horizon, methods=()), dataset=shown, methods=(PLUS,), plus=plus)
        made = _made(job, RunFolder(drafts.root / name, cache=drafts.cache), earlier.recipe.plus.confident)
        _learn(earlier, drafts, name, seen, made)
        learned = earlier.load(drafts.checkpoint_path(name))
        samples = Samples(hidden)
        for when, asked in (("before", models), ("after", learned)):
            segmenter = cast(Segmenter, asked.segmenter)
            confusion[when] += confusion_over(segmenter, samples, range(len(samples)))
    before, after = (float(np.nan_to_num(mean_iou(counts))) for counts in confusion.values())
    return before, after


def _learn(
    earlier: Preparation,
    drafts: RunFolder,
    name: str,
    key_frames: Sequence[LabelledFrame],
    made: Sequence[LabelledFrame],
) -> None:
    train_further(
        replace(earlier.teachers, run=drafts),
        name,
        start=earlier.run.checkpoint_path(name),
        key_frames=key_frames,
        made=made,
        made_share=earlier.recipe.plus.made_share,
        progress=earlier.progress,
    )


def _only(dataset: Dataset, shown: Sequence[LabelledFrame]) -> Dataset:
    """Leave out all key frames but some."""
    keys = {(member.video.name, member.frame) for member in shown}
    videos = [
        replace(video, labels={k: path for k, path in video.labels.items() if (video.name, k) in keys})
        for video in dataset.videos
    ]
    return replace(dataset, videos=tuple(video for video in videos if video.labels))


def _made(job: Job, run: RunFolder, confident: float) -> list[LabelledFrame]:
    """Label frames, and return them with VOID where labels are less than `confident`."""
    propagate(job, run)
    members = []
    for video in job.dataset.videos:
        for frame in (frame for unit in plan(video, job.horizon) for frame in unit.frames):
            stem = video.stems[frame]
            path = run.root / "confident" / video.name / f"{stem}.png"
            labels = read_labels(run.labels_path(PLUS, video.name, stem), job.dataset.classes)
            confidence = read_gray(run.confidence_path(PLUS, video.name, stem))
            write_labels(path, labels.masked_fill(confidence < confident, VOID), job.dataset.classes)
            members.append(LabelledFrame(video=video, frame=frame, classes=job.dataset.classes, labels=path))
    return members
