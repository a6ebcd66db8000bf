"""Read ApolloScape scene parsing: partitions of 21 consecutive frames, the middle one a key frame.

Huang et al., The ApolloScape Open Dataset (PAMI 2019); partitions as in Warp-Refine Propagation
(ICCV 2021), section 4.1 and supplement C.2. Two layouts are read:

    ROOT/ROAD/ColorImage/RECORD/CAMERA/STAMP.jpg and ROOT/ROAD/Label/RECORD/CAMERA/STAMP_bin.png
    ROOT/ColorImage/ROAD/RECORD/CAMERA/STAMP.jpg and ROOT/Label/ROAD/RECORD/CAMERA/STAMP_bin.png

such as ROOT/road01_ins/ColorImage/Record001/Camera 5/170908_061502408_Camera_5.jpg.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, KeyFrameError, WarpRefineError, shorten
from warprefine.core.video import Dataset, Video
from warprefine.datasets.apolloscape_split import RecordSplit, choose_part, divide_records, write_record_split
from warprefine.datasets.files import existing_folder, frames_in, is_litter, visible

APOLLOSCAPE_CLASSES = ClassSet(
    names=(
        "sky", "car", "motorbicycle", "bicycle", "person", "rider", "truck", "bus", "tricycle",
        "road", "sidewalk", "traffic cone", "road pile", "fence", "traffic light", "pole",
        "traffic sign", "wall", "dustbin", "billboard", "building", "vegetation",
    ),
    colors=(
        (70, 130, 180), (0, 0, 142), (0, 0, 230), (119, 11, 32), (0, 128, 192), (128, 64, 128),
        (128, 0, 192), (192, 0, 64), (128, 128, 192), (192, 128, 192), (192, 128, 64), (0, 0, 64),
        (0, 0, 192), (64, 64, 128), (192, 64, 128), (192, 128, 128), (0, 64, 64), (192, 192, 128),
        (64, 0, 192), (192, 0, 192), (192, 0, 128), (128, 128, 64),
    ),
    file_ids=(17, *range(33, 41), 49, 50, 65, 66, 67, *range(81, 87), 97, 113),
    # Groups of objects too close to separate: 161 is a group of cars.
    merged_ids=((), *((number,) for number in range(161, 169)), *((),) * 13),
    # others, the recording car itself; bridge, tunnel and overpass, which are too rare to be scored
    void_ids=(0, 1, 98, 99, 100),
)  # fmt: skip

LENGTH = 21
"""Frames of a partition."""
KEY_FRAME = LENGTH // 2
"""Position of the key frame in a partition."""

_LABEL_ENDING = "_bin.png"

_WITHOUT_SKY = ("road02", "road03", "road04")
"""Roads in whose published label maps the sky is 255, as is reported of them."""


@dataclass(frozen=True, kw_only=True)
class Drive:
    """The frames of one camera on one drive; `record` names the drive, `labels` has label maps by stem."""

    name: str
    record: str
    frames: tuple[Path, ...]
    labels: Mapping[str, Path]

    @property
    def road(self) -> str:
        """The road, without the kind of its labels."""
        return self.record.rpartition("/")[0]


def read_apolloscape(root: Path, split: str) -> Dataset:
    """Read ApolloScape, every drive cut into partitions of 21 frames; the remainder at its end is dropped.

    The middle frame of a partition is its key frame, the labels of all others are truth. Videos are
    named after road, record, camera and partition: road01_ins-Record001-Camera_5-000.

    Args:
        split: "all"; "train" or "val", which have no record in common; "val-frames", in which every
            labelled frame of "val" is a video of one key frame. "-seed3" after the last three divides the
            records by another seed than 0, "@FILE" by a file of `warprefine split apolloscape`.

    Raises:
        DatasetError: The folder is not ApolloScape, the split does not exist, or its file is invalid.
        KeyFrameError: No partition has a label map for its key frame.
    """
    drives = find_drives(root)
    part = choose_part(split, _frame_counts(drives))
    videos: list[Video] = []
    broken: dict[str, WarpRefineError] = {}
    chosen = [drive for drive in drives if drive.record in part.records]
    for drive in chosen:
        for name, frames in _partitions(drive):
            labels = _labels(frames, drive.labels)
            if part.single_frames:
                videos += _single_frames(name, frames, labels)
            elif KEY_FRAME in labels:
                videos.append(_partition(name, frames, labels))
            else:
                broken[name] = KeyFrameError(
                    f"{frames[KEY_FRAME]} is the key frame of a partition but has no label map; expected "
                    f"{frames[KEY_FRAME].stem}{_LABEL_ENDING} in the same place below Label"
                )
    if broken and not videos:
        raise next(iter(broken.values()))
    notes = tuple(_notes(chosen))
    return Dataset(root=root, classes=APOLLOSCAPE_CLASSES, videos=tuple(videos), broken=broken, notes=notes)


def write_apolloscape_split(root: Path, out: Path, *, seed: int = 0) -> RecordSplit:
    """Divide the records below `root` by a seed and write the division to `out`, for "train@OUT".

    Raises:
        DatasetError: The folder is not ApolloScape.
    """
    split = divide_records(_frame_counts(find_drives(root)), seed=seed)
    write_record_split(out, split)
    return split


def find_drives(root: Path) -> list[Drive]:
    """List the frames and label maps of every drive and camera, in the order of their names.

    Raises:
        DatasetError: There is no ColorImage, it holds no pictures, or two folders are the same drive.
    """
    existing_folder(root, expected="a folder of ApolloScape")
    cameras = [
        (pictures, camera)
        for depth in ("", "*/", "*/*/")
        for pictures in root.glob(f"{depth}ColorImage")
        for inside in ("Record*/Camera*", "*/Record*/Camera*")
        for camera in pictures.glob(inside)
        if camera.is_dir() and not any(map(is_litter, camera.relative_to(root).parts))
    ]
    if not cameras:
        raise DatasetError(
            f"{root} holds no drives of ApolloScape: found {shorten(entry.name for entry in visible(root))}; "
            f"expected ROAD/ColorImage/Record001/Camera 5 or ColorImage/ROAD/Record001/Camera 5"
        )
    drives: dict[str, Drive] = {}
    for pictures, camera in cameras:
        drive = _drive(pictures, camera)
        if drive.name in drives:
            raise DatasetError(
                f"{camera} and {drives[drive.name].frames[0].parent} are the same drive; keep one of them"
            )
        drives[drive.name] = drive
    return [drives[name] for name in sorted(drives)]


def _drive(pictures: Path, camera: Path) -> Drive:
    inside = camera.relative_to(pictures)
    roads = inside.parts[:-2] or (pictures.absolute().parent.name,)
    record, name = inside.parts[-2], camera.name.replace(" ", "_")
    # road02_ins and road02_seg are one road with two kinds of labels: their records belong together.
    road = re.sub("_(ins|seg)$", "", roads[0])
    folder = pictures.with_name("Label") / inside
    files = visible(folder) if folder.is_dir() else []
    return Drive(
        name="-".join((*roads, record, name)),
        record=f"{road}/{record}",
        frames=tuple(frames_in(camera)),
        labels={
            path.name.removesuffix(_LABEL_ENDING): path for path in files if path.name.endswith(_LABEL_ENDING)
        },
    )


def _frame_counts(drives: Sequence[Drive]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for drive in drives:
        counts[drive.record] += len(drive.frames)
    return counts


def _partitions(drive: Drive) -> Iterator[tuple[str, tuple[Path, ...]]]:
    for number in range(len(drive.frames) // LENGTH):
        yield f"{drive.name}-{number:03d}", drive.frames[number * LENGTH : (number + 1) * LENGTH]


def _labels(frames: Sequence[Path], maps: Mapping[str, Path]) -> dict[int, Path]:
    return {number: maps[frame.stem] for number, frame in enumerate(frames) if frame.stem in maps}


def _partition(name: str, frames: Sequence[Path], labels: Mapping[int, Path]) -> Video:
    return Video(
        name=name,
        stems=tuple(frame.stem for frame in frames),
        frame_paths=tuple(frames),
        labels={KEY_FRAME: labels[KEY_FRAME]},
        truth={number: path for number, path in labels.items() if number != KEY_FRAME},
    )


def _single_frames(name: str, frames: Sequence[Path], labels: Mapping[int, Path]) -> Iterator[Video]:
    for number, path in labels.items():
        frame = frames[number]
        yield Video(name=f"{name}-{number:02d}", stems=(frame.stem,), frame_paths=(frame,), labels={0: path})


def _notes(drives: Sequence[Drive]) -> Iterator[str]:
    without_sky = sorted({drive.road for drive in drives} & {*_WITHOUT_SKY})
    if without_sky:
        yield (
            f"in the published label maps of {', '.join(without_sky)} the sky is 255, which is void: there "
            "it is neither learned nor scored"
        )
    frames = [frame for drive in drives for frame in drive.frames]
    left_over = sum(len(drive.frames) % LENGTH for drive in drives)
    if left_over:
        yield f"{left_over} of {len(frames)} frames fill no partition of {LENGTH} and are left out"
    unlabelled = sum(frame.stem not in drive.labels for drive in drives for frame in drive.frames)
    if unlabelled:
        yield f"{unlabelled} of {len(frames)} frames have no label map STEM{_LABEL_ENDING} below Label"
