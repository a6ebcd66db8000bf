"""Label the videos of a data set into a run folder, frame by frame, nothing twice."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.errors import FrameError, LabelError
from warprefine.core.memory import keep_freed_memory
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator
from warprefine.core.pseudolabel import Provenance, PseudoLabel
from warprefine.core.stages import Stage, is_later, later
from warprefine.core.time_limit import check_time
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.atomic import copy_file
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file, fingerprint_of_labels
from warprefine.io.foreign import is_of_the_system
from warprefine.io.images import read_ids, read_labels, write_gray, write_labels
from warprefine.io.run import RunFolder
from warprefine.ops.calibration import confidence_sums
from warprefine.propagation.evidence import content_of, open_evidence
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.units import Unit, stepwise_units

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to label, how far from the key frames, and with what.

    Attributes:
        dataset: The videos.
        horizon: Frames are labelled up to this far from a key frame.
        labellers: They label.
        stage: The stage that the labels are of; labels of a later one stay.
    """

    dataset: Dataset
    horizon: int
    labellers: tuple[Labeller, ...]
    stage: Stage = "good"

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of all labellers."""
        return tuple(method for labeller in self.labellers for method in labeller.methods)


def propagate(job: Job, run: RunFolder, *, progress: Progress = silent) -> dict[str, str]:
    """Label every frame within the horizon; frames that are done already are left alone.

    Returns:
        Video name -> what is wrong with it, for the videos that could not be finished.

    Raises:
        TimeIsUp: The time limit is over; frames that are labelled by then are recorded.
    """
    keep_freed_memory()
    failures: dict[str, str] = {}
    planned = {video.name: _plan(job, video) for video in job.dataset.videos}
    count = _Count(sum(len(unit.frames) for of_video in planned.values() for _, unit in of_video), progress)
    for video in job.dataset.videos:
        try:
            for labeller, unit in planned[video.name]:
                for one in label_unit(job, run, labeller, (video, unit)):
                    count.of_unit(unit, min(one.done, len(unit.frames) - 1))
                count.of_unit(unit, len(unit.frames))
            copy_key_frames(job, run, video)
            for labeller in job.labellers:
                remove_others(run, video, labeller, job.horizon)
        except (FrameError, LabelError) as error:
            if is_of_the_system(error):  # as a full disk, no video's fault
                raise
            log.error("%s", error)
            failures[video.name] = str(error)
    run.arriving.remove()
    return failures


class _Count:
    """Reports how many frames of all units are done."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress, self._before, self._done = total, progress, 0, 0

    def of_unit(self, unit: Unit, done: int) -> None:
        """Report that so many frames of the unit in hand are done; all of them end it."""
        if self._before + done > self._done:
            self._done = self._before + done
            self._progress("propagating", self._done, self._total, unit.video)
        if done == len(unit.frames):
            self._before += done


def _plan(job: Job, video: Video) -> list[tuple[Labeller, Unit]]:
    return [(labeller, unit) for labeller in job.labellers for unit in labeller.units(video, job.horizon)]


@dataclass(frozen=True, kw_only=True)
class FrameOfUnit:
    """A frame of a unit that a method has labelled.

    Attributes:
        frame: The number of the frame.
        method: The method.
        done: How many frames of the unit are finished, or are not to be labelled now.
    """

    frame: int
    method: str
    done: int


