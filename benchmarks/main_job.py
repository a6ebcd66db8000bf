"""Time the main job, `warprefine autolabel` of a clip of CamVid, with several recipes on one machine.

For each recipe: CPU seconds (user and system, all processes), wall clock, and the mean IoU of the default
method. Ratios are to the first recipe. Each run has a folder of its own and shares nothing with the others.

Example: python benchmarks/main_job.py data/camvid --recipe scratch --recipe default --threads 1
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from warprefine.propagation.methods import PLUS


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What a run took, in seconds, and how good its labels are, in percent by distance."""

    cpu: float
    wall: float
    miou: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over all distances, in percent."""
        return sum(self.miou) / len(self.miou)


def cpu_of_children() -> float:
    """Return the CPU seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(recipe: str, options: argparse.Namespace, out: Path) -> Timed:
    """Run the job with a recipe, "default" or a name or file."""
    words = [sys.executable, "-m", "warprefine", "autolabel", options.data, "--reader", "camvid"]
    words += ["--split", "clip15hz", "--keyframes", "10::21", "--out", out, "--seed", options.seed]
    words += ["--threads", options.threads, "--method", PLUS]
    if not options.key_frames_alone:
        words += ["--also-train", f"camvid:train:{options.data}"]
    if recipe != "default":
        words += ["--recipe", recipe]
    cpu, wall = cpu_of_children(), time.monotonic()
    subprocess.run([str(word) for word in words], check=True)
    cpu, wall = cpu_of_children() - cpu, time.monotonic() - wall
    scores = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return Timed(cpu=cpu, wall=wall, miou=tuple(scores[PLUS]["miou_by_distance"]))


def main() -> None:
    """Run the job with each recipe and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="CamVid, see docs/datasets.md")
    parser.add_argument("--recipe", action="append", help="default, or a name or file; repeatable")
    parser.add_argument("--key-frames-alone", action="store_true", help="without further stills")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the runs here")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="warprefine-main-job-"))
    found: dict[str, Timed] = {}
    for recipe in options.recipe or ["scratch", "default"]:
        found[recipe] = run(recipe, options, folder / Path(recipe).stem)
    first = next(iter(found.values()))
    print(f"\n{'recipe':<16}{'CPU s':>9}{'ratio':>8}{'wall s':>9}{'mIoU':>7}{'k = 10':>8}")
    for recipe, timed in found.items():
        print(
            f"{recipe:<16}{timed.cpu:>9.0f}{timed.cpu / first.cpu:>8.2f}{timed.wall:>9.0f}"
            f"{timed.mean:>7.1f}{timed.miou[-1]:>8.1f}"
        )


if __name__ == "__main__":
    main()
