"""Read CamVid with all of its 32 labels, after `warprefine convert camvid32` has turned colours into ids.

Brostow, Fauqueur and Cipolla, Pattern Recognition Letters 2009. Void, black, is one of the 32.
"""

from __future__ import annotations

import re
from pathlib import Path
from reprlib import repr as short_repr

from warprefine.core.classes import VOID_COLOR, ClassSet
from warprefine.core.errors import DatasetError, LabelError
from warprefine.core.video import Dataset
from warprefine.datasets.converted import read_converted
from warprefine.io.text import read_text

CAMVID32_CLASSES = ClassSet(
    names=(
        "Animal", "Archway", "Bicyclist", "Bridge", "Building", "Car", "CartLuggagePram", "Child",
        "Column_Pole", "Fence", "LaneMkgsDriv", "LaneMkgsNonDriv", "Misc_Text", "MotorcycleScooter",
        "OtherMoving", "ParkingBlock", "Pedestrian", "Road", "RoadShoulder", "Sidewalk", "SignSymbol",
        "Sky", "SUVPickupTruck", "TrafficCone", "TrafficLight", "Train", "Tree", "Truck_Bus", "Tunnel",
        "VegetationMisc", "Wall",
    ),
    colors=(
        (64, 128, 64), (192, 0, 128), (0, 128, 192), (0, 128, 64), (128, 0, 0), (64, 0, 128),
        (64, 0, 192), (192, 128, 64), (192, 192, 128), (64, 64, 128), (128, 0, 192), (192, 0, 64),
        (128, 128, 64), (192, 0, 192), (128, 64, 64), (64, 192, 128), (64, 64, 0), (128, 64, 128),
        (128, 128, 192), (0, 0, 192), (192, 128, 128), (128, 128, 128), (64, 128, 192), (0, 0, 64),
        (0, 64, 64), (192, 64, 128), (128, 128, 0), (192, 128, 192), (64, 0, 64), (192, 192, 0),
        (64, 192, 0),
    ),
)  # fmt: skip

SPLITS = ("train", "val", "test")


def read_camvid32(root: Path, split: str) -> Dataset:
    """Read "train", "val" or "test"; each picture is a video of one key frame.

    Raises:
        DatasetError: The split does not exist, or its conversion is missing or incomplete.
    """
    return read_converted(root, split, name="camvid32", splits=SPLITS)


def split_of(stem: str) -> str:
    """Return the split of a picture in SegNet's division, after Sturgess et al. (BMVC 2009).

    Train, val and test hold 367, 101 and 233 of the 701 pictures: the first half of drive 0001TP, 0006R0
    and the frames of 0016E5 that are a second apart; the fast part of 0016E5; Seq05VD and the rest.

    Raises:
        DatasetError: The picture is of no drive of CamVid.

    Example:
        >>> split_of("0001TP_006690"), split_of("0016E5_07959"), split_of("Seq05VD_f00000")
        ('train', 'val', 'test')
    """
    named = re.fullmatch(r"(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)", stem)
    if named is None:
        raise DatasetError(
            f"picture {stem} is of no drive of CamVid (0001TP, 0006R0, 0016E5, Seq05VD), so its "
            f"split is unknown; name the pictures of each split with --lists"
        )
    drive, number = named[1], int(named[2])
    if drive == "Seq05VD" or (drive == "0001TP" and number >= 8550):
        return "test"
    return "val" if drive == "0016E5" and number in range(7959, 8160, 2) else "train"


def read_label_colors(path: Path) -> ClassSet:
    """Read a class set from label_colors.txt, lines "R G B name"; black is VOID.

    Raises:
        DatasetError: A line is not of that form, or a name or colour occurs twice.
    """
    named: dict[tuple[int, int, int], str] = {}
    text = read_text(path, expected="lines of R G B and a name", error_class=DatasetError)
    for number, line in enumerate(text.splitlines(), start=1):
        parts = re.fullmatch(r"\s*(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+(\S+)\s*", line)
        if parts is None and line.strip():
            raise DatasetError(f"{path}, line {number}: found {short_repr(line)}; expected R G B and a name")
        if parts:
            color = int(parts[1]), int(parts[2]), int(parts[3])
            if color in named or max(color) > 255:
                raise DatasetError(
                    f"{path}, line {number}: {color} of {parts[4][:40]} is taken or no colour; give each "
                    f"label one of its own, 0 to 255"
                )
            named[color] = parts[4]
    named.pop(VOID_COLOR, None)
    try:
        return ClassSet(names=tuple(named.values()), colors=tuple(named))
    except LabelError as error:
        raise DatasetError(f"{path}: {error}") from error
