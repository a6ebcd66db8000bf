"""Compare what `evaluate --hold-out` expects of a run, and its confidence, with the truth.

For each choice of key frames: label the clip, estimate the mIoU from the key frames alone, and print it
beside the true mIoU by distance. Then the expected calibration error (ECE) of the confidence on frames with
truth that took no part in anything: as it is, and calibrated.

Without a folder of data, a procedural street is rendered: two drives of 101 frames.

Example: python benchmarks/hold_out.py data/camvid --reader camvid --split clip15hz \
    --also-train camvid:train:data/camvid --keyframes 5::10 --keyframes 10::20 --keyframes 0::25
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rendered_street import street

from warprefine.metrics.scores import format_percent
from warprefine.propagation.methods import PLUS


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What was expected of a run, and what is true, in percent.

    Attributes:
        expected: The estimated mIoU by distance, 1 first.
        true: The true one.
        raw: ECE of the confidence as it is.
        calibrated: ECE of the calibrated confidence, where the run calibrates.
    """

    expected: Sequence[float | None]
    true: Sequence[float | None]
    raw: float
    calibrated: float | None

    @property
    def differences(self) -> list[float]:
        """Estimate less truth at each distance that has both."""
        pairs = zip(self.expected, self.true, strict=True)
        return [e - t for e, t in pairs if e is not None and t is not None]


def command(*words: object) -> None:
    """Run a command of warprefine."""
    subprocess.run([sys.executable, "-m", "warprefine", *map(str, words)], check=True)


def compare(options: argparse.Namespace, data: Path, key_frames: str, out: Path) -> Compared:
    """Label, estimate, and read what was written."""
    words: list[object] = ["autolabel", data, "--reader", options.reader, "--keyframes", key_frames]
    words += ["--horizon", options.horizon, "--out", out, "--seed", options.seed, "--method", options.method]
    words += ["--threads", options.threads, "--calibrate"]
    words += ["--split", options.split] if options.split else []
    words += ["--recipe", options.recipe] if options.recipe else []
    words += [word for source in options.also_train for word in ("--also-train", source)]
    command(*words)
    command("evaluate", out, "--hold-out", "--threads", options.threads)
    estimate = _read(out / "hold_out.json")["methods"][options.method]
    scores = _read(out / "metrics.json")[options.method]
    reliability = scores["reliability"]
    calibrated = reliability["calibrated"]
    return Compared(
        expected=[value for value, _, _ in estimate["miou_by_distance"]],
        true=scores["miou_by_distance"],
        raw=reliability["raw"]["ece"],
        calibrated=None if calibrated is None else calibrated["ece"],
    )


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main() -> None:
    """Compare for each choice of key frames and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, help="a data set in which frames have truth")
    parser.add_argument("--reader", default="folder")
    parser.add_argument("--split")
    parser.add_argument("--also-train", action="append", default=[])
    parser.add_argument("--keyframes", action="append", required=True, help="START::STEP; repeatable")
    parser.add_argument("--horizon", type=int, default=10)
    parser.add_argument("--recipe")
    parser.add_argument("--method", default=PLUS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the runs here")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="warprefine-hold_out-"))
    data = options.data or street(folder / "street", videos=2, seed=options.seed)
    lines = []
    for key_frames in options.keyframes:
        found = compare(options, data, key_frames, folder / key_frames.replace("::", "-every-"))
        off = found.differences
        mean = sum(off) / len(off)
        absolute = sum(map(abs, off)) / len(off)
        lines += [
            f"{key_frames}: estimate less truth {mean:+.1f}, mean of absolute values {absolute:.1f}",
            f"  ECE: raw {found.raw:.2f} %, calibrated {format_percent(found.calibrated)} %",
            "  expected " + " ".join(f"{format_percent(v):>5}" for v in found.expected),
            "  true     " + " ".join(f"{format_percent(v):>5}" for v in found.true),
        ]
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
