"""Read videos of labels, each pixel the value or the colour of its class, as long as nothing is smeared.

A video has no names of frames: it has a frame for each frame of the video that it labels. Grey videos hold
values, all others colours. Codecs that lose something are refused: they mix the values of neighbours, and a
mean of two classes may be a third one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from av.codec import Codec
from numpy.typing import NDArray

from warprefine.core.classes import VOID_COLOR, Color
from warprefine.core.errors import DatasetError, LabelError, shorten
from warprefine.datasets.class_file import read_classes
from warprefine.datasets.files import VIDEO_ENDINGS
from warprefine.interchange.color_png import read_palette
from warprefine.interchange.format import Importer
from warprefine.interchange.imported import (
    NO_LABEL,
    ClassList,
    FileClass,
    Imported,
    ImportedFrame,
    ImportOptions,
    Positions,
)
from warprefine.interchange.pixels import check_values, positions_of_picture, table_of_colors, value_table
from warprefine.interchange.records import read_json_file, records
from warprefine.interchange.source import Source
from warprefine.io.video_file import VideoFile
from warprefine.io.video_stream import turn_of

_LISTS = ("classes.json", "classes.toml", "label_colors.txt", "labelmap.txt", "class_dict.csv")
_LOSSY = 1 << 1  # FFmpeg's AV_CODEC_PROP_LOSSY
_EXPECTED = "a list of classes, each with a name and a color"


@dataclass(frozen=True, kw_only=True)
class _Classes:
    """The classes, the value of each in grey videos, further values of void, and what lists them."""

    found: list[FileClass]
    values: list[int]
    void: list[int]
    listed: str


def read_video(source: Source, options: ImportOptions) -> Imported:
    """Read videos of labels; each has a frame for each frame of the video of its name, or of `--video`.

    Raises:
        DatasetError: There is no video, or nothing names the classes.
        FrameError: A video cannot be read.
        LabelError: A video is coded with losses, or has no colours that are listed.
    """
    files = source.with_ending(*VIDEO_ENDINGS)
    if not files:
        raise DatasetError(
            f"{source.path} holds {shorten(map(source.shown, source.files)) or 'nothing'}; expected a video "
            "of labels, such as labels.mkv, and classes.json"
        )
    if options.video is not None:
        files = (source.only(files, expected="one video, as --video names one"),)
    classes = _classes(source, options)
    frames: list[ImportedFrame] = []
    for path in files:
        video = source.closing.enter_context(closing(VideoFile(path)))
        read = _reader(video, classes, named=source.shown(path))
        frames.extend(
            ImportedFrame(
                where=f"{source.shown(path)}, frame {number}",
                video=options.video or path.stem,
                place=(number, len(video)),
                draw=partial(_draw, read, number),
            )
            for number in range(len(video))
        )
    return Imported(classes=classes.found, frames=frames)


def _draw(read: Callable[[int], Positions], number: int, size: tuple[int, int]) -> Positions:
    del size
    return read(number)


def _classes(source: Source, options: ImportOptions) -> _Classes:
    """Return the classes of `--names`, of a list beside the video, or of the project."""
    project = options.project
    if options.names:
        names = ClassList(where="--names")
        for name in options.names:
            names.add(name)
        return _in_order(names.found, "--names")
    for name in _LISTS:
        for path in [one for one in source.below(source.root) if one.name.lower() == name][:1]:
            named = source.shown(path)
            if name == "classes.json":
                return _in_order(_listed(path, named), named)
            if name == "classes.toml":
                own = read_classes(path)
                found = _of_project(own.names, own.colors)
                return _Classes(found=found, values=[*own.ids], void=[*own.void_ids], listed=named)
            return _in_order(read_palette(path, named=named), named)
    if project is not None:
        # The values are positions: nothing says that a video has the ids of this project.
        return _in_order(_of_project(project.names, project.colors), "classes.toml")
    raise DatasetError(
        f"{source.path} has no file that names the classes; expected one of {', '.join(_LISTS)} beside the "
        "video; say --names road,car,... in the order of the values"
    )


def _in_order(found: list[FileClass], listed: str) -> _Classes:
    return _Classes(found=found, values=[*range(len(found))], void=[], listed=listed)


def _of_project(names: tuple[str, ...], colors: tuple[Color, ...]) -> list[FileClass]:
    return [FileClass(name=name, color=color) for name, color in zip(names, colors, strict=True)]


def _listed(path: Path, named: str) -> list[FileClass]:
    """Return the classes of classes.json: [{"name": "road", "color": [128, 64, 128]}, ...]."""
    content = read_json_file(path, expected=_EXPECTED)
    if isinstance(content, dict):
        content = content.get("classes")
    if not isinstance(content, list):
        raise DatasetError(f"{named} holds a {type(content).__name__}; expected {_EXPECTED}; write one")
    classes = ClassList(where=named, void_names=NO_LABEL)
    for record in records(content, named):
        color = None
        if record.has("color"):
            parts = record.listed("color")
            if len(parts) != 3 or not all(type(part) is int and 0 <= part <= 255 for part in parts):
                record.refuse(f"has color = {str(parts)[:40]}; expected three numbers from 0 to 255")
            color = (parts[0], parts[1], parts[2])
        classes.add(record.text("name"), color=color)
    return classes.found


def _reader(video: VideoFile, classes: _Classes, *, named: str) -> Callable[[int], Positions]:
    """Return what reads the label map of a frame of a video, by values or by colours."""
    first = video.decoded(0).format
    codec = Codec(video.codec, "r")
    smeared = bool(int(codec.properties) & _LOSSY)
    if first.name.startswith("gray") and "f" not in first.name:  # not of floating-point numbers
        if smeared:
            raise LabelError(
                f"{named} is grey in {codec.name}, which may mix the values of neighbours; expected a "
                "codec that loses nothing; export it in FFV1"
            )
        table = value_table(classes.values, void=classes.void)
        return partial(_by_value, video, table, named, classes.listed)
    colors = [VOID_COLOR if one.color is None and one.is_void else one.color for one in classes.found]
    known = [color for color in colors if color is not None]
    if len(known) < len(colors):
        raise LabelError(
            f"{named} is in colours, but {classes.listed} does not list the colour of each class; expected "
            "classes.json with name and color of each; write one, or export values in grey FFV1"
        )
    of_colors = table_of_colors([one.name for one in classes.found], known, listed=classes.listed)
    return partial(_by_color, video, of_colors, named, classes.listed)


def _by_value(video: VideoFile, table: NDArray[np.int32], named: str, listed: str, number: int) -> Positions:
    frame = video.decoded(number)
    values = np.asarray(frame.to_ndarray(), np.uint16)
    return check_values(turn_of(frame)(values), table, named=f"{named}, frame {number},", listed=listed)


def _by_color(video: VideoFile, table: NDArray[np.int16], named: str, listed: str, number: int) -> Positions:
    frame = video.decoded(number)
    colors = turn_of(frame)(frame.to_ndarray(format="rgb24"))
    return positions_of_picture(
        np.ascontiguousarray(colors), table, named=f"{named}, frame {number},", listed=listed
    )


IMPORT_VIDEO = Importer(
    read=read_video,
    about="a video of labels with classes.json: grey values or colours without losses (FFV1); --video",
    keeps="labels, class names and colours; 255 or black is void",
    loses="ids; names of frames: it has a frame for each of the video",
)
