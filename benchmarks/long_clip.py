"""Label a clip of 10,000 frames, and print the memory of the command as labels are written.

The clip is a procedural street of a few hundred frames, played forward and backward again and again: all
other frames are hard links. Only its key frames have labels, so that nothing is scored. Each method runs in
a process of its own: motion-only, and one stage of the default. Stage good has the refiner, and does not
wait for labels of stage first here. There is a line when a tenth, three tenths and all of the label maps
are there, and one at the end. Resident is what the process held then, peak the most until then, trainings
and checks included. The benchmark fails if the peak exceeds --most, or grows by more than a tenth from the
first line to the last one before the end, where the report is written. If --minutes end a run, its last
line is for what it labelled until then. Linux only.

Example: python benchmarks/long_clip.py --frames 10000 --size 360 480
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from warprefine.datasets.street import write_street
from warprefine.propagation.methods import PLUS

METHODS = ("motion-only", PLUS)
ALLOWED_GROWTH = 0.10
_OUT_OF_TIME = "the time limit is over"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a process holds, in MB, when so many label maps are there."""

    count: int
    minutes: float
    resident: float
    peak: float


def make_clip(root: Path, *, frames: int, distinct: int, every: int, size: tuple[int, int]) -> None:
    """Write a data set of one clip, whose frames are links to a few rendered ones, forward and backward."""
    rendered = root.with_name("rendered")
    write_street(rendered, videos=1, length=distinct, start=0, step=1, h=size[0], w=size[1])
    [source] = (rendered / "videos").iterdir()
    clip = root / "videos/clip"
    for folder in ("frames", "labels"):
        (clip / folder).mkdir(parents=True)
    os.link(rendered / "classes.toml", root / "classes.toml")
    there_and_back = [*range(distinct), *range(distinct - 2, 0, -1)]
    for number in range(frames):
        shown = there_and_back[number % len(there_and_back)]
        os.link(source / f"frames/{shown:06d}.jpg", clip / f"frames/{number:06d}.jpg")
        if number % every == every // 2:
            os.link(source / f"labels/{shown:06d}.png", clip / f"labels/{number:06d}.png")


def label(command: list[str], labels: Path, marks: list[int]) -> Iterator[Memory]:
    """Label in a process of its own; yield its memory when so many label maps are there, and at the end."""
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told)
        due, ended, status, used = list(marks), 0, 0, None
        while not ended:
            time.sleep(1)
            count, now = count_files(labels), memory_of(process.pid)
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            while due and count >= due[0] and now is not None:
                due.pop(0)
                yield Memory(
                    count=count, minutes=(time.monotonic() - begin) / 60, resident=now[0], peak=now[1]
                )
        process.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        if process.returncode and _OUT_OF_TIME not in (message := told.read()):
            raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}:\n{message}")
    assert used is not None, "the process has ended"
    peak = used.ru_maxrss * 1.024e-3
    minutes = (time.monotonic() - begin) / 60
    yield Memory(count=count_files(labels), minutes=minutes, resident=float("nan"), peak=peak)


def count_files(folder: Path) -> int:
    """Return how many label maps are in a folder, which may not be there yet."""
    if not folder.exists():
        return 0
    return sum(entry.name.endswith(".png") for entry in os.scandir(folder))


def memory_of(process: int) -> tuple[float, float] | None:
    """Return the resident memory of a process and its peak, in MB; None if it has ended."""
    lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    values = dict(line.split(":", 1) for line in lines)
    if "VmRSS" not in values:
        return None
    resident, peak = (int(values[key].split()[0]) * 1.024e-3 for key in ("VmRSS", "VmHWM"))
    return resident, peak


def main() -> None:
    """Label by each method, print a table, and fail if memory grows or exceeds what it may be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--distinct", type=int, default=200, help="frames that are rendered")
    parser.add_argument("--every", type=int, default=100, help="frames from key frame to key frame")
    parser.add_argument("--size", type=int, nargs=2, default=(360, 480), metavar=("H", "W"))
    parser.add_argument("--method", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--stage", choices=["first", "good"], default="good", help="stage of the default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20, help="time limit of each method")
    parser.add_argument("--most", type=float, default=1500, help="MB that the peak may be")
    given = parser.parse_args()
    failed = False
    print(f"{'':<18}{'label maps':>12}{'minutes':>9}{'resident MB':>13}{'peak MB':>9}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_clip(
            place / "data",
            frames=given.frames,
            distinct=given.distinct,
            every=given.every,
            size=tuple(given.size),
        )
        for method in given.method:
            words = ["autolabel", str(place / "data"), "--out", str(place / method), "--method", method]
            words += ["--horizon", "all", "--threads", str(given.threads), "--cache-size", "5GB"]
            words += ["--time-limit", f"{given.minutes:g}m"]
            if method == PLUS:
                recipe = place / "recipe.toml"
                recipe.write_text(
                    f"[stages.first]\nenabled = {str(given.stage == 'first').lower()}\n", "utf-8"
                )
                words += ["--until", given.stage, "--recipe", str(recipe)]
            marks = [given.frames // 10, 3 * given.frames // 10, given.frames]
            peaks = []
            for now in label(
                [sys.executable, "-m", "warprefine", *words],
                place / method / "labels" / method / "clip",
                marks,
            ):
                peaks.append(now.peak)
                numbers = f"{now.count:>12}{now.minutes:>9.1f}{now.resident:>13.0f}{now.peak:>9.0f}"
                print(f"{method:<18}{numbers}", flush=True)
            growth = peaks[-2] / peaks[0] - 1 if len(peaks) > 2 else 0.0
            failed |= growth > ALLOWED_GROWTH or peaks[-1] > given.most
            print(
                f"growth of the peak {100 * growth:+.1f} %, allowed {100 * ALLOWED_GROWTH:.0f} %", flush=True
            )
    sys.exit(failed)


if __name__ == "__main__":
    main()
