"""Match the frames that an export names with those of videos: by path and by decode index, never by guess."""

from __future__ import annotations

import re
from collections.abc import Sequence

from warprefine.core.errors import DatasetError, KeyFrameError, shorten
from warprefine.core.names import nearest_name, printable
from warprefine.core.video import Video
from warprefine.datasets.file_names import FrameNames, normal_form
from warprefine.datasets.files import PICTURE_ENDINGS, VIDEO_ENDINGS
from warprefine.interchange.imported import ImportedFrame

_GENERIC = frozenset(
    [
        "frames",
        "frame",
        "images",
        "image",
        "img",
        "imgs",
        "img_dir",
        "pictures",
        "picture",
        "data",
        "dataset",
        "datasets",
        "videos",
        "video",
        "train",
        "training",
        "val",
        "valid",
        "validation",
        "test",
        "default",
        "all",
        "jpegimages",
        "segmentationclass",
        "segmentationobject",
        "labels",
        "label",
        "masks",
        "mask",
        "annotations",
        "annotation",
        "ann",
        "ann_dir",
        "gt",
        "gtfine",
        "leftimg8bit",
        "upload",
        "uploads",
        "files",
        "input",
        "export",
        "obj_train_data",
        "obj_validation_data",
    ]
)
"""Folders of layouts, which name no video."""
_SEPARATORS = ("__", "_", "-")
_NUMBER = re.compile(r"(\d+)\D*")
_MOST_DIGITS = 9
_OF_VIDEO = re.compile(r"frame_(\d{1,9})(\.\w{1,5})?", re.ASCII)


