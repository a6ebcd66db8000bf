"""Write the data sets of the paper in small, in their published layouts; label maps are pictures, too."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from warprefine.datasets.class_file import write_classes
from warprefine.datasets.nyuv2 import NYUV2_CLASSES
from warprefine.datasets.street import write_street
from warprefine.io.images import write_frame

CITIES = (
    "aachen", "bochum", "bremen", "cologne", "darmstadt", "dusseldorf", "erfurt", "hamburg", "hanover",
    "jena", "krefeld", "monchengladbach", "strasbourg", "stuttgart", "tubingen", "ulm", "weimar", "zurich",
)  # fmt: skip
SNIPPET = range(9, 30)


def write_pictures(paths: Iterable[Path]) -> None:
    """Write the same picture of 32 x 48 pixels everywhere."""
    first: Path | None = None
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        if first is None:
            write_frame(path, torch.zeros(1, 3, 32, 48, dtype=torch.uint8))
            first = path
        else:
            shutil.copyfile(first, path)


def write_cityscapes(root: Path) -> None:
    """A snippet of each city of train, a labelled picture of two of val and test, one of train_extra."""
    paths = []
    parts = {
        "train": CITIES,
        "val": ("frankfurt", "lindau", "munster"),
        "test": ("berlin",),
        "train_extra": ("wuppertal",),
    }
    for part, cities in parts.items():
        for city in cities:
            place, name = f"{part}/{city}", f"{city}_000000_000019"
            paths.append(root / "leftImg8bit" / place / f"{name}_leftImg8bit.png")
            kind = "gtCoarse" if part == "train_extra" else "gtFine"
            paths.append(root / kind / place / f"{name}_{kind}_labelIds.png")
            if part in ("train", "val"):
                stem = f"leftImg8bit_sequence/{place}/{city}_000000"
                paths += [root / f"{stem}_{number:06d}_leftImg8bit.png" for number in SNIPPET]
    write_pictures(paths)


def write_kitti(root: Path) -> None:
    """Eight labelled scenes of 21 frames, and one to test."""
    paths = [root / f"testing/image_2/000000_{frame:02d}.png" for frame in range(21)]
    for scene in range(8):
        paths += [root / f"training/image_2/{scene:06d}_{frame:02d}.png" for frame in range(21)]
        paths.append(root / f"training/semantic/{scene:06d}_10.png")
    write_pictures(paths)


def write_apolloscape(root: Path) -> None:
    """Two records, each a partition of 21 labelled frames."""
    paths = []
    for record in ("Record001", "Record002"):
        for number in range(21):
            stem = f"170908_{61502408 + 400 * number:09d}_Camera_5"
            paths.append(root / f"road01_ins/ColorImage/{record}/Camera 5/{stem}.jpg")
            paths.append(root / f"road01_ins/Label/{record}/Camera 5/{stem}_bin.png")
    write_pictures(paths)


def write_nyuv2(root: Path) -> None:
    """What `warprefine convert nyuv2` writes: two clips of 13 frames, and a labelled picture to test."""
    paths = []
    for split, clips, length, key in (("train", "ab", 13, 6), ("test", "c", 1, 0)):
        for clip in clips:
            folder = root / split / "videos" / clip
            paths += [folder / "frames" / f"{number:06d}.jpg" for number in range(length)]
            paths.append(folder / "labels" / f"{key:06d}.png")
    write_pictures(paths)
    for split in ("train", "test"):
        write_classes(root / split / "classes.toml", NYUV2_CLASSES)


def write_camvid(root: Path) -> None:
    """Its 367 labelled pictures to train on, one to test, and a clip of 63 labelled frames."""
    paths = []
    for split, count in (("train", 367), ("test", 1), ("clip15hz", 63)):
        for kind in ("images", "labels"):
            paths += [root / split / kind / f"{number:04d}.png" for number in range(count)]
    write_pictures(paths)


def write_streets(root: Path) -> None:
    """The splits of the procedural street, smaller."""
    for number, (split, step) in enumerate((("train", 21), ("test", 3), ("coarse", 3))):
        start = 10 if split == "train" else 0
        write_street(root / split, videos=1, length=21, start=start, step=step, h=32, w=48, seed=number)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "cityscapes": write_cityscapes,
    "kitti": write_kitti,
    "apolloscape": write_apolloscape,
    "nyuv2": write_nyuv2,
    "camvid": write_camvid,
    "street": write_streets,
}
"""Writes a data set, by its reader."""
