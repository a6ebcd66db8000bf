"""Compare the peak memory of `warprefine propagate` on a long video with that on a short one.

Every frame of either video is labelled from one key frame in its middle, by the paper's methods in one
process and by warp-refine-plus in another; the networks are small and untrained, which does not affect the
comparison.

Example: python benchmarks/propagate_memory.py --frames 100 1000
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from warprefine.core.classes import ClassSet
from warprefine.datasets.class_file import write_classes
from warprefine.io.checkpoints import Card, save_checkpoint
from warprefine.io.images import write_frame, write_labels
from warprefine.propagation.methods import PLUS
from warprefine.recipe.plus import PlusRecipe
from warprefine.recipe.recipe import RefinerRecipe, SegmenterRecipe
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.segmenter import build_segmenter

CLASSES = ClassSet(names=("left", "right"), colors=((200, 80, 60), (60, 120, 200)))
METHODS = {
    ("motion-only", "warp-inpaint", "warp-refine"): ("segmenter", "refiner"),
    (PLUS,): ("segmenter", "two-sided-refiner"),
}
"""Methods that are measured together, and the weights that they need."""
ALLOWED_GROWTH = 0.10


def make_data(root: Path, *, frames: int, size: tuple[int, int]) -> None:
    """Write a data set folder of one video: a pattern that moves to the right by two pixels a frame."""
    h, w = size
    pattern = np.random.default_rng(0).integers(0, 256, (3, -(-h // 8), -(-w // 8)), dtype=np.uint8)
    picture = np.kron(pattern, np.ones((1, 8, 8), np.uint8))[:, :h, :w]
    video = root / "videos/clip"
    write_classes(root / "classes.toml", CLASSES)
    for number in range(frames):
        shown = torch.from_numpy(np.roll(picture, 2 * number, axis=2).copy())
        write_frame(video / f"frames/{number:06d}.jpg", shown[None])
    labels = torch.zeros((1, h, w), dtype=torch.uint8)
    labels[..., w // 2 :] = 1
    write_labels(video / f"labels/{frames // 2:06d}.png", labels, CLASSES)


def make_weights(folder: Path) -> dict[str, Path]:
    """Write an untrained segmenter, and untrained refiners with matching features."""
    segmenter = SegmenterRecipe(network="compact", widths=(8, 8, 8, 8, 8))
    refiner = RefinerRecipe(widths=(8, 8, 8, 8))
    two_sided = TwoSidedRefinerRecipe(widths=(8, 8, 8, 8))
    shape = {"widths": (8, 8, 8, 8), "feature_channels": 8}
    built = {"class_count": len(CLASSES), "feature_channels": 8, "seed": 0}
    networks = {
        "segmenter": (build_segmenter(segmenter, len(CLASSES), seed=0), {"widths": segmenter.widths}),
        "refiner": (REFINER.build(refiner, **built), shape),
        "two-sided-refiner": (TWO_SIDED_REFINER.build(two_sided, **built), shape),
    }
    paths = {}
    for part, (network, settings) in networks.items():
        card = Card(
            part=part,
            network=network.name,
            class_names=CLASSES.names,
            settings=settings,
            recipe={},
            facts={"tau": 0.15, "carry": PlusRecipe().carry.to_dict()},
        )
        paths[part] = folder / f"{part}.safetensors"
        save_checkpoint(paths[part], network, card)
    return paths


def peak_memory(
    data: Path, run: Path, methods: tuple[str, ...], weights: dict[str, Path], *, horizon: int
) -> float:
    """Propagate in a process of its own; return the most memory that it held, in MiB."""
    command = [sys.executable, "-m", "warprefine", "propagate", str(data), "--out", str(run)]
    command += [word for method in methods for word in ("--method", method)]
    command += [word for part in METHODS[methods] for word in (f"--{part}", str(weights[part]))]
    process = subprocess.Popen([*command, f"--horizon={horizon}", "--threads=1"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"propagate ended with exit code {process.returncode}")
    return used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Measure both lengths, print them, and fail if the long video takes more than a tenth more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, nargs=2, default=(100, 1000), metavar=("SHORT", "LONG"))
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128), metavar=("H", "W"))
    given = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        weights = make_weights(place)
        for frames in given.frames:
            make_data(place / f"data{frames}", frames=frames, size=tuple(given.size))
        for methods in METHODS:
            print(", ".join(methods))
            peaks = []
            for frames in given.frames:
                run = place / f"run{frames}-{methods[0]}"
                peaks.append(peak_memory(place / f"data{frames}", run, methods, weights, horizon=frames // 2))
                written = sum(1 for _ in run.glob("labels/*/clip/*.png"))
                print(f"{frames:>6} frames  {written:>6} label maps  peak {peaks[-1]:8.1f} MiB", flush=True)
            growth = peaks[1] / peaks[0] - 1
            failed |= growth > ALLOWED_GROWTH
            print(f"growth {100 * growth:+.1f} %, allowed {100 * ALLOWED_GROWTH:.0f} %")
    sys.exit(failed)


if __name__ == "__main__":
    main()
