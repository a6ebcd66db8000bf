"""Label the videos of a data set into a run folder, unit by unit, nothing twice."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.errors import FrameError, LabelError
from warprefine.core.memory import keep_freed_memory
from warprefine.core.progress import Progress, silent
from warprefine.core.pseudolabel import Provenance
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.atomic import copy_file
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_labels
from warprefine.io.foreign import is_of_the_system
from warprefine.io.images import read_ids, read_labels, write_gray, write_labels
from warprefine.io.run import RunFolder
from warprefine.propagation.evidence import content_of, open_evidence
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.units import Unit, stepwise_units

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
    keep_freed_memory()
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
            _copy_key_frames(job, run, video)
            for labeller in job.labellers:
                _remove_others(run, video, labeller, job.horizon)
        except (FrameError, LabelError) as error:
            if is_of_the_system(error):  # as a full disk, no video's fault
                raise
            log.error("%s", error)
            failures[video.name] = str(error)
    return failures


def _plan(job: Job, video: Video) -> list[tuple[Labeller, Unit]]:
    return [(labeller, unit) for labeller in job.labellers for unit in labeller.units(video, job.horizon)]


def _label_unit(job: Job, run: RunFolder, labeller: Labeller, video: Video, unit: Unit) -> None:
    """Label a unit by those methods that have not finished it yet."""
    classes, passed = job.dataset.classes, (*unit.frames, *unit.key_frames)
    content = content_of(video, classes, labeller.models.motion, passed)
    stems = [video.stems[frame] for frame in unit.frames]
    fingerprints = {
        method: fingerprint_of(labeller.fingerprint(video, unit, method), content, stems)
        for method in labeller.methods
    }
    due = [
        method
        for method, fingerprint in fingerprints.items()
        if not run.is_done(video.name, unit.frames, method, fingerprint)
    ]
    if not due:
        return
    for method in due:
        run.mark_begun(video.name, unit.frames, method)
    provenances: dict[str, dict[int, Provenance]] = {method: {} for method in due}
    with open_evidence(video, classes, labeller.models, ArrayCache(run.cache)) as evidence:
        for pseudo in labeller.label(evidence, unit, due):
            method, stem = pseudo.provenance.method, video.stems[pseudo.frame]
            write_labels(run.labels_path(method, video.name, stem), pseudo.labels, classes)
            write_gray(run.confidence_path(method, video.name, stem), pseudo.confidence)
            provenances[method][pseudo.frame] = pseudo.provenance
    for method, of_frames in provenances.items():
        files = {frame: _files(run, video, method, frame) for frame in of_frames}
        run.mark_done(video.name, of_frames, method, fingerprints[method], files=files)


def _files(run: RunFolder, video: Video, method: str, frame: int) -> tuple[Path, Path]:
    """Return the paths of the labels and the confidence of a frame."""
    stem = video.stems[frame]
    return run.labels_path(method, video.name, stem), run.confidence_path(method, video.name, stem)


def _remove_others(run: RunFolder, video: Video, labeller: Labeller, horizon: int) -> None:
    """Remove the labels of frames that are in no unit any more and are no key frames, and of old names."""
    frames = {frame for unit in labeller.units(video, horizon) for frame in unit.frames}
    for method in labeller.methods:
        run.keep_only(video.name, frames | {*video.key_frames}, method)


def _copy_key_frames(job: Job, run: RunFolder, video: Video) -> None:
    """Put the labels of key frames beside the pseudo-labels, with confidence 1.

    Files are copied byte for byte, unless they hold other numbers than a run writes for the same labels, or
    colours: then the labels are written as those of all other frames are. A method that labels no frame of
    the video, such as the oracle without truth, gets none of its key frames either.
    """
    classes = job.dataset.classes
    due = bool(stepwise_units(video, job.horizon))
    labelling = [one for one in job.labellers if one.units(video, job.horizon) or not due]
    for method in (method for labeller in labelling for method in labeller.methods):
        for frame, source in video.labels.items():
            content = fingerprint_of_labels(source)
            fingerprint = fingerprint_of(content, classes.coding, video.stems[frame])
            if not run.is_done(video.name, [frame], method, fingerprint):
                run.mark_begun(video.name, [frame], method)
                target, confidence = files = _files(run, video, method, frame)
                labels = read_labels(source, classes)
                write_gray(confidence, torch.ones(labels.shape))
                if _is_coded_as_written(source, classes):
                    copy_file(source, target)
                else:
                    write_labels(target, labels, classes)
                by_hand = Provenance(method=method, key_frames=(frame,), distance=0)
                run.mark_done(video.name, {frame: by_hand}, method, fingerprint, files={frame: files})


def _is_coded_as_written(path: Path, classes: ClassSet) -> bool:
    """Return whether a label map holds the one number for each class and for VOID that a run writes."""
    try:
        numbers = {*np.unique(read_ids(path)).tolist()}
    except LabelError:
        return False  # its colours are the classes
    return numbers <= {*classes.ids, classes.void_id}
