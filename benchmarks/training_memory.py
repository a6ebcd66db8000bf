"""What memory a training step of the paper's networks needs, with activations kept and recomputed.

One step of two pictures is taken in a process of its own on the CPU, in bfloat16, and one of pictures twice
as wide; what the second needs more is scaled by its pixels. Weights, gradients and the optimiser's momentum
come on top, once per GPU. Linux only.

Example: python benchmarks/training_memory.py --network hrnet-ocr-w48 --loss rmi --size 256 512
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

from warprefine.core.precision import in_precision
from warprefine.core.protocols import module_of
from warprefine.core.recompute import recomputing
from warprefine.core.threads import use_threads
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.training.segmenter import build_segmenter
from warprefine.training.segmenter_loss import segmentation_loss

CLASSES = 19
FULL = 1024 * 2048
GIB = 2**30


def resident(name: str) -> int:
    """Return the bytes that this process has in memory now (VmRSS), or has had at most (VmHWM)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def one_step(options: argparse.Namespace) -> None:
    """Take a step; print its peak in bytes, the bytes of the weights, and CPU seconds."""
    use_threads(options.threads)
    recipe = SegmenterRecipe(network=options.network, loss=options.loss, pretrained=False)
    network = module_of(build_segmenter(recipe, CLASSES, seed=0)).train()
    h, w = options.size
    frames = torch.randint(256, (2, 3, h, w), dtype=torch.uint8)
    labels = torch.randint(CLASSES, (2, h, w), dtype=torch.uint8)
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    begun = time.process_time()
    with recomputing(network, enabled=options.recompute), in_precision(frames.device, torch.bfloat16):
        loss = segmentation_loss(network(frames), labels, recipe, None)
        loss.backward()
    print(resident("VmHWM") - before, weights, time.process_time() - begun)


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", action="append", default=[])
    parser.add_argument("--loss", default="rmi")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 512), help="of the picture that is taken")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recompute", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        (options.network,) = options.network
        one_step(options)
        return
    h, w = options.size
    given = ["--one", "--loss", options.loss, "--threads", str(options.threads)]
    print(f"{'network':<27}{'activations':<14}{'GiB per picture':>16}{'GiB per GPU':>13}{'CPU s':>8}")
    for network in options.network or ["hrnet-ocr-w48"]:
        for kind, words in {"kept": (), "recomputed": ("--recompute",)}.items():
            peaks: list[float] = []
            for width in (w, 2 * w):
                size = ["--size", str(h), str(width)]
                command = [sys.executable, __file__, "--network", network, *given, *words, *size]
                printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                peak, weights, seconds = map(float, printed.split())
                peaks.append(peak)
            picture = (peaks[1] - peaks[0]) * FULL / (2 * h * w)
            print(f"{network:<27}{kind:<14}{picture / GIB:>16.1f}{3 * weights / GIB:>13.2f}{seconds:>8.1f}")


if __name__ == "__main__":
    main()
