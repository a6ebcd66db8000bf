"""List the commands that faults are injected into, and the kinds of faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_RUN = ("@/data", "--horizon=2", "--recipe=@/tiny.toml", "--threads=1", "--out=@/run")
_WEIGHTS = "@/run/checkpoints"


READS, WRITES, GROWS, ASKS = 1, 2, 4, 8
KINDS = {
    "EIO": READS | WRITES,
    "EROFS": WRITES,
    "ENOSPC": GROWS,
    "ASKED": ASKS,  # EIO where a program asks what there is: stat
    "SIGKILL": READS | WRITES,
}
"""What operations do at which each kind of fault can occur, as in shim.c."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong.

    Attributes:
        kind: A key of `KINDS`.
        at: The number of the operation, from 1, among those at which it can occur; 0: nothing goes wrong.
        lasting: All later operations of these kinds fail too: a disk that stays full.
        death: SIGKILL comes before the operation (0), after it (1), or after half of what it writes (2).
    """

    kind: str = "SIGKILL"
    at: int = 0
    lasting: bool = False
    death: int = 0


@dataclass(frozen=True)
class Command:
    """A command line; "@" stands for the folder of the job.

    Attributes:
        after: The command whose outputs it finds; "" if it finds inputs alone.
        words: Its arguments.
        is_visited: It serves a page until it is stopped: it is visited, and stopped.
    """

    after: str
    words: Sequence[str]
    is_visited: bool = False


COMMANDS = {
    "inspect": Command("", ("inspect", "@/data", "--check")),
    "frames": Command("", ("frames", "@/clip.mp4", "--out=@/frames")),
    "convert-camvid32": Command("", ("convert", "camvid32", "@/camvid", "--out=@/camvid32")),
    "convert-nyuv2": Command("", ("convert", "nyuv2", "@/nyuv2", "--border=2", "--out=@/nyuv2-folders")),
    "split": Command("", ("split", "apolloscape", "@/apolloscape", "--out=@/split.json")),
    # `export` and an import without --add make something new, and refuse to be repeated.
    "import": Command("", ("import", "index-png", "@/index", "@/unlabelled", "--add")),
    "weights-import": Command(
        "", ("weights", "import", "@/raft.pth", "--as=raft", "--out=@/weights/raft.safetensors")
    ),
    "weights-show": Command("weights-import", ("weights", "show", "@/weights/raft.safetensors")),
    "motion-only": Command("", ("autolabel", *_RUN, "--method=motion-only", "--method=oracle")),
    "train-segmenter": Command("", ("train", "segmenter", *_RUN)),
    "train-refiner": Command("train-segmenter", ("train", "refiner", *_RUN)),
    "train-two-sided-refiner": Command("train-refiner", ("train", "two-sided-refiner", *_RUN)),
    "train-motion": Command("", ("train", "motion", *_RUN)),
    "autolabel": Command("train-two-sided-refiner", ("autolabel", *_RUN, "--method=all")),
    "report": Command("autolabel", ("autolabel", *_RUN, "--method=all")),
    "evaluate": Command("autolabel", ("evaluate", "@/run")),
    "hold-out": Command("autolabel", ("evaluate", "@/run", "--hold-out", "--threads=1")),
    "suggest": Command("autolabel", ("suggest", "@/run")),
    "review": Command("autolabel", ("review", "@/run", "--no-browser"), is_visited=True),
    "corrections": Command("review", ("corrections", "@/run")),
    "copy-corrections": Command("review", ("corrections", "@/run", "--copy-to=@/data")),
    "label-from-corrections": Command("review", ("autolabel", *_RUN, "--method=all")),
    "propagate": Command(
        "train-two-sided-refiner",
        (
            *("propagate", *_RUN[:-1], "--out=@/other", "--method=warp-refine-plus"),
            f"--segmenter={_WEIGHTS}/segmenter.safetensors",
            f"--two-sided-refiner={_WEIGHTS}/two-sided-refiner.safetensors",
        ),
    ),
    "student": Command(
        "autolabel",
        (
            "student",
            "@/run",
            "--recipe=@/student.toml",
            "--test=folder::@/data",
            "--threads=1",
            "--out=@/student",
        ),
    ),
    "predict": Command(
        "train-segmenter",
        ("predict", f"{_WEIGHTS}/segmenter.safetensors", "@/clip.mp4", "--threads=1", "--out=@/prediction"),
    ),
    "whole": Command("", ("autolabel", *_RUN, "--method=all")),
    "demo": Command("", ("demo", "--threads=1", "--out=@/demo")),
}
