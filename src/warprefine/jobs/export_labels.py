"""Export the labels of a run, or of a data set folder, to a format of another tool."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from warprefine.core.errors import DatasetError, RecipeError
from warprefine.core.names import look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset, Video
from warprefine.datasets import open_dataset
from warprefine.interchange import EXPORTERS, format_name
from warprefine.interchange.exported import Exported, ExportedFrame, ExportOptions
from warprefine.interchange.imported import Positions
from warprefine.interchange.native import new_folder, refuse_existing
from warprefine.interchange.renames import RenamedClasses, rename_classes
from warprefine.io.claims import check_apart
from warprefine.io.frames import FrameSource, frame_size, open_frames
from warprefine.io.images import read_gray, read_labels
from warprefine.io.mirror import open_data
from warprefine.jobs.finished import FinishedRun
from warprefine.metrics.scores import leading

Wanted = Literal["key", "labelled", "all"]
"""Which frames are exported: key frames, all that have labels, or all."""


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """What the user says about an export.

    Attributes:
        method: The method whose labels are exported; by default the best one of the run.
        min_confidence: Labels that are less sure become void, 0 to 1; key frames are sure.
        frames: Which frames are exported.
        split: The share of frames for training, above 0 and below 1; None makes no split.
        instances: Each connected region of a class is an instance, where the format has any.
        pictures: Whether pictures are written; None leaves it to the format.
        opacity: How much of the labels a video shows over its pictures, 0 to 1.
        renames: Names of classes of the run and those in the export (`--map old=new`); an empty one is void.
    """

    method: str | None = None
    min_confidence: float = 0.0
    frames: Wanted = "labelled"
    split: float | None = None
    instances: bool = False
    pictures: bool | None = None
    opacity: float = 0.5
    renames: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise RecipeError(f"--min-confidence is {self.min_confidence:g}; expected 0 to 1")
        if not 0 <= self.opacity <= 1:
            raise RecipeError(f"--opacity is {self.opacity:g}; expected 0 to 1")
        if self.split is not None and not 0 < self.split < 1:
            raise RecipeError(f"--split is {self.split:g}; expected a share above 0 and below 1, such as 0.9")


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export has written: the number of frames by video, and notes."""

    frames: Mapping[str, int]
    notes: Sequence[str]


LabelFiles = Mapping[str, Mapping[int, tuple[Path, Path | None]]]
"""By video and frame: the label map, and the confidence map where labels are not certain."""


def export_labels(
    name: str,
    run: Path,
    dest: Path,
    *,
    settings: ExportSettings | None = None,
    progress: Progress = silent,
) -> ExportReport:
    """Export the labels of a run folder or of a data set folder; after an error there is nothing of it.

    Args:
        name: The format, a name in `EXPORTERS` or another that means it.
        run: A run folder, or a data set folder whose key frames are exported.
        dest: A new folder; a name that ends in .zip makes an archive of it.
        settings: Which labels are exported, and how.
        progress: Called as frames are written.

    Raises:
        WarpRefineError: `run` has no labels, `dest` exists, or the format cannot hold a name of a class
            (which `renames` mends).

    Example:
        >>> export_labels("coco", Path("runs/mine"), Path("coco"))  # doctest: +SKIP
    """
    exporter, settings = look_up(EXPORTERS, format_name(name), what="format"), settings or ExportSettings()
    refuse_existing(dest)
    dataset, files = _labels_of(run, settings)
    check_apart(dest, run, option="DEST")
    renamed = rename_classes(dataset.classes, settings.renames)
    numbers = _numbers(dataset, files, settings.frames)
    if not any(numbers.values()):
        raise DatasetError(f"{run} has no frame to export; expected label maps; see --frames")
    options = ExportOptions(
        instances=settings.instances,
        pictures=exporter.pictures if settings.pictures is None else settings.pictures,
        split=settings.split is not None,
        min_confidence=settings.min_confidence,
        opacity=settings.opacity,
    )
    splits = _splits(numbers, settings.split)
    exported = Exported(
        classes=renamed.classes,
        videos=dataset.videos,
        numbers=numbers,
        open_frames=partial(
            _frames, dataset, files, numbers, splits, partial(_labels, renamed, settings.min_confidence)
        ),
        progress=progress,
    )
    with new_folder(dest) as draft:
        notes = tuple(exporter.write(exported, draft, options))
        if dest.suffix.lower() == ".zip":
            _zip(draft)
    return ExportReport(frames={video: len(found) for video, found in numbers.items() if found}, notes=notes)


