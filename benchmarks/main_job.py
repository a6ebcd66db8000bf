"""Time the main job, `warprefine autolabel` of a clip of CamVid, with several recipes on one machine.

For each recipe: CPU seconds (user and system, all processes), wall clock, and the mean IoU of the default
method. Ratios are to the first recipe. Each run has a folder of its own and shares nothing with the others.

Example: python benchmarks/main_job.py data/camvid --recipe scratch --recipe default --threads 1
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from camvid_clip import label, parser_of, runs


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
    """Time the job with a recipe."""
    cpu, wall = cpu_of_children(), time.monotonic()
    scores = label(recipe, options, out)
    cpu, wall = cpu_of_children() - cpu, time.monotonic() - wall
    return Timed(cpu=cpu, wall=wall, miou=tuple(scores["miou_by_distance"]))


def main() -> None:
    """Run the job with each recipe and print a table."""
    options = parser_of(__doc__).parse_args()
    found = {recipe: run(recipe, options, out) for recipe, out in runs(options, "scratch", "default")}
    first = next(iter(found.values()))
    print(f"\n{'recipe':<16}{'CPU s':>9}{'ratio':>8}{'wall s':>9}{'mIoU':>7}{'last k':>8}")
    for recipe, timed in found.items():
        print(
            f"{recipe:<16}{timed.cpu:>9.0f}{timed.cpu / first.cpu:>8.2f}{timed.wall:>9.0f}"
            f"{timed.mean:>7.1f}{timed.miou[-1]:>8.1f}"
        )


if __name__ == "__main__":
    main()
