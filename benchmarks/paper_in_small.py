"""Run the experiments of the paper by their documented commands, on small data sets in the official layouts.

Each takes the shipped recipe with few steps, pictures and seeds. With `--networks own` it trains the paper's
networks; small ones stand for them otherwise. Printed are the peak memory of the largest process, in GiB, and
seconds. Frames have the published size unless --size says otherwise. Linux only.

Example: python benchmarks/paper_in_small.py --only kitti --size 96x192 --processes 2
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from official_layouts import LAYOUTS, parsed_size
from plan_paper import ROWS


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a command took: seconds, and GiB of its largest process at most."""

    seconds: float
    gib: float


def small_recipe(name: str, size: tuple[int, int], *, own: bool, steps: int, batch: int) -> str:
    """Return a recipe like a shipped one, with few steps.

    Args:
        name: The shipped recipe.
        size: Height and width of frames.
        own: Whether networks and crops stay those of the shipped recipe.
        steps: Steps of each training.
        batch: Pictures of a step.
    """
    lines = [f'extends = "{name}"', "seeds = 1", "ranges = [2]", "longest_cycles = [1, 2]"]
    motions = ["motions = []"] if not own else []
    networks = ['networks = ["compact"]'] if not own else []
    lines += [*motions, *networks, "[data]", "horizon = 3"]
    if name == "kitti-folds":
        lines += [
            "[grid]",
            '"optimisation.learning_rate" = [2.5e-4, 5e-4]',
            '"optimisation.poly_power" = [1.0]',
        ]
    crop = f"crop = [{size[0] // 16 * 16}, {size[1] // 16 * 16}]"
    training = [f"steps = {steps}", f"batch = {batch}", "warmup = 0"]
    for place in ("labels.segmenter", "labels.refiner", "student"):
        lines += [f"[{place}]", "epochs = 0.0"]
        refines = place == "labels.refiner"
        if not own:
            lines += ['network = "compact"', f"widths = [{', '.join(['8'] * (4 if refines else 5))}]"]
            lines += ["tile = 0", *([crop] if refines else ["pretrained = false"])]
        lines += ["longest_cycle = 2"] if refines else []
        lines += ["offsets = [2]"] if place == "student" else []
        lines += [f"[{place}.optimisation]", *training]
        if not own and not refines:
            lines += [f"[{place}.augmentation]", crop]
    lines += ["[labels.propagation]", "tau_candidates = [0.12, 0.3]"]
    lines += ["[labels.motion]", *([] if own else ["width = 0.0625", "crop = [64, 64]"])]
    lines += ["[labels.motion.optimisation]", *training, "validate_every = 1000"]
    return "\n".join(lines) + "\n"


def timed(words: Sequence[object], *, processes: int) -> Measured:
    """Run a command of warprefine, by torchrun if there are several processes.

    Raises:
        CalledProcessError: It failed.
    """
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*launcher, "-m", "warprefine", *map(str, words)]
    begun = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, "WARPREFINE_CACHE": "off"})
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Measured(seconds=time.monotonic() - begun, gib=used.ru_maxrss / 2**20)


def experiment_words(experiment: str, recipe: Path, data: Path, out: Path, *, threads: int) -> list[object]:
    """Return the command of an experiment, as docs/reproducing.md has it, without published weights."""
    words: list[object] = ["experiment", experiment, "--recipe", recipe, "--data", data, "--out", out]
    return [*words, "--from-scratch", "--threads", threads]


def main() -> None:
    """Run the experiments that are asked for, and print a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", help="experiment, recipe or data set; repeatable; else all"
    )
    parser.add_argument("--size", type=parsed_size, help="HxW in pixels; without it, as published")
    parser.add_argument("--networks", choices=("own", "small"), default="small")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep data and results here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.out or Path(scratch)
        rows = []
        for _, experiment, name in ROWS:
            reader = next(one for one in LAYOUTS if name.startswith(one))
            if given.only and not {experiment, name, reader}.intersection(given.only):
                continue
            layout = LAYOUTS[reader]
            size, data, recipe = given.size or layout.size, folder / reader, f"{experiment}-{name}"
            if not data.exists():
                layout.write(data, size)
            path = folder / f"small-{recipe}.toml"
            path.write_text(
                small_recipe(name, size, own=given.networks == "own", steps=given.steps, batch=given.batch),
                encoding="utf-8",
            )
            words = experiment_words(experiment, path, data, folder / recipe, threads=given.threads)
            took = timed(words, processes=given.processes)
            tables = sorted(table.stem for table in (folder / recipe / "tables").glob("*.md"))
            rows.append(f"| `{experiment}` | `{name}` | {size[0]} x {size[1]} | {took.gib:.1f} |")
            rows[-1] += f" {took.seconds:.0f} | {', '.join(tables)} |"
            print(rows[-1], flush=True)
    print("\n| `experiment` | recipe | frames | GiB | seconds | tables |\n|---|---|---|---:|---:|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