def label_unit(
    job: Job,
    run: RunFolder,
    labeller: Labeller,
    planned: tuple[Video, Unit],
    *,
    wanted: Collection[int] | None = None,
) -> Iterator[FrameOfUnit]:
    """Label those frames of a unit of a video that a method has not finished yet, as the result is asked for.

    Whoever stops asking has lost nothing: the frames that are finished stay.

    Args:
        job: What is labelled.
        run: The run folder.
        labeller: Labels the unit.
        planned: The video and its unit.
        wanted: The frames to label now, others being left as they are; None: all.

    Raises:
        TimeIsUp: The time limit is over; frames that are labelled by then are recorded.
    """
    video, unit = planned
    classes, passed = job.dataset.classes, (*unit.frames, *unit.key_frames)
    content = content_of(video, classes, labeller.models.motion, passed)
    stems = [video.stems[frame] for frame in unit.frames]
    data = _data_of(content, video, unit)
    marks = {
        method: _Mark(
            fingerprint=fingerprint_of(labeller.fingerprint(video, unit, method), content, stems),
            data=data,
            stage=job.stage,
        )
        for method in labeller.methods
    }
    left = frozenset() if wanted is None else frozenset(unit.frames).difference(wanted)
    done = {method: left | _done(run, unit, method, mark) for method, mark in marks.items()}
    due = [method for method in labeller.methods if len(done[method]) < len(unit.frames)]
    if due:
        unit = replace(unit, done=frozenset.intersection(*(done[method] for method in due)))
        yielded = len(unit.done) * len(due)
        with open_evidence(video, classes, labeller.models, ArrayCache(run.cache)) as evidence:
            for pseudo in labeller.label(evidence, unit, due):
                method = pseudo.provenance.method
                yielded += 1
                if pseudo.frame not in done[method]:
                    _put(run, video, classes, pseudo, marks[method])
                    check_time()
                yield FrameOfUnit(frame=pseudo.frame, method=method, done=yielded // len(due))


def is_complete(
    run: RunFolder,
    dataset: Dataset,
    planned: tuple[Video, Sequence[Unit]],
    method: str,
    motion: MotionEstimator,
) -> bool:
    """Return whether each frame of a video has labels that were computed from the data as they are now.

    Args:
        run: The run folder.
        dataset: The data set of the video.
        planned: The video and its units.
        method: The method whose labels are looked for.
        motion: The motion estimator of the method.
    """
    video, units = planned
    for unit in units:
        records = run.manifest.records(video.name, method, unit.frames)
        content = content_of(video, dataset.classes, motion, (*unit.frames, *unit.key_frames))
        data = _data_of(content, video, unit)
        of_unit = [records.get(frame) for frame in unit.frames]
        if not all(record is not None and record.is_whole and record.data == data for record in of_unit):
            return False
    return all(
        run.manifest.is_done(video.name, [frame], method, _mark_of_key_frame(video, dataset.classes, frame))
        for frame in (video.labels if units else ())
    )


def _data_of(content: str, video: Video, unit: Unit) -> str:
    """Return a hash of the data of a unit; `content` is that of its frames."""
    stems = [video.stems[frame] for frame in unit.frames]
    labels = [fingerprint_of_file(video.labels[key], LabelError) for key in unit.key_frames]
    return fingerprint_of(content, unit.frames, stems, labels)


def _mark_of_key_frame(video: Video, classes: ClassSet, frame: int) -> str:
    """Return a hash of all that the copy of a key frame's labels depends on."""
    return fingerprint_of(fingerprint_of_labels(video.labels[frame]), classes.coding, video.stems[frame])


@dataclass(frozen=True, kw_only=True)
class _Mark:
    """What the labels of a unit by a method are recognised by: all they depend on, the data alone, stage."""

    fingerprint: str
    data: str
    stage: Stage


def _done(run: RunFolder, unit: Unit, method: str, mark: _Mark) -> frozenset[int]:
    """Return the frames of a unit that are to stay: of this stage, or of a later one and the same data."""
    found = run.manifest.records(unit.video, method, unit.frames)
    records = {frame: record for frame, record in found.items() if record.is_whole}
    own = {frame for frame, record in records.items() if record.fingerprint == mark.fingerprint}
    for frame in own:
        stage = later(mark.stage, records[frame].stage)
        if (stage, mark.data) != (records[frame].stage, records[frame].data):
            run.manifest.confirm(unit.video, frame, method, stage=stage, data=mark.data)
    of_later = {
        frame
        for frame, record in records.items()
        if is_later(record.stage, mark.stage) and record.data == mark.data
    }
    return frozenset(own | of_later)


def _put(run: RunFolder, video: Video, classes: ClassSet, pseudo: PseudoLabel, mark: _Mark) -> None:
    """Write the labels and the confidence of a frame, calibrated and raw, all at once."""
    method = pseudo.provenance.method
    files = _files(run, video, method, pseudo.frame)
    labels, confidence = (run.arriving.path_of(path) for path in files)
    write_labels(labels, pseudo.labels, classes)
    write_gray(confidence, pseudo.confidence)
    if pseudo.raw_confidence is not None:
        raw = run.raw_confidence_path(method, video.name, video.stems[pseudo.frame])
        write_gray(run.arriving.path_of(raw), pseudo.raw_confidence)
        files = (*files, raw)
    # Before the labels are recorded: a killed process computes both again.
    sums = confidence_sums(pseudo.labels, pseudo.confidence, class_count=len(classes))
    run.expectations.put(video.name, method, pseudo.frame, sums)
    provenance = replace(pseudo.provenance, stage=mark.stage)
    run.manifest.put(video.name, pseudo.frame, provenance, mark.fingerprint, files=files, data=mark.data)


def _files(run: RunFolder, video: Video, method: str, frame: int) -> tuple[Path, ...]:
    """Return the paths of the labels and the confidence of a frame."""
    stem = video.stems[frame]
    return run.labels_path(method, video.name, stem), run.confidence_path(method, video.name, stem)


def remove_others(run: RunFolder, video: Video, labeller: Labeller, horizon: int) -> None:
    """Remove the labels of frames that are in no unit any more and are no key frames, and of old names."""
    frames = {frame for unit in labeller.units(video, horizon) for frame in unit.frames}
    for method in labeller.methods:
        run.manifest.keep_only(video.name, frames | {*video.key_frames}, method)


def copy_key_frames(job: Job, run: RunFolder, video: Video) -> None:
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
            fingerprint = _mark_of_key_frame(video, classes, frame)
            if not run.manifest.is_done(video.name, [frame], method, fingerprint):
                files = _files(run, video, method, frame)
                target, confidence = (run.arriving.path_of(path) for path in files)
                labels = read_labels(source, classes)
                write_gray(confidence, torch.ones(labels.shape))
                if _is_coded_as_written(source, classes):
                    copy_file(source, target)
                else:
                    write_labels(target, labels, classes)
                by_hand = Provenance(method=method, key_frames=(frame,), distance=0)
                run.manifest.put(video.name, frame, by_hand, fingerprint, files=files)


def _is_coded_as_written(path: Path, classes: ClassSet) -> bool:
    """Return whether a label map holds the one number for each class and for VOID that a run writes."""
    try:
        numbers = {*np.unique(read_ids(path)).tolist()}
    except LabelError:
        return False  # its colours are the classes
    return numbers <= {*classes.ids, classes.void_id}
