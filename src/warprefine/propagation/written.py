"""The files of frames that are labelled, and confidence that is calibrated after they were written."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from warprefine.core.classes import ClassSet
from warprefine.core.parallel import map_in_order, thread_count
from warprefine.core.stages import Stage, later
from warprefine.core.video import Video
from warprefine.io.atomic import copy_file
from warprefine.io.images import read_gray, read_labels, write_gray
from warprefine.io.manifest import ArrivedFrame
from warprefine.io.run import RunFolder
from warprefine.ops.calibration import CalibrationTable, ConfidenceSums, calibrate, confidence_sums
from warprefine.propagation.units import Unit


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What the labels of a unit by a method are recognised by: all they depend on, the data alone, stage."""

    fingerprint: str
    data: str
    stage: Stage


@dataclass(frozen=True, kw_only=True, eq=False)
class Written:
    """Labels of a unit that may have been written before their confidence was calibrated.

    Attributes:
        fingerprint: What they are recognised by then.
        table: Their calibration.
        mark: What they are recognised by once it is applied.
    """

    fingerprint: str
    table: CalibrationTable
    mark: Mark


def files_of(run: RunFolder, video: Video, method: str, frame: int) -> tuple[Path, ...]:
    """Return the paths of the labels and the confidence of a frame."""
    stem = video.stems[frame]
    return run.labels_path(method, video.name, stem), run.confidence_path(method, video.name, stem)


def calibrate_written(
    run: RunFolder, classes: ClassSet, planned: tuple[Video, Unit], method: str, *, written: Written
) -> None:
    """Calibrate the confidence of those frames of a unit that have labels without; nothing is labelled.

    Files have the levels of confidence that a calibration is applied to, so they become what labelling again
    would write.

    Args:
        run: The run folder.
        classes: The classes of the labels.
        planned: The video and its unit.
        method: The method of the labels.
        written: The labels, and their calibration.

    Raises:
        LabelError: A label map cannot be read.
        FrameError: A file of confidence cannot be read.
    """
    video, unit = planned
    found = run.manifest.records(video.name, method, unit.frames)
    frames = [
        frame
        for frame, record in found.items()
        if record.is_whole and record.fingerprint == written.fingerprint
    ]
    if not frames:
        return
    provenances = run.manifest.provenances(video.name, method)

    def write(frame: int) -> tuple[int, tuple[Path, ...], ConfidenceSums]:
        of_labels, of_confidence = files_of(run, video, method, frame)
        of_raw = run.raw_confidence_path(method, video.name, video.stems[frame])
        labels = read_labels(of_labels, classes)
        sure = calibrate(labels, read_gray(of_confidence), written.table)
        copy_file(of_labels, run.arriving.path_of(of_labels))
        copy_file(of_confidence, run.arriving.path_of(of_raw))
        write_gray(run.arriving.path_of(of_confidence), sure)
        sums = confidence_sums(labels, sure, class_count=len(classes))
        return frame, (of_labels, of_confidence, of_raw), sums

    mark = written.mark
    with closing(map_in_order(write, frames, threads=thread_count())) as results:
        for frame, files, sums in results:
            stage = later(mark.stage, found[frame].stage)
            provenance = replace(provenances[frame], stage=stage)
            run.manifest.put(
                ArrivedFrame(
                    video=video.name,
                    frame=frame,
                    provenance=provenance,
                    fingerprint=mark.fingerprint,
                    files=files,
                    data=mark.data,
                    sums=sums,
                )
            )
