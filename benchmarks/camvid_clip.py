"""Run `warprefine autolabel` on a clip of CamVid with a recipe: what benchmarks of the main job share."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from warprefine.propagation.methods import PLUS


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that `label` and `runs` need."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="CamVid, see docs/datasets.md")
    parser.add_argument("--recipe", action="append", help="default, or a name or file; repeatable")
    parser.add_argument("--keyframes", default="10::21", help="START::STEP")
    parser.add_argument("--horizon", type=int, default=10)
    parser.add_argument("--key-frames-alone", action="store_true", help="without further stills")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the runs here")
    return parser


def runs(options: argparse.Namespace, *defaults: str) -> Iterator[tuple[str, Path]]:
    """Yield each recipe that is asked for, else the defaults, with the folder of its run."""
    folder = options.out or Path(tempfile.mkdtemp(prefix=f"warprefine-{Path(sys.argv[0]).stem}-"))
    for recipe in options.recipe or defaults:
        yield recipe, folder / Path(recipe).stem


def label(recipe: str, options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Run the job with a recipe, "default" or a name or file; return the scores of the default method."""
    words = [sys.executable, "-m", "warprefine", "autolabel", options.data, "--reader", "camvid"]
    words += ["--split", "clip15hz", "--keyframes", options.keyframes, "--horizon", options.horizon]
    # A base segmenter in the user's cache would spare the first run of a recipe and not the next.
    words += ["--no-reuse", "--out", out, "--seed", options.seed]
    words += ["--threads", options.threads, "--method", PLUS]
    if not options.key_frames_alone:
        words += ["--also-train", f"camvid:train:{options.data}"]
    if recipe != "default":
        words += ["--recipe", recipe]
    subprocess.run([str(word) for word in words], check=True)
    scores: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))[PLUS]
    return scores
