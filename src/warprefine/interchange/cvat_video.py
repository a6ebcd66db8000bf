"""Read and write "CVAT for video 1.1": one XML file with the tracks of each video.

DEST/VIDEO/annotations.xml         labels, and a track for each class of a frame, as CVAT writes masks
DEST/VIDEO/images/frame_000003.png pictures, on request
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TextIO
from xml.etree.ElementTree import Element

from warprefine.core.errors import DatasetError, shorten
from warprefine.core.video import Video
from warprefine.interchange.cvat_shapes import Shape
from warprefine.interchange.cvat_tracks import Entry, Track, Tracks
from warprefine.interchange.cvat_writing import attributes, masks_of, size_element, written_meta
from warprefine.interchange.cvat_xml import CvatFile, Task, notes_of, read_cvat_files
from warprefine.interchange.exported import Exported, ExportedFrame, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.frames import last_number
from warprefine.interchange.imported import ClassList, Imported, ImportedFrame, ImportOptions
from warprefine.interchange.source import Source

_OTHER = "tracks of a video; import pictures with shapes as cvat-images"
_REST = 'occluded="0" z_order="0"'
_ENDINGS = (".PNG", ".png", ".jpg", ".jpeg")


def read_cvat_video(source: Source, options: ImportOptions) -> Imported:
    """Read annotations.xml of videos; frames are matched by their number in the video.

    Raises:
        DatasetError: It is no such file, or a shape has a label that the file does not list, or is in a
            frame that the task does not have.
    """
    del options
    classes = ClassList(where=str(source.path))
    frames: list[ImportedFrame] = []
    notes: list[str] = []
    for file in read_cvat_files(source, classes, holds="track", other=_OTHER):
        by_task: dict[str, list[Track]] = defaultdict(list)
        tasks: dict[str, Task] = {}
        for number, element in enumerate(file.root.iterfind("track")):
            task = element.get("task_id", "")
            tasks[task] = file.task(element)
            track = _track(file, element, number)
            if track is not None:
                by_task[task].append(track)
        if not tasks:
            raise DatasetError(f"{file.named} holds no track; expected {_OTHER}; export it again")
        for task, found in by_task.items():
            tracks = Tracks(tasks[task], found, named=file.named)
            frames += _frames(source, file, tasks[task], tracks)
            notes += _notes(file.named, tracks)
        notes += notes_of(file.left_out, file.named)
    return Imported(classes=classes.found, frames=frames, notes=notes)


def _track(file: CvatFile, element: Element, number: int) -> Track | None:
    """Return a track; None if its shapes have no area."""
    where = f"{file.named}, track {element.get('id', number)} ({element.get('label', '')[:60]})"
    entries: list[Entry] = []
    for one in element:
        shape = file.shape(one, f"{where}, frame {one.get('frame', '')[:20]}")
        if shape is not None:
            entries.append(_entry(shape))
    if not entries:
        return None
    return Track(
        position=file.position(element, where),
        entries=sorted(entries, key=lambda entry: entry.frame),
        where=where,
    )


def _entry(shape: Shape) -> Entry:
    return Entry(
        frame=shape.whole("frame"),
        shape=shape,
        is_key=shape.whole("keyframe", 1) != 0,
        is_outside=shape.whole("outside", 0) != 0,
        z=shape.whole("z_order", 0),
    )


def _frames(source: Source, file: CvatFile, task: Task, tracks: Tracks) -> Iterator[ImportedFrame]:
    """Yield the labelled frames of a task."""
    folders = [] if task.video else _folders(source, file, task)
    for number in tracks.labelled:
        name = f"frame_{number:06d}"
        yield ImportedFrame(
            where=f"{file.named}, frame {number}",
            name="/".join([*folders, name]),
            draw=partial(tracks.draw, number),
            video=task.video,
            index=number,
            size=task.size,
            picture=_picture(source, file, name),
        )


def _folders(source: Source, file: CvatFile, task: Task) -> list[str]:
    """Return what may name the video of a task whose file does not say; the last one is tried first."""
    packed = source.path.stem if source.path.suffix.lower() == ".zip" else ""
    own = "" if file.path.stem.lower() == "annotations" else file.path.stem
    return [part for part in (packed, task.name, *source.relative(file.path).parts[:-1], own) if part]


def _picture(source: Source, file: CvatFile, name: str) -> Path | None:
    folder = source.relative(file.path).parent
    names = [(folder / "images" / f"{name}{ending}").as_posix() for ending in _ENDINGS]
    return next(filter(None, map(source.picture, names)), None)


def _notes(named: str, tracks: Tracks) -> Iterator[str]:
    if tracks.are_key_frames:
        yield (
            f"{named} has key frames alone: shapes between them are moved as CVAT does, and held up to the "
            "last frame of the task"
        )
    if tracks.doubtful:
        yield (
            f"{named}: nothing says whether the shapes of frames {shorten(map(str, tracks.doubtful))} go on "
            "up to the last frame; they label their own frame alone"
        )


def write_cvat_video(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write VIDEO/annotations.xml: every mask is a track that ends a step later, as CVAT writes it.

    Frames have their number in a video file; of a folder of pictures, the number in their names, by which
    they are found again.

    Raises:
        DatasetError: Names of frames have no numbers, or the same ones, or XML cannot hold the name of a
            class.
    """
    videos = {video.name: video for video in labelled.videos}
    numbers = {name: _numbers(videos[name], labelled.numbers[name]) for name in labelled.numbers}
    for name, frames in groupby(labelled.frames(), key=lambda frame: frame.video):
        folder = dest / name
        folder.mkdir(parents=True)
        with (folder / "annotations.xml").open("w", encoding="utf-8", newline="\n") as file:
            _write(file, labelled, videos[name], frames, options, numbers=numbers[name])
    told = "files of CVAT for video have no split: all frames are in the file of their video"
    return [told] if options.split else []


