"""Propagate through the videos of a data set into a run folder, unit by unit, never twice."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from warprefine.core.errors import FrameError, LabelError
from warprefine.core.progress import Progress, silent
from warprefine.core.pseudolabel import PseudoLabel
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.atomic import copy_file
from warprefine.io.frames import FrameSource, open_frames
from warprefine.io.images import read_labels, write_gray, write_labels
from warprefine.io.run import RunFolder
from warprefine.propagation.engine import walk
from warprefine.propagation.evidence import Evidence, Models
from warprefine.propagation.methods import ORACLE, PLUS, Setting
from warprefine.propagation.plus import PlusSetting, label_stretch
from warprefine.propagation.schedule import Stretch, Unit, plan, plan_stretches

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PlusJob:
    """What warp-refine-plus works with: its own motion, and a hash of its settings and its refiner."""

    models: Models
    setting: PlusSetting
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to propagate, with what, and how far.

    `refiner_fingerprint` is empty where no refiner takes part; `plus` is None where that method takes none.
    """

    dataset: Dataset
    horizon: int
    methods: tuple[str, ...]
    models: Models
    setting: Setting
    refiner_fingerprint: str = ""
    plus: PlusJob | None = None

    def fingerprint(self, video: Video, unit: Unit | Stretch, method: str) -> str:
        """Return a hash of all that the labels of a unit depend on, the key frames' labels included."""
        parts: dict[str, Sequence[object]] = {
            "motion-only": (self.models.motion.name,),
            "semantic-only": (self.models.segmenter_fingerprint, self.setting.threshold),
            ORACLE: tuple(_content(video, frame, truth=True) for frame in unit.frames),
        }
        inpainting = (self.models.motion.name, self.models.segmenter_fingerprint, self.setting.tau)
        own = parts.get(method, inpainting + ((self.refiner_fingerprint,) if method == "warp-refine" else ()))
        if isinstance(unit, Stretch):
            assert self.plus is not None
            plus = self.plus
            own = (plus.models.motion.name, plus.models.segmenter_fingerprint, plus.fingerprint)
            hands: object = [(key, _content(video, key, truth=False)) for key in unit.key_frames]
        else:
            hands = _content(video, unit.key_frame, truth=False)
        said = [unit.frames, hands, *own]
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def propagate(job: Job, run: RunFolder, *, progress: Progress = silent) -> dict[str, str]:
    """Label every frame within the horizon; units that are done already are left alone.

    Returns:
        Video name -> what is wrong with it, for the videos that could not be finished.
    """
    failures = {}
    units = {video.name: _units(job, video) for video in job.dataset.videos}
    total, done = sum(len(u.frames) for us in units.values() for u in us), 0
    for video in job.dataset.videos:
        try:
            for unit in units[video.name]:
                _propagate_unit(job, run, video, unit)
                done += len(unit.frames)
                progress("propagating", done, total, video.name)
            _copy_key_frames(job, run, video)
        except (FrameError, LabelError) as error:  # a full disk, say, is no fault of the video
            log.error("%s", error)
            failures[video.name] = str(error)
    return failures


def _units(job: Job, video: Video) -> list[Unit | Stretch]:
    """List what is to be done: walks from key frames, and stretches between them, as the methods want it."""
    units: list[Unit | Stretch] = []
    if {*job.methods} - {PLUS}:
        units += plan(video, job.horizon)
    if job.plus is not None:
        reach = max(job.plus.setting.ways.reach, job.horizon)
        units += plan_stretches(video, job.horizon, reach=reach)
    return units


def _propagate_unit(job: Job, run: RunFolder, video: Video, unit: Unit | Stretch) -> None:
    methods = [method for method in job.methods if (method == PLUS) == isinstance(unit, Stretch)]
    fingerprints = {method: job.fingerprint(video, unit, method) for method in methods}
    due = [
        method
        for method, fingerprint in fingerprints.items()
        if not (run.is_done(_marks(unit), method, fingerprint) and _is_whole(run, video, unit, method))
    ]
    if not due:
        return
    for method in due:
        run.mark_begun(_marks(unit), method)
    with open_frames(video) as frames:
        for frame, pseudo in _labelled(job, run, (video, frames), unit, due):
            method, stem = pseudo.provenance.method, video.stems[frame]
            write_labels(run.labels_path(method, video.name, stem), pseudo.labels, job.dataset.classes)
            write_gray(run.confidence_path(method, video.name, stem), pseudo.confidence)
    for method in due:
        run.mark_done(_marks(unit), method, fingerprints[method])


def _marks(unit: Unit | Stretch) -> Sequence[str]:
    """Name what the manifest remembers of a unit.

    Of a stretch that is each frame: with another key frame come other stretches, of some of the same frames.
    """
    if isinstance(unit, Unit):
        return [unit.name]
    return [f"{unit.video}/{frame:06d}" for frame in unit.frames]


def _labelled(
    job: Job, run: RunFolder, open_video: tuple[Video, FrameSource], unit: Unit | Stretch, due: Sequence[str]
) -> Iterable[tuple[int, PseudoLabel]]:
    """Give the labels that the methods which are due make of a unit's frames."""
    cache, classes = ArrayCache(run.cache), job.dataset.classes
    if isinstance(unit, Unit):
        return walk(Evidence(*open_video, job.models, cache), unit, classes, due, job.setting)
    assert job.plus is not None
    evidence = Evidence(*open_video, job.plus.models, cache)
    return label_stretch(evidence, unit, classes, job.plus.setting)


def _is_whole(run: RunFolder, video: Video, unit: Unit | Stretch, method: str) -> bool:
    """Say whether every file of a unit that was finished once is still there."""
    stems = [video.stems[frame] for frame in unit.frames if method != ORACLE or frame in video.truth]
    return all(
        path_of(method, video.name, stem).exists()
        for stem in stems
        for path_of in (run.labels_path, run.confidence_path)
    )


def _copy_key_frames(job: Job, run: RunFolder, video: Video) -> None:
    """Put the hand-made labels beside the made ones, byte for byte, fully certain."""
    for method in job.methods:
        for frame, source in video.labels.items():
            target = run.labels_path(method, video.name, video.stems[frame])
            if not target.exists() or target.read_bytes() != source.read_bytes():
                labels = read_labels(source, job.dataset.classes)
                write_gray(
                    run.confidence_path(method, video.name, video.stems[frame]), torch.ones(labels.shape)
                )
                copy_file(source, target)  # last: its presence says that both are there


def _content(video: Video, frame: int, *, truth: bool) -> str:
    path = (video.truth if truth else video.labels).get(frame)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None else ""
