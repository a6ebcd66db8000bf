"""Label the videos of a data set into a run folder, frame by frame, nothing twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.engine import HERE, Engine
from warprefine.core.errors import FrameError, LabelError
from warprefine.core.memory import keep_freed_memory
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator
from warprefine.core.pseudolabel import Provenance
from warprefine.core.stages import Stage
from warprefine.core.time_limit import check_time
from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import copy_file
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_labels
from warprefine.io.foreign import is_of_the_system
from warprefine.io.images import read_ids, read_labels, write_gray, write_labels
from warprefine.io.manifest import ArrivedFrame
from warprefine.io.run import RunFolder
from warprefine.propagation.evidence import content_of
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.unit_work import (
    DueUnit,
    FailedUnit,
    FrameOfUnit,
    UnitWork,
    data_of,
    due_unit,
    label_due_unit,
    record,
)
from warprefine.propagation.units import Unit, stepwise_units
from warprefine.propagation.written import files_of

log = logging.getLogger(__name__)
_RECORD_EVERY = 0.5
"""Seconds: quick frames are recorded together, since each record waits for the disk."""


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


def propagate(
    job: Job, run: RunFolder, *, engine: Engine = HERE, progress: Progress = silent
) -> dict[str, str]:
    """Label every frame within the horizon; frames that are done already are left alone.

    Args:
        job: What is labelled.
        run: The run folder.
        engine: Where units are labelled; the labels do not depend on it.
        progress: Called as frames are finished.

    Returns:
        Video name -> what is wrong with it, for the videos that could not be finished.

    Raises:
        TimeIsUp: The time limit is over; frames that are labelled by then are recorded.
    """
    keep_freed_memory()
    state = _Propagation(job, run, progress)
    work = UnitWork(dataset=job.dataset, labellers=job.labellers, run=run)
    with state.recording(), closing(engine.stream(work, state.due_units())) as results:
        for item, result in results:
            state.take(item, result)
    run.manifest.settle()
    return state.failures


class _Propagation:
    """Which units of a job are due, and what becomes of them.

    Attributes:
        failures: The videos that could not be finished, by name, and why.
    """

    def __init__(self, job: Job, run: RunFolder, progress: Progress) -> None:
        self.failures: dict[str, str] = {}
        self._job, self._run = job, run
        self._arrived: list[tuple[DueUnit, FrameOfUnit]] = []
        self._recorded_at = time.monotonic()
        self._videos = {video.name: video for video in job.dataset.videos}
        self._planned = {video.name: _plan(job, video) for video in job.dataset.videos}
        self._left = {name: len(units) for name, units in self._planned.items()}
        self._count = _Count(
            sum(len(unit.frames) for units in self._planned.values() for _, unit in units), progress
        )

    def due_units(self) -> Iterator[tuple[int, DueUnit]]:
        """Yield the due units with the positions of their labellers, video by video; finish all others."""
        job = self._job
        for video in job.dataset.videos:
            if not self._planned[video.name]:
                self._finish(video)
            for position, unit in self._planned[video.name]:
                if video.name in self.failures:
                    break
                due = None
                with self._noting_failure(video.name):
                    labeller = job.labellers[position]
                    due = due_unit(job.dataset, self._run, labeller, (video, unit), stage=job.stage)
                if due is None:
                    self._end(position, unit)
                else:
                    yield position, due

    def take(self, item: tuple[int, DueUnit], result: FrameOfUnit | FailedUnit | None) -> None:
        """Record a frame of a unit, or that the unit cannot be labelled, or that it is done (None).

        Raises:
            TimeIsUp: The time limit is over.
        """
        position, due = item
        if result is None:
            self._record()
            self._end(position, due.unit)
        elif isinstance(result, FailedUnit):
            self._fail(due.unit.video, result.message)
        else:
            self._arrived.append((due, result))
            if time.monotonic() - self._recorded_at > _RECORD_EVERY:
                self._record()
            if result.files:
                check_time()
            self._count.of_unit(position, due.unit, min(result.done, len(due.unit.frames) - 1))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record all frames that are taken in here, however it ends."""
        try:
            yield
        finally:
            self._record()

    def _record(self) -> None:
        """Record the frames that have arrived, all at once."""
        arrived, self._arrived = self._arrived, []
        record(self._run, arrived)
        self._recorded_at = time.monotonic()

    def _end(self, position: int, unit: Unit) -> None:
        """Count a unit that is done; finish its video with the last one."""
        if unit.video in self.failures:
            return
        self._count.of_unit(position, unit, len(unit.frames))
        self._left[unit.video] -= 1
        if not self._left[unit.video]:
            self._finish(self._videos[unit.video])

    def _finish(self, video: Video) -> None:
        """Do what is left for a video whose units are all done."""
        with self._noting_failure(video.name):
            copy_key_frames(self._job, self._run, video)
            for labeller in self._job.labellers:
                remove_others(self._run, video, labeller, self._job.horizon)

    @contextmanager
    def _noting_failure(self, video: str) -> Iterator[None]:
        try:
            yield
        except (FrameError, LabelError) as error:
            if is_of_the_system(error):  # as a full disk, no video's fault
                raise
            self._fail(video, str(error))

    def _fail(self, video: str, message: str) -> None:
        if video not in self.failures:
            log.error("%s", message)
            self.failures[video] = message


