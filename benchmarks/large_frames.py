"""Peak memory of labelling by frame size, number of classes and method, on the CPU.

Each cell is a process of its own that labels one frame between two key frames with untrained networks of the
default recipe, whose weights make no difference to what it takes. Memory is the largest resident set of the
process, its libraries included.

Example: python benchmarks/large_frames.py --sizes 1024x2048 2710x3384 --classes 19 150
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.protocols import ready
from warprefine.core.threads import use_threads
from warprefine.core.video import Dataset, Video
from warprefine.io.images import write_frame, write_labels
from warprefine.io.run import RunFolder
from warprefine.motion.loading import load_motion
from warprefine.propagation.evidence import Models
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import PLUS
from warprefine.propagation.run import Job, propagate
from warprefine.propagation.stepwise.walk import StepSettings, StepwiseLabeller
from warprefine.propagation.two_sided.label import TwoSidedLabeller
from warprefine.recipe.recipe import Recipe
from warprefine.refinement import REFINERS, TWO_SIDED_REFINERS
from warprefine.refinement.mirrored import mirrored_refiner, mirrored_two_sided
from warprefine.segmentation import SEGMENTERS
from warprefine.segmentation.mirrored import mirrored_segmenter

METHODS = ("warp-inpaint", "warp-refine", PLUS)
"""Of the paper's methods those that need a segmenter, and the default one."""


def make_data(root: Path, size: tuple[int, int], class_count: int) -> Dataset:
    """Write three frames of blocks that move to the right; the first and the last are labelled."""
    h, w = size
    names = tuple(f"class {k}" for k in range(class_count))
    colors = tuple((k, 255 - k, (7 * k) % 256) for k in range(class_count))
    classes = ClassSet(names=names, colors=colors)
    random = np.random.default_rng(0)
    blocks = random.integers(0, class_count, (-(-h // 16), -(-w // 16) + 1)).astype(np.uint8)
    wall = torch.from_numpy(np.kron(blocks, np.ones((16, 16), np.uint8)))
    dirt = torch.from_numpy(random.integers(0, 40, wall.shape, dtype=np.uint8))
    frames, labels = [], {}
    for number in range(3):
        shown = wall[:h, 4 - 2 * number : 4 - 2 * number + w][None].contiguous()
        picture = torch.stack((shown, 200 - shown, shown * 7 % 200), dim=1)
        picture = picture + dirt[:h, 4 - 2 * number : 4 - 2 * number + w]
        frames.append(root / f"{number}.png")
        write_frame(frames[-1], picture)
        if number != 1:
            labels[number] = root / f"{number}-labels.png"
            write_labels(labels[number], shown, classes)
    video = Video(name="wall", stems=("0", "1", "2"), frame_paths=frames, labels=labels)
    return Dataset(root=root, classes=classes, videos=(video,))


def labeller_of(method: str, class_count: int) -> Labeller:
    """Return the labeller of a method with the untrained networks of the default recipe."""
    recipe, cpu = Recipe(), torch.device("cpu")
    segmenter = SEGMENTERS[recipe.segmenter.network].from_recipe(recipe.segmenter, class_count)
    channels = segmenter.feature_channels
    ready(segmenter, cpu)
    if recipe.segmenter.mirrored:
        segmenter = mirrored_segmenter(segmenter)
    named = recipe.plus.carry.motion if method == PLUS else recipe.propagation.motion
    motion = load_motion("dis-medium" if named == "best" else named)
    models = Models(motion=motion, segmenter=segmenter, segmenter_fingerprint="untrained")
    if method == PLUS:
        network = recipe.plus.refiner.network
        own = TWO_SIDED_REFINERS[network].from_recipe(recipe.plus.refiner, class_count, channels)
        ready(own, cpu)
        two_sided = mirrored_two_sided(own) if recipe.plus.refiner.mirrored else own
        return TwoSidedLabeller(models=models, recipe=recipe.plus, refiner=two_sided)
    refiner = REFINERS[recipe.refiner.network].from_recipe(recipe.refiner, class_count, channels)
    ready(refiner, cpu)
    mirrored = mirrored_refiner(refiner) if recipe.refiner.mirrored else refiner
    steps = StepSettings(tau=0.1, threshold=0.9, refiner=mirrored)
    return StepwiseLabeller(methods=(method,), models=models, settings=steps)


def cell(method: str, size: tuple[int, int], class_count: int, threads: int) -> None:
    """Label in this process, and print its peak memory in bytes."""
    use_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        dataset = make_data(Path(folder), size, class_count)
        job = Job(dataset=dataset, horizon=1, labellers=(labeller_of(method, class_count),))
        run = RunFolder(Path(folder) / "run")
        failures = propagate(job, run)
        assert not failures, failures
        assert run.labels_path(method, "wall", "1").exists()
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def size_of_text(text: str) -> tuple[int, int]:
    """Return (h, w) of a text such as 1024x2048."""
    h, w = text.split("x")
    return int(h), int(w)


def main() -> None:
    """Measure each cell in a process of its own, and print them as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["1024x2048", "2710x3384"], help="h x w in pixels")
    parser.add_argument("--classes", nargs="+", type=int, default=[19, 150])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cell", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cells = list(product(options.sizes, options.classes, options.methods))
    if options.cell:
        ((size, count, method),) = cells
        cell(method, size_of_text(size), count, options.threads)
        return
    print("| frame, h x w | classes | method | peak, GB |\n|---|---|---|---|")
    for size, count, method in cells:
        asked = ("--sizes", size, "--classes", str(count), "--methods", method, "--threads", options.threads)
        command = [sys.executable, __file__, "--cell", *map(str, asked)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"| {size} | {count} | {method} | ended with {done.returncode} |", flush=True)
            print(done.stderr[-2000:], file=sys.stderr)
            continue
        print(f"| {size} | {count} | {method} | {int(done.stdout.split()[-1]) / 1e9:.1f} |", flush=True)


if __name__ == "__main__":
    main()