def _numbers(video: Video, frames: Sequence[int]) -> dict[int, int]:
    """Return the numbers that CVAT's file has for frames."""
    if video.container is not None:
        return {frame: frame for frame in frames}
    named = [last_number(stem) for stem in video.stems]
    for stem, number in zip(video.stems, named, strict=True):
        if number is None or named.count(number) > 1:
            same = "a number of its own" if number is not None else "a number of up to nine digits"
            raise DatasetError(
                f"the video {video.name!r} has a frame called {stem!r}; expected {same} at its end, as CVAT "
                "for video counts frames; export it as cvat-images, which names them"
            )
    return {frame: named[frame] or 0 for frame in frames}


def _write(
    file: TextIO,
    labelled: Exported,
    video: Video,
    frames: Iterable[ExportedFrame],
    options: ExportOptions,
    *,
    numbers: dict[int, int],
) -> None:
    """Write the file of a video; its size is blotted out again if frames of other sizes follow."""
    found = sorted(numbers.values())
    first, last = found[0], found[-1]
    step = math.gcd(*(number - first for number in found)) or 1
    entries = {
        "name": video.name,
        "size": (last - first) // step + 1,
        "mode": "interpolation",
        "start_frame": first,
        "stop_frame": last,
        "frame_filter": f"step={step}" if step > 1 else "",
        "source": video.container.name if video.container else "",
    }
    sizes: list[tuple[int, int]] = []
    count = 0
    for frame in frames:
        if not sizes:
            file.write(written_meta(labelled.classes, entries, size=frame.size))
        if frame.size not in sizes:
            sizes.append(frame.size)
        number = numbers[frame.number]
        for position, mask in masks_of(frame.labels(), instances=options.instances):
            label = attributes(id=count, label=labelled.classes.names[position], source="manual")
            file.write(f"<track {label}>\n")
            file.write(f'<mask frame="{number}" keyframe="1" outside="0" {mask} {_REST}></mask>\n')
            if number + step < last:
                file.write(f'<mask frame="{number + step}" keyframe="1" outside="1" {mask} {_REST}></mask>\n')
            file.write("</track>\n")
            count += 1
        if options.pictures:
            frame.write_picture(
                Path(file.name).parent / "images" / f"frame_{number:06d}{Path(frame.picture_name).suffix}"
            )
    file.write("</annotations>\n")
    if len(sizes) > 1:
        element = size_element(sizes[0])
        before, _, _ = written_meta(labelled.classes, entries, size=sizes[0]).partition(element)
        file.seek(len(before.encode()))
        file.write(" " * len(element))


IMPORT_CVAT_VIDEO = Importer(
    read=read_cvat_video,
    about='"CVAT for video 1.1": annotations.xml of a video, or a folder or zip of VIDEO/annotations.xml',
    keeps=(
        "labels with colours; tracks of masks, polygons, boxes and ellipses; key frames alone are filled as "
        "CVAT does"
    ),
    loses="which things are the same over time, attributes; polylines, points and skeletons have no area",
)
EXPORT_CVAT_VIDEO = Exporter(
    write=write_cvat_video,
    about='"CVAT for video 1.1": VIDEO/annotations.xml, masks as tracks of one frame',
    keeps="labels, void (no shape), class names and colours",
    loses="ids of classes; names of frames but for their numbers",
    lossless=True,
)
