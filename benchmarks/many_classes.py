"""What many classes cost: the main job on a clip, and on the same clip with each class cut into several.

A class is cut along vertical stripes of the frame, so that the scene is as rich as before in everything but
classes. Quality is not compared: stripes do not move with things.

Example: python benchmarks/many_classes.py data/camvid --reader camvid --split clip15hz --parts 14
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from main_job import cpu_of_children
from one_clip import dataset_of, parser_for

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.core.video import Dataset
from warprefine.datasets.class_file import write_classes
from warprefine.io.images import read_labels, write_labels
from warprefine.propagation.methods import PLUS


def cut(labels: LabelMaps, parts: int) -> LabelMaps:
    """Return label maps in which class c of stripe p of `parts` is class c * parts + p."""
    width = labels.shape[-1]
    stripes = torch.arange(width) * parts // width
    return torch.where(labels == VOID, VOID, labels.int() * parts + stripes).to(torch.uint8)


def cut_classes(classes: ClassSet, parts: int) -> ClassSet:
    """Return the classes that `cut` makes."""
    names = tuple(f"{name} {part}" for name in classes.names for part in range(parts))
    colors = tuple((n % 256, n * 7 % 256, n * 31 % 256) for n in range(len(names)))
    return ClassSet(names=names, colors=colors)


def write_cut(source: Dataset, root: Path, parts: int) -> None:
    """Write videos of picture files as a native data set with classes that are cut into `parts`."""
    classes = cut_classes(source.classes, parts)
    write_classes(root / "classes.toml", classes)
    for video in source.videos:
        folder = root / "videos" / video.name
        (folder / "frames").mkdir(parents=True)
        for path in video.frame_paths:
            shutil.copy(path, folder / "frames" / path.name)
        for kind, files in (("labels", video.labels), ("truth", video.truth)):
            for frame, path in files.items():
                labels = read_labels(path, source.classes)
                write_labels(folder / kind / f"{video.stems[frame]}.png", cut(labels, parts), classes)


def main() -> None:
    """Label both and print CPU seconds and their ratio."""
    parser = parser_for(__doc__)
    parser.add_argument("--parts", type=int, default=14)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    source = dataset_of(options)
    seconds: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for parts in (1, options.parts):
            data = Path(folder) / f"data{parts}"
            write_cut(source, data, parts)
            before = cpu_of_children()
            command("autolabel", data, Path(folder) / f"run{parts}", options.threads)
            seconds[parts * len(source.classes)] = cpu_of_children() - before
    (few, first), (many, second) = seconds.items()
    print(f"\n{few} classes {first:.0f} CPU s, {many} classes {second:.0f} CPU s: {second / first:.2f} times")


def command(name: str, data: Path, out: Path, threads: int) -> None:
    """Run a command of warprefine that labels with the default method."""
    words = [sys.executable, "-m", "warprefine", name, data, "--out", out, "--method", PLUS]
    subprocess.run([*map(str, words), "--threads", str(threads), "--no-reuse"], check=True)


if __name__ == "__main__":
    main()
