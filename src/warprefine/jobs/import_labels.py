"""Import the labels of an annotation tool: into a new data set folder, or into one that is there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, shorten
from warprefine.core.names import counted, look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.video import Video
from warprefine.datasets.class_file import read_classes, write_classes
from warprefine.datasets.file_names import normal_form
from warprefine.interchange import IMPORTERS, format_name
from warprefine.interchange.class_map import class_map
from warprefine.interchange.given_videos import open_videos
from warprefine.interchange.imported import BACKGROUND, FileClass, ImportOptions
from warprefine.interchange.native import (
    Written,
    added_files,
    copy_pictures,
    copy_video,
    new_folder,
    places,
    refuse_existing,
    write_label_maps,
)
from warprefine.interchange.source import open_source
from warprefine.io.atomic import write_text
from warprefine.io.claims import check_apart

RECORD = "import.json"


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """What the user says about an import.

    Attributes:
        frames: The pictures (`--frames`): a video file, or a folder of videos.
        classes: A class file whose classes the project has (`--classes`).
        renames: Names in the export and those in the project, "" for void (`--map old=new`).
        background: The class of what is unlabelled (`--background`); None leaves it void.
        options: What concerns the reading of the format.
    """

    frames: Path | None = None
    classes: Path | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    background: str | None = None
    options: ImportOptions = field(default_factory=ImportOptions)


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import has written.

    Attributes:
        labels: The number of label maps by video.
        classes: The classes of the data set folder.
        notes: What was left out, a line each.
    """

    labels: Mapping[str, int]
    classes: ClassSet
    notes: Sequence[str]


def import_labels(
    name: str,
    source: Path,
    data: Path,
    *,
    add: bool = False,
    settings: ImportSettings | None = None,
    record: Mapping[str, object] | None = None,
    progress: Progress = silent,
) -> ImportReport:
    """Import labels of a format into a data set folder; after an error there is nothing of it.

    Args:
        name: The format, a name in `IMPORTERS` or another that means it.
        source: A file, a folder or a zip archive.
        data: The data set folder: a new one, or with `add` one that has classes.toml, and gets label maps for
            frames that have none, and videos that it does not have.
        add: Add to a folder that is there.
        settings: What the export does not say itself.
        record: Written into a new folder as import.json, for those who want to know where it is from.
        progress: Called as label maps are written.

    Raises:
        WarpRefineError: The export, a frame, a class or `data` is not as expected; the message is one line.

    Example:
        >>> import_labels("coco", Path("instances.json"), Path("data/mine"))  # doctest: +SKIP
    """
    importer, settings = look_up(IMPORTERS, format_name(name), what="format"), settings or ImportSettings()
    target = _existing(data, settings) if add else _new(data, source, settings)
    with open_source(source) as opened:
        imported = importer.read(opened, replace(settings.options, project=target.project))
        if not imported.frames:
            raise DatasetError(
                f"{source} has no labelled frame; expected {importer.about}; {shorten(imported.notes)}"
            )
        classes = class_map(
            imported.classes,
            project=target.project,
            renames=settings.renames,
            background=settings.background,
            where=str(source),
        )
        found = places(imported.frames, (*target.there, *target.further), video=settings.options.video)
        with added_files(data) if add else new_folder(data) as draft:
            written = write_label_maps(draft, found, classes, progress=progress)
            if not written.labels:
                raise DatasetError(f"{source} labels no pixel; {shorten(written.notes)}")
            if not add:
                write_classes(draft / "classes.toml", classes.classes)
            if record is not None:
                write_text(draft / RECORD, json.dumps(record, indent=2) + "\n")
            for video in target.further:
                if video.name in written.labels:
                    copy_video(draft, video)
            if not target.there and not target.further:
                copy_pictures(draft, found)
    notes = (
        *imported.notes,
        *_background(imported.classes, target.project, settings),
        *written.notes,
        *_left_out(target, written),
    )
    return ImportReport(labels=written.labels, classes=classes.classes, notes=notes)


def _background(
    classes: Sequence[FileClass], project: ClassSet | None, settings: ImportSettings
) -> Iterator[str]:
    """Yield a note on a class called background that was taken for pixels without a label."""
    known = {*(() if project is None else project.names), *settings.renames, settings.background}
    for one in classes:
        if one.is_void and one.name.lower() in BACKGROUND and one.name not in known:
            yield (
                f"pixels of {one.name!r} have no label and are void; `--background {one.name}` makes a "
                "class of them"
            )


@dataclass(frozen=True, kw_only=True)
class _Target:
    """The classes, the videos that are there, and those that `--frames` brings."""

    project: ClassSet | None
    there: tuple[Video, ...] = ()
    further: tuple[Video, ...] = ()


def _new(data: Path, source: Path, settings: ImportSettings) -> _Target:
    refuse_existing(data)
    frames = settings.frames
    read = [folder for folder in (source, frames) if folder is not None and folder.is_dir()]
    check_apart(data, *read, option="DATA")
    listed = settings.classes
    if listed is None and frames is not None and (frames / "classes.toml").is_file():
        listed = frames / "classes.toml"
    return _Target(
        project=read_classes(listed) if listed else None,
        further=open_videos(frames, video=settings.options.video) if frames else (),
    )


def _existing(data: Path, settings: ImportSettings) -> _Target:
    if not (data / "classes.toml").is_file():
        raise DatasetError(
            f"{data} has no classes.toml; expected a data set folder to add to; leave --add out to make a "
            "new one"
        )
    if settings.classes is not None:
        raise DatasetError(
            f"--classes {settings.classes} is given, but {data} has its own classes.toml; leave --classes out"
        )
    there = open_videos(data / "videos", option="") if (data / "videos").is_dir() else ()
    names = {normal_form(video.name) for video in there}
    brought = open_videos(settings.frames, video=settings.options.video) if settings.frames else ()
    further = tuple(video for video in brought if normal_form(video.name) not in names)
    return _Target(project=read_classes(data / "classes.toml"), there=there, further=further)


def _left_out(target: _Target, written: Written) -> Iterator[str]:
    without = [video.name for video in target.further if video.name not in written.labels]
    if without:
        videos = counted(len(without), "video of --frames has", "videos of --frames have")
        yield f"{videos} no label map, left out: {shorten(without)}"
