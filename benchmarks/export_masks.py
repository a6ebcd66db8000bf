"""Time exports of 1,000 frames of CamVid's size against encoding the same masks with pycocotools.

Wall time and CPU time of this process, children included; each is the least of `--rounds`, in turn, as other
work on the machine makes either longer. Label maps are those of a data set folder (`--data`), repeated, or
blobs as large as things in CamVid. What encoding takes is the time of `pycocotools.mask.encode` alone, for
the mask of each class, or of each region, that a frame has; the masks lie in memory as it wants them. Exports
read the label maps, and write their files.

Example: python benchmarks/export_masks.py --frames 1000 --data data/camvid --reader camvid
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coder

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID
from warprefine.datasets import open_dataset
from warprefine.datasets.class_file import write_classes
from warprefine.datasets.palette import distinct_colors
from warprefine.interchange import EXPORTERS
from warprefine.interchange.shapes import class_masks, regions
from warprefine.io.images import read_labels, write_labels
from warprefine.jobs.export_labels import ExportSettings, export_labels

H, W, CLASSES = 720, 960, 11
FORMATS = ("coco", "cvat-images")


class Time(NamedTuple):
    """Seconds on the clock, and of CPU time."""

    wall: float
    cpu: float


def drawn_label_map(seed: int) -> np.ndarray:
    """Return blobs with rough rims: about 60 regions, a few single pixels and some void."""
    rng = np.random.default_rng(seed)
    size = (H // 80, W // 80)
    fields = [
        cv2.resize(rng.random(size, np.float32), (W, H), interpolation=cv2.INTER_CUBIC)
        for _ in range(CLASSES)
    ]
    fine = rng.random((H // 2, W // 2), np.float32)
    rough = cv2.resize(fine, (W, H), interpolation=cv2.INTER_LINEAR)
    labels = (
        (np.stack(fields) + 0.04 * rough * rng.random((CLASSES, 1, 1), np.float32))
        .argmax(axis=0)
        .astype(np.uint8)
    )
    labels[rng.random((H, W)) < 2e-5] = VOID
    labels[: H // 20] = VOID
    return labels


def label_maps(data: Path | None, reader: str, count: int) -> tuple[ClassSet, list[np.ndarray]]:
    """Return classes and up to 50 label maps, of a data set folder or drawn."""
    if data is None:
        names = tuple(f"class {number}" for number in range(CLASSES))
        classes = ClassSet(names=names, colors=distinct_colors([None] * CLASSES))
        return classes, [drawn_label_map(seed) for seed in range(min(count, 50))]
    dataset = open_dataset(data, reader=reader)
    paths = [path for video in dataset.videos for path in video.labels.values()][: min(count, 50)]
    return dataset.classes, [read_labels(path, dataset.classes)[0].numpy() for path in paths]


def write_data(folder: Path, classes: ClassSet, maps: Sequence[np.ndarray], count: int) -> None:
    """Write a data set folder of `count` frames; pictures are empty, as exports of masks do not read them."""
    frames, labels = folder / "videos" / "drive" / "frames", folder / "videos" / "drive" / "labels"
    frames.mkdir(parents=True)
    labels.mkdir()
    write_classes(folder / "classes.toml", classes)
    for number, one in enumerate(maps):
        Image.new("RGB", one.shape[::-1]).save(frames / f"{number:06d}.png")
        write_labels(labels / f"{number:06d}.png", torch.from_numpy(one)[None], classes)
    for number in range(len(maps), count):
        for inside in (frames, labels):
            shutil.copyfile(inside / f"{number % len(maps):06d}.png", inside / f"{number:06d}.png")


def encoding_time(maps: Sequence[np.ndarray], count: int, *, instances: bool) -> Time:
    """Return the time of encoding the masks of `count` frames, those of a label map again and again."""
    found = regions if instances else class_masks
    again = max(1, round(count / len(maps)))
    wall = cpu = 0.0
    for labels in maps:
        masks = [np.asfortranarray(mask, np.uint8) for _, mask in found(labels)]
        # All repetitions are run: a short time is seldom interrupted, and would flatter the encoding.
        each = time_of(lambda masks=masks: [coder.encode(mask) for _ in range(again) for mask in masks])
        wall, cpu = wall + each.wall, cpu + each.cpu
    share = count / (again * len(maps))
    return Time(wall * share, cpu * share)


def time_of(call: Callable[[], object]) -> Time:
    """Return the time of a call, with that of its children."""
    begin, used = time.perf_counter(), _used()
    call()
    return Time(time.perf_counter() - begin, _used() - used)


def least(times: Iterable[Time]) -> Time:
    """Return the least wall time and the least CPU time of several."""
    walls, cpus = zip(*times, strict=True)
    return Time(min(walls), min(cpus))


def _used() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--reader", default="folder")
    given = parser.parse_args()
    classes, maps = label_maps(given.data, given.reader, given.frames)
    formats = [one for one in FORMATS if one in EXPORTERS]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "data", classes, maps, given.frames)
        print(f"{given.frames} frames of {maps[0].shape[0]} x {maps[0].shape[1]}, {len(maps)} different ones")
        print(f"{'':<24}{'wall':>8} {'CPU':>10}")
        for instances in (False, True):
            encoding, exports = [], {one: list[Time]() for one in formats}
            for _ in range(given.rounds):
                encoding.append(encoding_time(maps, given.frames, instances=instances))
                for one in formats:
                    exports[one].append(export_time(one, folder, instances=instances))
            kind, base = "regions" if instances else "classes", least(encoding)
            print(f"{f'pycocotools, {kind}':<24}{base.wall:8.2f} s{base.cpu:9.2f} s")
            for one in formats:
                taken = least(exports[one])
                print(
                    f"{f'{one}, {kind}':<24}{taken.wall:8.2f} s{taken.cpu:9.2f} s"
                    f"{taken.wall / base.wall:8.2f} x wall{taken.cpu / base.cpu:8.2f} x CPU"
                )


def export_time(name: str, folder: Path, *, instances: bool) -> Time:
    """Return the time of an export of the data set folder in `folder`."""
    settings, dest = ExportSettings(pictures=False, instances=instances), folder / "export"
    taken = time_of(lambda: export_labels(name, folder / "data", dest, settings=settings))
    shutil.rmtree(dest)
    return taken


if __name__ == "__main__":
    main()