def _labels_of(run: Path, settings: ExportSettings) -> tuple[Dataset, LabelFiles]:
    """Return the data set of a run or of a data set folder, and the files of its labels."""
    run = open_data(run)
    if (run / "classes.toml").is_file() and not (run / "job.json").is_file():
        dataset = open_dataset(run)
        own = {one.name: {n: (path, None) for n, path in one.labels.items()} for one in dataset.videos}
        return dataset, own
    finished = FinishedRun.open(run)
    method = settings.method or leading(finished.methods)
    look_up(dict.fromkeys(finished.methods), method, what="method of this run")
    found: dict[str, dict[int, tuple[Path, Path | None]]] = {}
    for video in finished.dataset.videos:
        keys = set(video.key_frames)
        files = {
            frame: finished.label_files(video.name, frame, method)
            for frame in finished.labelled_frames(video.name, method)
            if settings.frames != "key" or frame in keys
        }
        found[video.name] = {
            frame: (labels, None if frame in keys else confidence)
            for frame, (labels, confidence) in files.items()
        }
    return finished.dataset, found


def _numbers(dataset: Dataset, files: LabelFiles, wanted: Wanted) -> dict[str, list[int]]:
    if wanted == "all":
        return {one.name: [n for n in range(len(one)) if n not in one.damaged] for one in dataset.videos}
    return {one.name: sorted(files[one.name]) for one in dataset.videos}


def _splits(numbers: Mapping[str, Sequence[int]], share: float | None) -> dict[str, dict[int, str]]:
    """Return the split of each frame.

    Frames of a video are alike, so whole videos go to val: the last ones, which have about the wanted share.
    A single video is cut in two.
    """
    if share is None:
        return {video: dict.fromkeys(found, "train") for video, found in numbers.items()}
    total = sum(map(len, numbers.values()))
    filled = [video for video, found in numbers.items() if found]
    splits: dict[str, dict[int, str]] = {}
    done = 0
    for video, found in numbers.items():
        if len(filled) == 1:
            cut = min(max(1, round(share * len(found))), len(found) - 1) if len(found) > 1 else len(found)
            splits[video] = {frame: "train" if n < cut else "val" for n, frame in enumerate(found)}
        else:
            last = video == filled[-1]
            # The first video is for training and the last for validation, so that neither is empty.
            train = not last and (video == filled[0] or (done + len(found) / 2) / total <= share)
            splits[video] = dict.fromkeys(found, "train" if train else "val")
        done += len(found)
    return splits


def _frames(
    dataset: Dataset,
    files: LabelFiles,
    numbers: Mapping[str, Sequence[int]],
    splits: Mapping[str, Mapping[int, str]],
    read: Callable[[Path | None, Path | None, tuple[int, int]], Positions],
) -> Iterator[ExportedFrame]:
    for video in dataset.videos:
        if not numbers[video.name]:
            continue
        with ExitStack() as stack:
            source = _Pixels(video, stack)
            for number in numbers[video.name]:
                size = frame_size(video, number)
                labels, confidence = files[video.name].get(number, (None, None))
                yield ExportedFrame(
                    video=video.name,
                    stem=video.stems[number],
                    number=number,
                    size=size,
                    split=splits[video.name][number],
                    labels=partial(read, labels, confidence, size),
                    picture=None if video.container else video.frame_paths[number],
                    pixels=partial(source.read, number),
                    confidence=partial(_confidence, labels, confidence, size),
                )


class _Pixels:
    """Reads the pictures of a video, which is opened at the first one."""

    def __init__(self, video: Video, stack: ExitStack) -> None:
        self._video, self._stack = video, stack
        self._frames: FrameSource | None = None

    def read(self, number: int) -> np.ndarray:
        """Return a frame, (h, w, 3)."""
        if self._frames is None:
            self._frames = self._stack.enter_context(open_frames(self._video))
        return np.ascontiguousarray(self._frames[number][0].permute(1, 2, 0).numpy())


def _labels(
    renamed: RenamedClasses,
    least: float,
    path: Path | None,
    confidence: Path | None,
    size: tuple[int, int],
) -> Positions:
    if path is None:
        return np.full(size, VOID, np.uint8)
    labels = read_labels(path, renamed.own, size=size)
    if confidence is not None and least > 0:
        labels = torch.where(read_gray(confidence) < least, VOID, labels)
    return renamed.apply(labels[0].numpy())


def _confidence(labels: Path | None, confidence: Path | None, size: tuple[int, int]) -> np.ndarray:
    if confidence is None:
        return np.full(size, 255 if labels else 0, np.uint8)
    return (read_gray(confidence)[0] * 255).round().to(torch.uint8).numpy()


def _zip(draft: Path) -> None:
    """Turn a draft folder into an archive in its place."""
    packed = draft.with_name(f"{draft.name}.zip")
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for path in files:
            archive.write(path, path.relative_to(draft).as_posix())
    shutil.rmtree(draft)
    packed.rename(draft)
