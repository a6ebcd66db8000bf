"""The command that lists the corrections of a run, and copies them into the data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warprefine.cli.console import console
from warprefine.core.names import counted
from warprefine.jobs.copy_corrections import copy_corrections
from warprefine.jobs.finished import FinishedRun


def corrections(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    copy_to: Annotated[
        Path | None,
        typer.Option(metavar="DATA", help="Write the corrected label maps into this data set folder."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace label maps that the folder has of these frames.")
    ] = False,
) -> None:
    """List the frames that were corrected in a run; copy their label maps into the data set on request.

    Corrections are key frames of the run: `warprefine autolabel` with the same options labels from them, and
    trains on them with `--retrain`. The data set is altered by this command alone, with `--copy-to`.

    Example: `warprefine corrections runs/mine --copy-to data/mine`
    """
    if copy_to is not None:
        written = copy_corrections(run, copy_to, overwrite=overwrite)
        for path in written:
            console.print(f"written: {path}")
        console.print(f"{counted(len(written), 'label map')} copied")
        if written:
            console.print(_next(run, copy_to))
        return
    videos = FinishedRun.open(run).dataset.videos
    for video in videos:
        for frame in video.corrected:
            console.print(f"{video.name:<24} frame {frame:>6} ({video.stems[frame]})")
    console.print(f"{counted(sum(len(video.corrected) for video in videos), 'frame')} corrected")


def _next(run: Path, data: Path) -> str:
    """Return what to type once corrections are in a data set folder."""
    return (
        f"{run} has labels from them already; to train its networks on them: `warprefine autolabel {data} "
        f"--out {run} --retrain`, with the other options of the run. A new run of {data} takes them for key "
        "frames as it is"
    )
