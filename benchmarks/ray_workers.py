"""Time the labelling of small clips in this process, and by one and two workers: processes, and Ray.

The clips are procedural streets, the networks are untrained, and every process has one thread. All runs have
to have the same labels. The time of workers has their start: they import all, and get the networks first.
Columns: the wall time; how many times as fast as one worker of the same kind, and as this process alone; how
much longer one worker takes than this process; and what the command itself computes for a label map: checks,
records, scores and report. Numbers of a machine that does anything else mean little.

Example: python benchmarks/ray_workers.py --clips 8 --frames 40 --size 360 480
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from warprefine import autolabel, open_dataset
from warprefine.cluster.processes import ProcessEngine
from warprefine.cluster.ray import ray_engine
from warprefine.core.engine import HERE, Engine
from warprefine.core.threads import use_threads
from warprefine.core.video import Dataset
from warprefine.datasets.street import write_street
from warprefine.propagation.methods import PLUS
from warprefine.recipe.recipe import Recipe, SegmenterRecipe
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.segmenter import build_segmenter

METHODS = ("motion-only", "semantic-only", "warp-inpaint", PLUS)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What a run took, and the CPU seconds of this process alone; how many label maps it has, and a hash."""

    wall: float
    cpu: float
    count: int
    labels: str


def label(dataset: Dataset, out: Path, engine: Engine, methods: Sequence[str]) -> Timed:
    """Label all clips in a new folder."""
    settings = SegmenterRecipe(network="compact", widths=(16, 24, 32, 48, 64))
    classes = dataset.classes.names
    segmenter = build_segmenter(settings, len(classes), seed=0, class_names=classes)
    recipe = Recipe().changed(("propagation", "tau"), 0.3).changed(("stages", "first", "enabled"), False)
    refiner = TWO_SIDED_REFINER.build(
        recipe.plus.refiner,
        class_count=len(classes),
        feature_channels=segmenter.feature_channels,
        seed=0,
    )
    begin, cpu = time.perf_counter(), time.process_time()
    autolabel(
        dataset,
        out,
        horizon="all",
        methods=methods,
        recipe=recipe,
        segmenter=segmenter,
        two_sided_refiner=refiner,
        boundaries=False,
        engine=engine,
    )
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    written = sorted((out / "labels").rglob("*.png"))
    found = hashlib.sha256(b"".join(path.read_bytes() for path in written)).hexdigest()
    return Timed(wall=wall, cpu=cpu, count=len(written), labels=found)


@contextmanager
def processes_of(workers: int) -> Iterator[Engine]:
    """Give processes, which start when there is work; end them outside of what is timed."""
    with ProcessEngine(workers=workers) as engine:
        yield engine


@contextmanager
def ray_of(workers: int) -> Iterator[Engine]:
    """Start a Ray cluster of this machine, outside of what is timed."""
    with ray_engine(address="local", workers=workers) as engine:
        yield engine


def main() -> None:
    """Time each engine and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=8, help="clips, each of which a worker labels alone")
    parser.add_argument("--frames", type=int, default=40, help="frames of each clip")
    parser.add_argument("--size", type=int, nargs=2, default=(360, 480), metavar=("H", "W"))
    parser.add_argument(
        "--method", nargs="+", choices=METHODS, default=[PLUS], help=f"{PLUS}, if none is named"
    )
    parser.add_argument("--engine", nargs="+", choices=("processes", "ray"), default=["processes", "ray"])
    options = parser.parse_args()
    use_threads(1)
    engines: dict[tuple[str, int], Callable[[], AbstractContextManager[Engine]]] = {
        ("here", 1): lambda: nullcontext(HERE),
        ("processes", 1): lambda: processes_of(1),
        ("processes", 2): lambda: processes_of(2),
        ("ray", 1): lambda: ray_of(1),
        ("ray", 2): lambda: ray_of(2),
    }
    if find_spec("ray") is None:
        print("Ray is not installed, and left out")
        del engines["ray", 1], engines["ray", 2]
    engines = {key: start for key, start in engines.items() if key[0] in ("here", *options.engine)}
    with tempfile.TemporaryDirectory() as folder:
        root, (h, w) = Path(folder), options.size
        middle = options.frames // 2
        shape = {"length": options.frames, "start": middle, "step": options.frames, "h": h, "w": w}
        write_street(root / "data", videos=options.clips, **shape)
        write_street(root / "one clip", videos=1, **shape)
        dataset = open_dataset(root / "data")
        label(open_dataset(root / "one clip"), root / "first", HERE, options.method)  # compiles
        found = {}
        for (name, workers), start in engines.items():
            with start() as engine:
                found[name, workers] = label(dataset, root / f"{name}-{workers}", engine, options.method)
    if len({timed.labels for timed in found.values()}) != 1:
        raise SystemExit("the labels of the runs differ")
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{options.clips} clips of {options.frames} frames of {w} x {h}, load of the machine {busy:.1f}")
    print_table(found)


def print_table(found: dict[tuple[str, int], Timed]) -> None:
    """Print the times, the speed-up over one worker and over this process, and the overhead of one worker."""
    heads = f"{'engine':<12}{'workers':>8}{'wall s':>9}{'times one':>11}{'times here':>12}{'overhead %':>12}"
    print(f"{heads}{'command, CPU ms a label map':>29}")
    here = found["here", 1].wall
    for (name, workers), timed in found.items():
        overhead = f"{100 * (timed.wall / here - 1):.1f}" if workers == 1 and name != "here" else "–"
        speed_up = f"{found[name, 1].wall / timed.wall:.2f}"
        own = 1000 * timed.cpu / timed.count
        times = f"{speed_up:>11}{here / timed.wall:>12.2f}"
        print(f"{name:<12}{workers:>8}{timed.wall:>9.1f}{times}{overhead:>12}{own:>29.1f}")


if __name__ == "__main__":
    main()
