"""The work on a unit in three parts: find what is due, label it, record that.

Labelling reads data and cache, and writes files beside their places: any process that has these folders can
do it. The manifest is read and written by one process alone: on network disks SQLite cannot have several
writers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from warprefine.core.classes import ClassSet
from warprefine.core.errors import FrameError, LabelError
from warprefine.core.parallel import map_in_order, thread_count
from warprefine.core.pseudolabel import Provenance, PseudoLabel
from warprefine.core.stages import Stage, is_later, later
from warprefine.core.video import Dataset, Video
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file
from warprefine.io.foreign import is_of_the_system
from warprefine.io.images import write_gray, write_labels
from warprefine.io.manifest import ArrivedFrame
from warprefine.io.run import RunFolder
from warprefine.ops.calibration import ConfidenceSums, confidence_sums
from warprefine.propagation.calibrated import CalibratedLabeller
from warprefine.propagation.evidence import content_of, open_evidence
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.units import Unit
from warprefine.propagation.written import Mark, Written, calibrate_written, files_of


@dataclass(frozen=True, kw_only=True)
class DueUnit:
    """A unit that has frames to be labelled.

    Attributes:
        unit: The unit, with the frames that are done by all methods that are due.
        done: The methods that are due, each with the frames that it leaves as they are.
        marks: What the labels of each method are recognised by.
    """

    unit: Unit
    done: Mapping[str, frozenset[int]]
    marks: Mapping[str, Mark]


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameOfUnit:
    """A frame of a unit that a method has labelled.

    Attributes:
        frame: The number of the frame.
        provenance: Where its labels come from.
        done: How many frames of the unit are finished, or are not to be labelled now.
        files: The places of its files, which move there when they are recorded; none if it is left as it is.
        sums: What `confidence_sums` returns for it.
    """

    frame: int
    provenance: Provenance
    done: int
    files: tuple[Path, ...]
    sums: ConfidenceSums

    @property
    def method(self) -> str:
        """The method."""
        return self.provenance.method


@dataclass(frozen=True, kw_only=True)
class FailedUnit:
    """A unit that cannot be labelled, and why."""

    message: str


def due_unit(
    dataset: Dataset,
    run: RunFolder,
    labeller: Labeller,
    planned: tuple[Video, Unit],
    *,
    stage: Stage,
    wanted: Collection[int] | None = None,
) -> DueUnit | None:
    """Return what is due of a unit of a video; None if nothing is.

    Labels that were written before their confidence was calibrated are not due: it is calibrated here.

    Args:
        dataset: The data set of the video.
        run: The run folder.
        labeller: Labels the unit.
        planned: The video and its unit.
        stage: The stage that the labels are of.
        wanted: The frames to label now, others being left as they are; None: all.

    Raises:
        FrameError: A frame cannot be read.
        LabelError: A label map cannot be read.
    """
    video, unit = planned
    content = content_of(video, dataset.classes, labeller.models.motion, (*unit.frames, *unit.key_frames))
    stems = [video.stems[frame] for frame in unit.frames]
    data = data_of(content, video, unit)
    marks = {
        method: Mark(
            fingerprint=fingerprint_of(labeller.fingerprint(video, unit, method), content, stems),
            data=data,
            stage=stage,
        )
        for method in labeller.methods
    }
    if isinstance(labeller, CalibratedLabeller):
        of_labels = {
            method: fingerprint_of(labeller.labeller.fingerprint(video, unit, method), content, stems)
            for method in labeller.methods
        }
        for method, table in labeller.tables_of(unit).items():
            written = Written(fingerprint=of_labels[method], table=table, mark=marks[method])
            calibrate_written(run, dataset.classes, planned, method, written=written)
    left = frozenset() if wanted is None else frozenset(unit.frames).difference(wanted)
    done = {method: left | _done(run, unit, method, mark) for method, mark in marks.items()}
    due = {method: frames for method, frames in done.items() if len(frames) < len(unit.frames)}
    if not due:
        return None
    return DueUnit(unit=replace(unit, done=frozenset.intersection(*due.values())), done=due, marks=marks)


def label_due_unit(
    dataset: Dataset, run: RunFolder, labeller: Labeller, video: Video, due: DueUnit
) -> Iterator[FrameOfUnit]:
    """Label what is due of a unit, and write it beside its places; the manifest is not used.

    Files are encoded and written in threads, while the next frames are labelled.
    """

    def written(pseudo: PseudoLabel) -> tuple[PseudoLabel, tuple[Path, ...], ConfidenceSums]:
        pseudo, classes = pseudo.cpu(), dataset.classes
        is_left = pseudo.frame in due.done[pseudo.provenance.method]
        files = () if is_left else _write(run, video, classes, pseudo)
        return pseudo, files, confidence_sums(pseudo.labels, pseudo.confidence, class_count=len(classes))

    yielded = len(due.unit.done) * len(due.done)
    with open_evidence(video, dataset.classes, labeller.models, run.arrays) as evidence:
        labelled = labeller.label(evidence, due.unit, [*due.done])
        with closing(map_in_order(written, labelled, threads=thread_count())) as results:
            for pseudo, files, sums in results:
                yielded += 1
                yield FrameOfUnit(
                    frame=pseudo.frame,
                    provenance=pseudo.provenance,
                    done=yielded // len(due.done),
                    files=files,
                    sums=sums,
                )


def record(run: RunFolder, labelled: Sequence[tuple[DueUnit, FrameOfUnit]]) -> None:
    """Move the files of frames to their places, and record them; nothing is done for those that are left."""
    arrived = [
        ArrivedFrame(
            video=due.unit.video,
            frame=one.frame,
            provenance=replace(one.provenance, stage=due.marks[one.method].stage),
            fingerprint=due.marks[one.method].fingerprint,
            files=one.files,
            data=due.marks[one.method].data,
            sums=one.sums,
        )
        for due, one in labelled
        if one.files
    ]
    if arrived:
        run.manifest.put(*arrived)


@dataclass(frozen=True, kw_only=True)
class UnitWork:
    """Labels due units, each with the position of its labeller, in whichever process it is called.

    Attributes:
        dataset: The videos.
        labellers: The labellers.
        run: The run folder.
    """

    dataset: Dataset
    labellers: tuple[Labeller, ...]
    run: RunFolder

    def __call__(self, item: tuple[int, DueUnit]) -> Iterator[FrameOfUnit | FailedUnit]:
        """Yield the frames of a unit as they are labelled, and last why it cannot be, if it cannot."""
        position, due = item
        video = next(video for video in self.dataset.videos if video.name == due.unit.video)
        try:
            yield from label_due_unit(self.dataset, self.run, self.labellers[position], video, due)
        except (FrameError, LabelError) as error:
            if is_of_the_system(error):  # as a full disk, no video's fault
                raise
            yield FailedUnit(message=str(error))


def data_of(content: str, video: Video, unit: Unit) -> str:
    """Return a hash of the data of a unit; `content` is that of its frames."""
    stems = [video.stems[frame] for frame in unit.frames]
    labels = [fingerprint_of_file(video.labels[key], LabelError) for key in unit.key_frames]
    return fingerprint_of(content, unit.frames, stems, labels)


def _done(run: RunFolder, unit: Unit, method: str, mark: Mark) -> frozenset[int]:
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


def _write(run: RunFolder, video: Video, classes: ClassSet, pseudo: PseudoLabel) -> tuple[Path, ...]:
    """Write the labels and the confidence of a frame, calibrated and raw, and return their places."""
    method = pseudo.provenance.method
    files = files_of(run, video, method, pseudo.frame)
    labels, confidence = (run.arriving.path_of(path) for path in files)
    write_labels(labels, pseudo.labels, classes)
    write_gray(confidence, pseudo.confidence)
    if pseudo.raw_confidence is None:
        return files
    raw = run.raw_confidence_path(method, video.name, video.stems[pseudo.frame])
    write_gray(run.arriving.path_of(raw), pseudo.raw_confidence)
    return (*files, raw)
