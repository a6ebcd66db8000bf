"""Label the videos of a data set into a run folder, unit by unit, nothing twice."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from warprefine.core.errors import FrameError, LabelError
from warprefine.core.progress import Progress, silent
from warprefine.core.pseudolabel import Provenance
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.atomic import copy_file
from warprefine.io.images import read_labels, write_gray, write_labels
from warprefine.io.run import RunFolder
from warprefine.propagation.evidence import open_evidence
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import ORACLE
from warprefine.propagation.units import Unit

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to label, how far from the key frames, and with what."""

    dataset: Dataset
    horizon: int
    labellers: tuple[Labeller, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of all labellers."""
        return tuple(method for labeller in self.labellers for method in labeller.methods)


def propagate(job: Job, run: RunFolder, *, progress: Progress = silent) -> dict[str, str]:
    """Label every frame within the horizon; units that are done already are left alone.

    Returns:
        Video name -> what is wrong with it, for the videos that could not be finished.
    """
    failures: dict[str, str] = {}
    planned = {video.name: _plan(job, video) for video in job.dataset.videos}
    total = sum(len(unit.frames) for of_video in planned.values() for _, unit in of_video)
    done = 0
    for video in job.dataset.videos:
        try:
            for labeller, unit in planned[video.name]:
                _label_unit(job, run, labeller, video, unit)
                done += len(unit.frames)
                progress("propagating", done, total, video.name)
            for labeller in job.labellers:
                _forget_others(run, video, labeller, job.horizon)
            _copy_key_frames(job, run, video)
        except (FrameError, LabelError) as error:  # a full disk is not the video's fault
            log.error("%s", error)
            failures[video.name] = str(error)
    return failures


def _plan(job: Job, video: Video) -> list[tuple[Labeller, Unit]]:
    return [(labeller, unit) for labeller in job.labellers for unit in labeller.units(video, job.horizon)]


def _label_unit(job: Job, run: RunFolder, labeller: Labeller, video: Video, unit: Unit) -> None:
    """Label a unit by those methods that have not finished it yet."""
    fingerprints = {method: labeller.fingerprint(video, unit, method) for method in labeller.methods}
    due = [
        method
        for method, fingerprint in fingerprints.items()
        if not (
            run.is_done(video.name, unit.frames, method, fingerprint)
            and _files_exist(run, video, unit.frames, method)
        )
    ]
    if not due:
        return
    for method in due:
        run.mark_begun(video.name, unit.frames, method)
    provenances: dict[str, dict[int, Provenance]] = {method: {} for method in due}
    with open_evidence(video, job.dataset.classes, labeller.models, ArrayCache(run.cache)) as evidence:
        for pseudo in labeller.label(evidence, unit, due):
            method, stem = pseudo.provenance.method, video.stems[pseudo.frame]
            write_labels(run.labels_path(method, video.name, stem), pseudo.labels, job.dataset.classes)
            write_gray(run.confidence_path(method, video.name, stem), pseudo.confidence)
            provenances[method][pseudo.frame] = pseudo.provenance
    for method, of_frames in provenances.items():
        run.mark_done(video.name, of_frames, method, fingerprints[method])


def _forget_others(run: RunFolder, video: Video, labeller: Labeller, horizon: int) -> None:
    """Drop the records of frames that are in no unit any more, such as those that became key frames."""
    frames = {frame for unit in labeller.units(video, horizon) for frame in unit.frames}
    for method in labeller.methods:
        run.keep_only(video.name, frames, method)


def _files_exist(run: RunFolder, video: Video, frames: Sequence[int], method: str) -> bool:
    """Return whether every file of frames that were finished once is still there."""
    return all(
        path_of(method, video.name, video.stems[frame]).exists()
        for frame in frames
        for path_of in (run.labels_path, run.confidence_path)
    )


def _copy_key_frames(job: Job, run: RunFolder, video: Video) -> None:
    """Copy the labels of key frames beside the pseudo-labels, byte for byte, with confidence 1."""
    for method in job.methods:
        if method == ORACLE and not video.truth:
            continue  # it labels nothing here
        for frame, source in video.labels.items():
            target = run.labels_path(method, video.name, video.stems[frame])
            if not target.exists() or target.read_bytes() != source.read_bytes():
                labels = read_labels(source, job.dataset.classes)
                write_gray(
                    run.confidence_path(method, video.name, video.stems[frame]), torch.ones(labels.shape)
                )
                copy_file(source, target)  # last: its presence shows that both are there