class FrameMatcher:
    r"""Finds the frame of a video that an export means.

    A name fits as VIDEO/STEM, VIDEO/frames/STEM, VIDEO__STEM, VIDEO_STEM and VIDEO-STEM, with blanks as
    underscores or not, with any ending; and as STEM, where only one video has such a frame. A name that fits
    none may be what CVAT calls a frame of a video, frame_000003, which has the decode index.

    Args:
        videos: The videos that frames may be of.
        video: The only one that is meant (`--video`); None if names decide.

    Raises:
        DatasetError: No video is called `video`.

    Example:
        >>> from pathlib import Path
        >>> videos = [Video(name="drive", stems=["000", "001"], container=Path("drive.mp4"))]
        >>> matcher = FrameMatcher(videos)
        >>> frame = ImportedFrame(where="a.json", draw=lambda size: None, name="img\\drive_001.png")
        >>> video, number = matcher.find(frame)
        >>> video.name, number
        ('drive', 1)
    """

    def __init__(self, videos: Sequence[Video], *, video: str | None = None) -> None:
        self._only = video is not None
        if video is not None:
            names = [one.name for one in videos]
            videos = [one for one in videos if normal_form(one.name) == normal_form(video)]
            if not videos:
                raise DatasetError(f"--video names {video!r}, which is none; {nearest_name(video, names)}")
        self._videos = {one.name: one for one in videos}
        self._frames = {name: FrameNames(one.stems) for name, one in self._videos.items()}
        self._underscored = {
            name: FrameNames([_underscored(stem) for stem in one.stems])
            for name, one in self._videos.items()
            if any(" " in stem for stem in one.stems)
            and len({_underscored(stem) for stem in one.stems}) == len(one.stems)
        }

    def find(self, frame: ImportedFrame) -> tuple[Video, int]:
        """Return the video of a frame, and its number there.

        Raises:
            KeyFrameError: There is no such frame, or more than one.
        """
        for name in (frame.name, *frame.also):
            found = self._by_name(name, frame) if name else set()
            if len(found) == 1:
                video, number = found.pop()
                return self._videos[video], number
            if found:
                raise self._several(frame, name, found)
        last = [name_parts(name)[-1:] for name in (frame.name, *frame.also)]
        numbers = (frame.index, *(frame_number(name) for names in last for name in names))
        if (index := next((one for one in numbers if one is not None), None)) is not None:
            return self._by_index(frame, index)
        if frame.place is not None:
            return self._by_place(frame, *frame.place)
        raise self._unknown(frame)

    def _by_name(self, name: str, frame: ImportedFrame) -> set[tuple[str, int]]:
        """Return the frames that a name may mean."""
        *folders, last = name_parts(name) or [""]
        stems = stems_of(last)
        if enclosing := self._enclosing([frame.video or "", *folders]):
            numbers = {self._number(enclosing, stem) for stem in stems[:1]} - {None}
            numbers = numbers or {self._number(enclosing, stem) for stem in stems} - {None}
            found = {(enclosing, number) for number in numbers if number is not None}
            return found or self._prefixed(stems, [enclosing])
        if found := self._prefixed(stems, list(self._videos)):
            return found | self._bare(stems)
        foreign = [part for part in folders if part.lower() not in _GENERIC] or frame.video
        return set() if foreign and not self._only else self._bare(stems)

    def _enclosing(self, folders: Sequence[str]) -> str | None:
        """Return the video that the innermost of some folders names, if one does."""
        for folder in reversed(folders):
            for form in (normal_form, _underscored):
                wanted = {form(folder), form(_without_ending(folder, VIDEO_ENDINGS))}
                named = [name for name in self._videos if form(name) in wanted]
                if len(named) == 1:
                    return named[0]
        return None

    def _prefixed(self, stems: Sequence[str], videos: Sequence[str]) -> set[tuple[str, int]]:
        """Return the frames of names that begin with the name of their video."""
        found: set[tuple[str, int]] = set()
        for video in videos:
            begins = {
                form(video) + between for form in (normal_form, _underscored) for between in _SEPARATORS
            }
            for stem in stems:
                rests = {stem[len(begin) :] for begin in begins if stem.startswith(begin)}
                numbers = {self._number(video, rest) for rest in rests if rest}
                found |= {(video, number) for number in numbers if number is not None}
        return found

    def _number(self, video: str, stem: str) -> int | None:
        """Return the number of the frame that has a name, as it is or with blanks as underscores."""
        number = self._frames[video].number(stem)
        if number is None and video in self._underscored:
            return self._underscored[video].number(_underscored(stem))
        return number

    def _bare(self, stems: Sequence[str]) -> set[tuple[str, int]]:
        numbers = {(name, self._number(name, stem)) for name in self._frames for stem in stems[:1]}
        found = {(name, number) for name, number in numbers if number is not None}
        if not found:
            numbers = {(name, self._number(name, stem)) for name in self._frames for stem in stems}
            found = {(name, number) for name, number in numbers if number is not None}
        return found

    def _by_index(self, frame: ImportedFrame, index: int) -> tuple[Video, int]:
        video = self._video_of(frame, index)
        if video.container is not None and 0 <= index < len(video):
            return video, index
        if video.container is None:
            numbers = [number for number, stem in enumerate(video.stems) if last_number(stem) == index]
            if len(numbers) == 1:
                return video, numbers[0]
        raise self._unknown(frame, video=video)

    def _by_place(self, frame: ImportedFrame, number: int, count: int) -> tuple[Video, int]:
        video = self._video_of(frame, number)
        if len(video) != count:
            raise KeyFrameError(
                f"{frame.where} is one of {count} frames, but the video {video.name!r} has {len(video)}; "
                "expected one for each frame of the video, as nothing else says which is which; export "
                "all of them"
            )
        return video, number

    def _video_of(self, frame: ImportedFrame, number: int) -> Video:
        """Return the video of a frame that has a number in place of a name."""
        *folders, _ = name_parts(frame.name) or [""]
        named = self._enclosing([frame.video or "", *folders])
        if named is None and (len(self._videos) > 1 or (frame.video and not self._only)):
            what = f"of the video {frame.video!r}" if frame.video else "without the name of a video"
            raise KeyFrameError(
                f"{frame.where} is frame {number} {what}; expected one of {shorten(self._videos)}; say "
                "--video "
                "NAME"
            )
        return self._videos[named] if named else next(iter(self._videos.values()))

    def _several(self, frame: ImportedFrame, name: str, found: set[tuple[str, int]]) -> KeyFrameError:
        listed = shorten(f"{video}/{self._videos[video].stems[number]}" for video, number in sorted(found))
        return KeyFrameError(
            f"{frame.where} is called {_shown(name)}, which may be {listed}; expected the name of one frame; "
            "say "
            "--video NAME, or put the video before the name in the file: VIDEO/STEM"
        )

    def _unknown(self, frame: ImportedFrame, *, video: Video | None = None) -> KeyFrameError:
        name = frame.name or f"frame {frame.index}"
        last = (name_parts(name) or [name])[-1]
        near = [
            f"{one.name}/{stem}"
            for one in ([video] if video else self._videos.values())
            for stem in self._frames[one.name].nearest(_without_ending(last, PICTURE_ENDINGS))[:2]
        ]
        cure = "say --video NAME if that is the video" if not self._only else "name frames as in the videos"
        return KeyFrameError(
            f"{frame.where} is called {_shown(name)}, which is no frame of {shorten(self._videos)}; the "
            "nearest are "
            f"{shorten(near)}; {cure}"
        )


