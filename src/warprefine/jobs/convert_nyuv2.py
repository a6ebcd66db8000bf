"""Convert NYU-Depth V2 to data set folders: clips around the labelled frames, and single test frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

from torch import Tensor

from warprefine.core.errors import DatasetError, FrameError, shorten
from warprefine.core.progress import Progress, silent
from warprefine.core.tensors import Frames, size_of
from warprefine.datasets.class_file import write_classes
from warprefine.datasets.files import existing_folder
from warprefine.datasets.nyuv2 import NYUV2_CLASSES, SPLITS
from warprefine.datasets.nyuv2_mat import LabelledFrames, open_labelled_frames
from warprefine.datasets.nyuv2_raw import RawScene, list_raw_scene, raw_stamp, undistorted
from warprefine.io.claims import check_apart
from warprefine.io.images import read_frame, write_frame, write_labels
from warprefine.jobs.convert import claimed, filling


@dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """Settings of clips, by default as in Warp-Refine Propagation (ICCV 2021), section 4.1.

    Args:
        fps: Frames a second.
        reach: Frames on either side of the labelled one, at most.
        border: Pixels cut off on every side, where the Kinect's pictures are white.
        as_they_are: Keep the lens distortion of raw frames; labelled ones are published without it.
    """

    fps: float = 2.0
    reach: int = 10
    border: int = 8
    as_they_are: bool = False

    def __post_init__(self) -> None:
        if not self.fps > 0 or self.reach < 0 or self.border < 0:
            raise DatasetError(
                f"clips of {self.fps:g} frames a second, {self.reach} on either side, a border of "
                f"{self.border} pixels; expected a rate above 0 and no negative numbers"
            )


@dataclass(frozen=True, kw_only=True)
class _Conversion:
    """Inputs and settings of a conversion, and the damaged files found."""

    pictures: LabelledFrames
    raw: Path | None
    clips: ClipSettings
    damaged: list[str] = field(default_factory=list)
    # A scene has several labelled frames, and thousands of raw ones.
    list_scene: Callable[[Path], RawScene] = field(default_factory=lambda: cache(list_raw_scene))


def convert_nyuv2(
    source: Path,
    out: Path,
    *,
    raw: Path | None = None,
    clips: ClipSettings | None = None,
    progress: Progress = silent,
) -> tuple[str, ...]:
    """Write OUT/train and OUT/test as data set folders; return notes on missing data, one line each.

    A clip of train is named after its scene and the number of its labelled frame from 1, has frames
    000000.jpg, 000001.jpg, ..., and a label map for one. Existing videos are kept.

    Args:
        source: Holds the three .mat files.
        raw: Holds the raw videos, RAW/SCENE/r-STAMP-NUMBER.ppm; without it every clip is one frame.
        clips: Settings of clips, if not as in the paper.

    Raises:
        DatasetError: A package, a file or `raw` is missing, or a file is invalid.
        FrameError: A raw frame has another size than the labelled one, or the border leaves nothing.
        RunFolderError: `out` cannot be written, or holds another conversion, or lies in the data.
    """
    clips = clips or ClipSettings()
    check_apart(out, source, *([raw] if raw else []))
    if raw is not None:
        existing_folder(raw, expected="the raw videos of NYU-Depth V2, a folder for each scene")
    with open_labelled_frames(source) as pictures:
        conversion = _Conversion(pictures=pictures, raw=raw, clips=clips)
        with claimed(out, {"dataset": "nyuv2", "raw": raw is not None, **vars(clips)}):
            numbers = dict(zip(SPLITS, (pictures.train, pictures.test), strict=True))
            work = [(split, number) for split in SPLITS for number in numbers[split]]
            for done, (split, number) in enumerate(work, start=1):
                folder = out / split / "videos" / f"{pictures.scenes[number]}-{number + 1:04d}"
                if not folder.exists():
                    _write_clip(folder, conversion, number, single=split == "test")
                progress("Converting NYU-Depth V2", done, len(work))
            for split in SPLITS:
                write_classes(out / split / "classes.toml", NYUV2_CLASSES)
            return tuple(_notes(conversion))


def _write_clip(folder: Path, conversion: _Conversion, number: int, *, single: bool) -> None:
    labelled = conversion.pictures.frame(number)
    before = [] if single else list(_neighbours(conversion, number, labelled, direction=-1))
    after = [] if single else list(_neighbours(conversion, number, labelled, direction=1))
    border = conversion.clips.border
    with filling(folder) as draft:
        for place, frame in enumerate([*reversed(before), labelled, *after]):
            write_frame(draft / "frames" / f"{place:06d}.jpg", _cropped(frame, border))
        labels = _cropped(conversion.pictures.labels(number), border)
        write_labels(draft / "labels" / f"{len(before):06d}.png", labels, NYUV2_CLASSES)


def _neighbours(
    conversion: _Conversion, number: int, labelled: Frames, *, direction: int
) -> Iterator[Frames]:
    """Read the raw frames on one side of a labelled one, nearest first, up to the first gap or damage."""
    if conversion.raw is None:
        return
    clips, raw_name = conversion.clips, conversion.pictures.raw_names[number]
    scene = conversion.list_scene(conversion.raw / PurePosixPath(raw_name).parent)
    paths = scene.neighbours(raw_stamp(raw_name), fps=clips.fps, direction=direction)
    for _, path in zip(range(clips.reach), paths, strict=False):
        try:
            frame = read_frame(path)
        except FrameError as error:  # the raw data were published with some files cut short
            conversion.damaged.append(str(error))
            return
        if frame.shape != labelled.shape:
            raise FrameError(
                f"raw frame {path} is {_size(frame)} (h x w), but the labelled frame is {_size(labelled)}; "
                f"expected the raw pictures as they are published"
            )
        yield frame if clips.as_they_are else undistorted(frame)


def _cropped(values: Tensor, border: int) -> Tensor:
    """Cut `border` pixels off every side of a picture or label map, (..., h, w)."""
    h, w = size_of(values)
    if 2 * border >= min(h, w):
        raise FrameError(
            f"a border of {border} pixels leaves nothing of a picture of {h} x {w} (h x w); choose less"
        )
    return values[..., border : h - border, border : w - border]


def _size(frame: Frames) -> str:
    h, w = size_of(frame)
    return f"{h} x {w}"


def _notes(conversion: _Conversion) -> Iterator[str]:
    if conversion.raw is None:
        yield "no raw videos were given (--raw), so that every clip is the labelled frame alone"
        return
    pictures = conversion.pictures
    wanted = {PurePosixPath(pictures.raw_names[number]).parent.as_posix() for number in pictures.train}
    missing = sorted(name for name in wanted if not (conversion.raw / name).is_dir())
    if missing:
        yield (
            f"{len(missing)} of {len(wanted)} scenes for training have no folder in {conversion.raw}, so "
            f"that their clips are the labelled frame alone: {shorten(missing)}"
        )
    for damage in conversion.damaged:
        yield f"a clip ends before a damaged raw frame: {damage}"
