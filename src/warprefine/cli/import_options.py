"""Options about the export of an annotation tool, which all commands that read one share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from warprefine.core.errors import RecipeError
from warprefine.interchange.imported import ImportOptions
from warprefine.jobs.import_labels import ImportSettings

EXPORT = "Export of an annotation tool"
"""The panel of these options in the help."""

Frames = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where the frames are, if the export has none: DIR/VIDEO/STEM.png, DIR/VIDEO.mp4, a folder of "
        "pictures or a video file; a data set folder gives its classes, too.",
        rich_help_panel=EXPORT,
    ),
]
VideoName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The video that all frames are of, if they do not say.",
        rich_help_panel=EXPORT,
    ),
]
Rename = Annotated[
    list[str],
    typer.Option(
        "--map",
        metavar="OLD=NEW",
        help="Read a class as another; OLD= makes it void; repeatable.",
        rich_help_panel=EXPORT,
    ),
]
Background = Annotated[
    str | None,
    typer.Option(
        metavar="CLASS",
        help="Class of all that is unlabelled; if not given, it is void.",
        rich_help_panel=EXPORT,
    ),
]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="DATA is an export, in this format of `warprefine import --list`.",
        rich_help_panel=EXPORT,
    ),
]
Names = Annotated[
    str,
    typer.Option(
        metavar="NAME,NAME",
        help="Names of the classes by their values, for index PNGs without names.",
        rich_help_panel=EXPORT,
    ),
]
ReduceZeroLabel = Annotated[
    bool,
    typer.Option(
        "--reduce-zero-label",
        help="In index PNGs, 0 is void and n is class n - 1, as in ADE20K.",
        rich_help_panel=EXPORT,
    ),
]
Suffix = Annotated[
    str,
    typer.Option(
        metavar="ENDING",
        help="What follows the name of a frame in that of its mask, such as _labelIds.png.",
        rich_help_panel=EXPORT,
    ),
]


def settings_of(arguments: Mapping[str, Any], *, classes: Path | None = None) -> ImportSettings:
    """Return the settings of an import from the arguments of a command that has these options.

    Args:
        arguments: The values by the names of the parameters.
        classes: The file of the classes of a new data set.
    """
    return ImportSettings(
        frames=arguments["frames"],
        classes=classes,
        renames=renames_of(arguments["rename"]),
        background=arguments["background"],
        options=ImportOptions(
            names=names_of(arguments["names"]),
            video=arguments["video"],
            reduce_zero_label=arguments["reduce_zero_label"],
            suffix=arguments["suffix"],
        ),
    )


def renames_of(pairs: Sequence[str]) -> dict[str, str]:
    """Return the names that --map gives.

    Raises:
        RecipeError: One is not OLD=NEW, or gives two names to a class.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        old, between, new = pair.rpartition("=")
        if not between or not old:
            raise RecipeError(f"--map {pair!r} is not OLD=NEW; expected for example --map person=pedestrian")
        if found.setdefault(old, new) != new:
            raise RecipeError(f"--map leads {old!r} to {found[old]!r} and to {new!r}; expected one of them")
    return found


def names_of(words: str) -> tuple[str, ...]:
    """Return the names that --names lists with commas."""
    return tuple(part.strip() for part in words.split(",")) if words else ()