class _Count:
    """Reports how many frames of all units are done; units may be worked on at the same time."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress = total, progress
        self._done: dict[tuple[int, str, int], int] = {}

    def of_unit(self, position: int, unit: Unit, done: int) -> None:
        """Report that so many frames of a unit are done by the labeller at a position."""
        key = (position, unit.video, unit.frames[0])
        if done > self._done.get(key, 0):
            self._done[key] = done
            self._progress("propagating", sum(self._done.values()), self._total, unit.video)


def _plan(job: Job, video: Video) -> list[tuple[int, Unit]]:
    """Return the units of a video, each with the position of its labeller."""
    return [
        (position, unit)
        for position, labeller in enumerate(job.labellers)
        for unit in labeller.units(video, job.horizon)
    ]


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
    due = due_unit(job.dataset, run, labeller, planned, stage=job.stage, wanted=wanted)
    if due is None:
        return
    for labelled in label_due_unit(job.dataset, run, labeller, planned[0], due):
        record(run, [(due, labelled)])
        if labelled.files:
            check_time()
        yield labelled


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
        data = data_of(content, video, unit)
        of_unit = [records.get(frame) for frame in unit.frames]
        if not all(record is not None and record.is_whole and record.data == data for record in of_unit):
            return False
    return all(
        run.manifest.is_done(video.name, [frame], method, _mark_of_key_frame(video, dataset.classes, frame))
        for frame in (video.labels if units else ())
    )


def _mark_of_key_frame(video: Video, classes: ClassSet, frame: int) -> str:
    """Return a hash of all that the copy of a key frame's labels depends on."""
    return fingerprint_of(fingerprint_of_labels(video.labels[frame]), classes.coding, video.stems[frame])


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
                files = files_of(run, video, method, frame)
                target, confidence = (run.arriving.path_of(path) for path in files)
                labels = read_labels(source, classes)
                write_gray(confidence, torch.ones(labels.shape))
                if _is_coded_as_written(source, classes):
                    copy_file(source, target)
                else:
                    write_labels(target, labels, classes)
                by_hand = Provenance(method=method, key_frames=(frame,), distance=0)
                run.manifest.put(
                    ArrivedFrame(
                        video=video.name,
                        frame=frame,
                        provenance=by_hand,
                        fingerprint=fingerprint,
                        files=files,
                    )
                )


def _is_coded_as_written(path: Path, classes: ClassSet) -> bool:
    """Return whether a label map holds the one number for each class and for VOID that a run writes."""
    try:
        numbers = {*np.unique(read_ids(path)).tolist()}
    except LabelError:
        return False  # its colours are the classes
    return numbers <= {*classes.ids, classes.void_id}
