"""Write small data sets in the layouts in which those of the paper are published, of any frame size.

Their pictures are the procedural street, enlarged. Each has as few clips as its splits need.

Example: python benchmarks/official_layouts.py cityscapes /tmp/cityscapes --size 256x512
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID
from warprefine.datasets.apolloscape import APOLLOSCAPE_CLASSES
from warprefine.datasets.cityscapes_labels import CITYSCAPES_CLASSES
from warprefine.datasets.class_file import write_classes
from warprefine.datasets.nyuv2 import NYUV2_CLASSES
from warprefine.datasets.street import StreetScene
from warprefine.io.images import write_frame, write_labels

OUTDOORS = (
    "sky", "building", "pole", "road", "sidewalk", "vegetation", "traffic sign", "fence", "car", "person",
    "bicycle",
)  # fmt: skip
INDOORS = (
    "ceiling", "wall", "lamp", "floor", "floor mat", "curtain", "picture", "window", "sofa", "person",
    "chair",
)  # fmt: skip
REACH = 3
"""Frames on either side of a key frame."""
_RENDERED = 160
"""Height in pixels at which larger frames are rendered, to be enlarged."""


class Clip:
    """A clip of the street, in the classes and the size of a data set.

    Args:
        seed: Which street.
        size: Height and width in pixels.
        classes: The classes of the data set.
        names: Those that stand for the classes of the street, in their order.
        length: Number of frames.
    """

    def __init__(
        self,
        *,
        seed: int,
        size: tuple[int, int],
        classes: ClassSet,
        names: Sequence[str] = OUTDOORS,
        length: int = 2 * REACH + 1,
    ) -> None:
        self.length, self._size, self._classes = length, size, classes
        scale = max(size[0] / _RENDERED, 1)
        h, w = (round(side / scale) for side in size)
        self._scene = StreetScene(seed=seed, h=h, w=w, length=length)
        self._positions = torch.full((256,), VOID, dtype=torch.uint8)
        self._positions[: len(names)] = torch.tensor([classes.position(name) for name in names])

    def write_frame(self, t: int, path: Path) -> None:
        """Write the picture of a frame."""
        frame = self._scene.frame(t).float()
        large = functional.interpolate(frame, self._size, mode="bilinear", antialias=True)
        write_frame(path, large.round().clamp(0, 255).to(torch.uint8))

    def write_labels(self, t: int, path: Path) -> None:
        """Write the label map of a frame."""
        labels = self._positions[self._scene.labels(t).long()]
        large = functional.interpolate(labels[:, None].float(), self._size, mode="nearest-exact")
        write_labels(path, large[:, 0].to(torch.uint8), self._classes)


def write_cityscapes(root: Path, size: tuple[int, int]) -> None:
    """Three snippets of train and one of val, a picture to test on, and one with coarse labels."""
    parts = {"train": ("aachen", "bochum", "stuttgart"), "val": ("frankfurt",), "test": ("berlin",)}
    places = [(part, city) for part, cities in parts.items() for city in cities]
    for seed, (part, city) in enumerate((*places, ("train_extra", "wuppertal"))):
        clip = Clip(seed=seed, size=size, classes=CITYSCAPES_CLASSES)
        place, name = f"{part}/{city}", f"{city}_000000_000019"
        clip.write_frame(REACH, root / "leftImg8bit" / place / f"{name}_leftImg8bit.png")
        kind = "gtCoarse" if part == "train_extra" else "gtFine"
        if part != "test":
            clip.write_labels(REACH, root / kind / place / f"{name}_{kind}_labelIds.png")
        if part in ("train", "val"):
            for t in range(clip.length):
                stem = f"leftImg8bit_sequence/{place}/{city}_000000_{19 - REACH + t:06d}"
                clip.write_frame(t, root / f"{stem}_leftImg8bit.png")


def write_kitti(root: Path, size: tuple[int, int]) -> None:
    """Four labelled scenes, one for each fold, and one to test on."""
    for scene in range(5):
        clip = Clip(seed=scene, size=size, classes=CITYSCAPES_CLASSES)
        folder, name = ("testing", "000000") if scene == 4 else ("training", f"{scene:06d}")
        for t in range(clip.length):
            clip.write_frame(t, root / folder / "image_2" / f"{name}_{10 - REACH + t:02d}.png")
        if folder == "training":
            clip.write_labels(REACH, root / folder / "semantic" / f"{name}_10.png")


def write_apolloscape(root: Path, size: tuple[int, int]) -> None:
    """Two records, each a partition of 21 labelled frames, one for each side of a split."""
    for seed, record in enumerate(("Record001", "Record002")):
        clip = Clip(seed=seed, size=size, classes=APOLLOSCAPE_CLASSES, length=21)
        for t in range(clip.length):
            stem = f"170908_{61502408 + 400 * t:09d}_Camera_5"
            clip.write_frame(t, root / f"road01_ins/ColorImage/{record}/Camera 5/{stem}.jpg")
            clip.write_labels(t, root / f"road01_ins/Label/{record}/Camera 5/{stem}_bin.png")


def write_nyuv2(root: Path, size: tuple[int, int]) -> None:
    """What `warprefine convert nyuv2` writes: two clips around a labelled frame, and one frame to test on."""
    for seed, (split, name) in enumerate((("train", "a"), ("train", "b"), ("test", "c"))):
        alone = split == "test"
        clip = Clip(
            seed=seed, size=size, classes=NYUV2_CLASSES, names=INDOORS, length=1 if alone else 2 * REACH + 1
        )
        folder = root / split / "videos" / name
        for t in range(clip.length):
            clip.write_frame(t, folder / "frames" / f"{t:06d}.jpg")
        key = 0 if alone else REACH
        clip.write_labels(key, folder / "labels" / f"{key:06d}.png")
        write_classes(root / split / "classes.toml", NYUV2_CLASSES)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A data set: what writes it, and the size of its frames as it is published, in pixels."""

    write: Callable[[Path, tuple[int, int]], None]
    size: tuple[int, int]


LAYOUTS = {
    "cityscapes": Layout(write=write_cityscapes, size=(1024, 2048)),
    "apolloscape": Layout(write=write_apolloscape, size=(2710, 3384)),
    "kitti": Layout(write=write_kitti, size=(375, 1242)),
    "nyuv2": Layout(write=write_nyuv2, size=(480, 640)),
}
"""By reader."""


def parsed_size(text: str) -> tuple[int, int]:
    """Return height and width of HxW."""
    h, w = text.split("x")
    return int(h), int(w)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reader", choices=LAYOUTS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=parsed_size, help="HxW in pixels; without it, as published")
    given = parser.parse_args(arguments)
    layout = LAYOUTS[given.reader]
    layout.write(given.out, given.size or layout.size)


if __name__ == "__main__":
    main()
