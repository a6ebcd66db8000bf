"""Measure how the cost of a labelled frame grows: CPU seconds and bytes, with one quantity changed at a time.

Clips are procedural streets, labelled by warp-refine-plus with the untrained networks of the default recipe
in one thread, with an empty cache. Seconds are those of the CPU, of all that `autolabel` does: checks, flow,
networks, vote, files, scores and report.

Example: python benchmarks/growth.py
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from warprefine import Recipe, autolabel, open_dataset
from warprefine.core.classes import ClassSet
from warprefine.core.threads import use_threads
from warprefine.datasets.class_file import read_classes, write_classes
from warprefine.datasets.street import write_street
from warprefine.propagation.methods import PLUS
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.segmenter import build_segmenter


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is labelled: clips, their frames, size, classes, frames from key frame to key frame, horizon."""

    clips: int = 1
    frames: int = 25
    h: int = 180
    w: int = 240
    classes: int = 0
    step: int = 12
    horizon: int = 6


BASE = Case()
CASES = {
    "base": BASE,
    "twice the clips": replace(BASE, clips=2),
    "twice the frames": replace(BASE, frames=49),
    "four times the pixels": replace(BASE, h=360, w=480),
    "24 classes": replace(BASE, classes=24),
    "48 classes": replace(BASE, classes=48),
    "key frames every 6": replace(BASE, step=6),
    "key frames every 24, horizon 12": replace(BASE, step=24, horizon=12),
}


def with_classes(path: Path, count: int) -> None:
    """Add classes that nothing is labelled with, until there are so many."""
    found = read_classes(path)
    more = range(len(found), count)
    names = (*found.names, *(f"class{number}" for number in more))
    colors = (*found.colors, *((number, 255 - number, 128) for number in more))
    write_classes(path, ClassSet(names=names, colors=colors))


def size_of(paths: Iterable[Path]) -> int:
    """Return the bytes of files."""
    return sum(path.stat().st_size for path in paths if path.is_file())


def measure(case: Case, folder: Path) -> tuple[int, float, int, int]:
    """Return labelled frames, CPU seconds, bytes of labels and confidence, and bytes of the cache."""
    write_street(
        folder / "data",
        videos=case.clips,
        length=case.frames,
        start=0,
        step=case.step,
        h=case.h,
        w=case.w,
    )
    with_classes(folder / "data/classes.toml", case.classes)
    dataset, recipe, run = open_dataset(folder / "data"), Recipe(), folder / "run"
    count = len(dataset.classes)
    segmenter = build_segmenter(recipe.segmenter, count, seed=0)
    channels = segmenter.feature_channels if recipe.plus.refiner.features else 0
    refiner = TWO_SIDED_REFINER.build(
        recipe.plus.refiner, class_count=count, feature_channels=channels, seed=0
    )
    begin = time.process_time()
    autolabel(
        dataset,
        run,
        horizon=case.horizon,
        methods=(PLUS,),
        recipe=recipe,
        segmenter=segmenter,
        two_sided_refiner=refiner,
        boundaries=False,
    )
    seconds = time.process_time() - begin
    labelled = sum(1 for _ in run.glob(f"labels/{PLUS}/*/*.png")) - sum(len(v.labels) for v in dataset.videos)
    written = size_of([*run.glob(f"labels/{PLUS}/*/*"), *run.glob(f"confidence/{PLUS}/*/*")])
    return labelled, seconds, written, size_of((run / "cache").rglob("*"))


def main() -> None:
    """Measure each case and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=[*CASES], help="cases to measure")
    chosen = parser.parse_args().only
    use_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        measure(BASE, Path(folder) / "warm")  # compiles
        print(
            f"{'':<34}{'frames':>8}{'CPU s':>8}{'s/frame':>9}{'s/Mpx':>8}{'labels B/px':>13}"
            f"{'cache B/px':>12}"
        )
        for name in chosen:
            case = CASES[name]
            frames, seconds, written, cached = measure(case, Path(folder) / name.replace(" ", "-"))
            pixels = frames * case.h * case.w
            print(
                f"{name:<34}{frames:>8}{seconds:>8.1f}{seconds / frames:>9.3f}{1e6 * seconds / pixels:>8.2f}"
                f"{written / pixels:>13.2f}{cached / pixels:>12.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