def name_parts(name: str) -> list[str]:
    r"""Return the folders and the file name of a path with either slash, without drive, "." and "..".

    Example:
        >>> name_parts("..\\frames\\000003.png"), name_parts("C:/data/a.png")
        (['frames', '000003.png'], ['data', 'a.png'])
    """
    parts = normal_form(name).replace("\\", "/").split("/")
    if parts and re.fullmatch("[A-Za-z]:", parts[0]):
        parts = parts[1:]
    return [part for part in parts if part not in ("", ".", "..")]


def stems_of(name: str) -> list[str]:
    """Return a file name without the ending of a picture, and then as it is.

    Example:
        >>> stems_of("000003.PNG"), stems_of("7.05")
        (['000003', '000003.PNG'], ['7.05'])
    """
    return list(dict.fromkeys([_without_ending(name, PICTURE_ENDINGS), name]))


def frame_number(name: str) -> int | None:
    """Return the number in the source video that CVAT's name of a frame has; None if it is no such name.

    CVAT names the frames of a video so in every format that it exports to.

    Example:
        >>> frame_number("frame_000003"), frame_number("frame_000003.PNG"), frame_number("000003.png")
        (3, 3, None)
    """
    match = _OF_VIDEO.fullmatch(name)
    return int(match[1]) if match else None


def last_number(stem: str) -> int | None:
    """Return the last number in a name; None if there is none.

    Example:
        >>> last_number("frame_000012"), last_number("still")
        (12, None)
    """
    found = _NUMBER.findall(stem)
    return int(found[-1]) if found and len(found[-1]) <= _MOST_DIGITS else None


def own_place(frame: ImportedFrame, *, video: str | None) -> tuple[str, str]:
    """Return the video and the stem that the name of a frame has, where there are no videos to match it with.

    Args:
        frame: The frame.
        video: The video that the user has named (`--video`), which then is that of all frames.

    Raises:
        KeyFrameError: The name has no folder that may be a video.
    """
    *folders, last = name_parts(frame.name) or [""]
    named = [folder for folder in folders if folder.lower() not in _GENERIC]
    found = video or (frame.video and _without_ending(frame.video, VIDEO_ENDINGS)) or (named or [""])[-1]
    if not found or not last:
        raise KeyFrameError(
            f"{frame.where} is called {_shown(frame.name)}, without a folder that names its video; expected "
            "VIDEO/STEM; say --video NAME"
        )
    return found, stems_of(last)[0]


def _without_ending(name: str, endings: Sequence[str]) -> str:
    stem, dot, ending = name.rpartition(".")
    return stem if dot and stem and f".{ending.lower()}" in endings else name


def _underscored(name: str) -> str:
    return normal_form(name).replace(" ", "_")


def _shown(name: str) -> str:
    return repr(printable(name)[:200])
