"""Options that several commands share, with their help."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from warprefine.core.errors import DatasetError
from warprefine.core.sizes import EXPECTED, bytes_named
from warprefine.core.stages import Stage
from warprefine.core.video import Dataset
from warprefine.datasets import READERS, open_dataset
from warprefine.io.mirror import SIZE_VARIABLE
from warprefine.io.places import place_of
from warprefine.motion import MOTIONS
from warprefine.propagation.methods import METHODS, check_methods
from warprefine.propagation.unreached import Unreached
from warprefine.recipe.recipe import Recipe, load_recipe, shipped_recipes

ALL = "all"
ADVANCED, CLUSTER, STORAGE = "Advanced", "Cluster", "Storage"
"""Panels of the help, which follow the options that most people need."""

_UNITS = {"s": 1, "m": 60, "h": 3600}
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_MOST_DIGITS = 9  # no video has more frames


def _horizon(word: object) -> int | str:
    """Return the horizon that --horizon names, in frames or "all"."""
    text = str(word)
    if text == ALL:
        return text
    if not (text.isascii() and text.isdecimal()) or len(text) > _MOST_DIGITS or int(text) < 1:
        raise typer.BadParameter(f"{text[:20]!r} is neither a number of frames (1 or more) nor {ALL!r}")
    return int(text)


def _seconds(word: object) -> float:
    """Return the seconds that --time-limit names, such as 90s, 5m, 1.5h or a plain number."""
    text = str(word)
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "s")
    if not _NUMBER.fullmatch(number) or float(number) == 0:
        raise typer.BadParameter(
            f"{text[:20]!r} is no time; give a number of seconds, or one with its unit, such as 90s, 5m or 1h"
        )
    return float(number) * _UNITS[unit]


def _bytes(word: object) -> int:
    """Return the bytes that --cache-size names, such as 500MB or 20GB."""
    size = bytes_named(str(word))
    if size is None:
        raise typer.BadParameter(f"{str(word)[:20]!r} is no size; give {EXPECTED}")
    return size


Data = Annotated[
    Path,
    typer.Argument(
        parser=place_of,
        metavar="DATA",
        help="Folder that holds the data set, or its URL, such as s3://bucket/data.",
        show_default=False,
    ),
]
Run = Annotated[
    Path, typer.Argument(parser=place_of, metavar="RUN", help="Run folder, or its URL.", show_default=False)
]
OutOrUrl = Annotated[
    Path,
    typer.Option(
        "--out",
        parser=place_of,
        metavar="FOLDER|URL",
        help="Run folder, or its URL; give it again to resume.",
        show_default=False,
    ),
]
Out = Annotated[
    Path,
    typer.Option(metavar="FOLDER", help="Run folder; give it again to resume.", show_default=False),
]
Reader = Annotated[
    str, typer.Option(metavar="NAME", help=f"Layout of the data set: {', '.join(sorted(READERS))}.")
]
Split = Annotated[str, typer.Option(metavar="NAME", help="Part of the data set, such as clip15hz of CamVid.")]
KeyFrames = Annotated[
    str | None,
    typer.Option(
        metavar="START::STEP",
        help="Key frames are the labelled ones of the frames START, START + STEP, ... (from 0); other labels "
        "are held back as truth.",
    ),
]
Horizon = Annotated[
    Any,
    typer.Option(
        parser=_horizon, metavar="FRAMES|all", help="Label frames up to this far from a key frame, or all."
    ),
]
AlsoTrain = Annotated[
    list[str],
    typer.Option(
        metavar="READER:SPLIT:ROOT",
        help="Further labelled data of the same classes for the segmenter; repeatable.",
    ),
]
Until = Annotated[
    Stage,
    typer.Option(
        metavar="STAGE",
        help="Last stage of warp-refine-plus: first (labels to look at), good, or best (no matter how long).",
    ),
]
UnreachedFrames = Annotated[
    Unreached,
    typer.Option(
        "--unreached",
        metavar="skip|semantic",
        help="Frames that no key frame reaches: skip them, or label them by the segmenter alone (semantic).",
        rich_help_panel=ADVANCED,
    ),
]
Boundaries = Annotated[
    bool,
    typer.Option(
        "--boundaries/--no-boundaries",
        help="Score the boundaries of classes too where there is truth.",
        rich_help_panel=ADVANCED,
    ),
]
Calibrate = Annotated[
    bool,
    typer.Option(
        "--calibrate",
        help="Fit confidence to held-out key frames; takes a refiner more for each fold.",
        rich_help_panel=ADVANCED,
    ),
]
TimeLimit = Annotated[
    Any,
    typer.Option(
        parser=_seconds,
        metavar="TIME",
        help="Stop after this time (90s, 5m, 1h); the same command goes on from there.",
    ),
]
EngineName = Annotated[
    Literal["here", "processes", "ray"] | None,
    typer.Option(
        "--engine",
        metavar="here|processes|ray",
        help="Train and label in this process, in several, or by workers of a Ray cluster, with the same "
        "results; if not given, processes with --workers, else here.",
        rich_help_panel=CLUSTER,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="auto|HOST:PORT|local",
        help="Ray cluster: auto is that of this machine, local a new one on it; if not given, $RAY_ADDRESS, "
        "else local.",
        rich_help_panel=CLUSTER,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Processes that train and label at the same time, each with --threads threads; if not given "
        "with --engine ray, as many as the cluster has room for.",
        rich_help_panel=CLUSTER,
    ),
]
Method = Annotated[
    list[str],
    typer.Option(
        metavar="NAME", help=f"Method to run; repeatable. One of: {', '.join(METHODS)}, or {ALL} of them."
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|NAME",
        help=f"TOML file of hyper-parameters, or a shipped recipe: {', '.join(shipped_recipes())}.",
    ),
]
Motion = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help=f"Motion estimator of the paper's methods: {', '.join(MOTIONS)}, a checkpoint, or best (the one "
        "trained in this run, else dis-medium). That of warp-refine-plus is in the recipe, [plus.carry].",
        rich_help_panel=ADVANCED,
    ),
]
Weights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Checkpoint of another run to use in this one.")
]
Device = Annotated[str, typer.Option(metavar="DEVICE", help="Where networks run: cpu, cuda or cuda:1.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of all random numbers, from 0 to 4294967295.")]
Threads = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="CPU threads, at most one per core; 0 means one per core."),
]

Base = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN|FILE",
        help="Base segmenter to adapt to the key frames: a checkpoint, or a run with --also-train.",
        rich_help_panel=ADVANCED,
    ),
]
Reuse = Annotated[
    bool,
    typer.Option(
        "--reuse/--no-reuse",
        help="Take base segmenters that were trained before from the user's cache, and keep new ones there; "
        "`warprefine cache` shows them.",
        rich_help_panel=STORAGE,
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder for flow and all else that can be computed again, which runs may share; if not given, "
        "RUN/cache.",
        rich_help_panel=STORAGE,
    ),
]
CacheSize = Annotated[
    Any,
    typer.Option(
        parser=_bytes,
        metavar="SIZE",
        help="What flow, segmentations and samples may take in the cache (500MB, 20GB; a GB is 10^9 bytes): "
        "the oldest are deleted, and computed again if need be; if not given, there is no limit. Of data by "
        f"URL copies of 20GB are kept, or of the size in the variable {SIZE_VARIABLE}.",
        rich_help_panel=STORAGE,
    ),
]
Retrain = Annotated[
    bool,
    typer.Option(
        "--retrain",
        help="Train the networks anew if frames or label maps changed since they were trained.",
        rich_help_panel=ADVANCED,
    ),
]


def chosen_methods(names: Sequence[str]) -> tuple[str, ...]:
    """Return the methods that --method names, in the order of `METHODS`; `all` stands for every one.

    Raises:
        RecipeError: A name is not a method's; the message has the nearest one.
    """
    return check_methods([method for name in names for method in (METHODS if name == ALL else [name])])


def read_recipe(path: Path | None, motion: str | None, *, calibrate: bool = False) -> Recipe:
    """Return the recipe that --recipe names, with the motion that --motion names; --calibrate adds to it."""
    recipe = load_recipe(path) if path else Recipe()
    if calibrate:
        recipe = recipe.calibrating()
    return recipe if motion is None else recipe.changed(("propagation", "motion"), motion)


def open_further(sources: list[str]) -> list[Dataset]:
    """Open the data sets that --also-train names.

    Raises:
        DatasetError: One is not READER:SPLIT:ROOT.
    """
    opened = []
    for source in sources:
        parts = source.split(":", 2)
        if len(parts) != 3:
            raise DatasetError(
                f"--also-train {source!r} is not READER:SPLIT:ROOT; "
                "expected for example camvid:train:data/camvid"
            )
        reader, split, root = parts
        opened.append(open_dataset(root, reader=reader, split=split))
    return opened
