"""The commands that tell how good labels are, and which frame to label next."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from warprefine.cli import options
from warprefine.cli.console import Bars, console, print_notes
from warprefine.core.threads import use_threads
from warprefine.datasets.label_notes import review_labels
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.hold_out import evaluate_hold_out
from warprefine.jobs.hold_out_file import ESTIMATES
from warprefine.jobs.results import report_again
from warprefine.metrics.hold_out import format_estimates
from warprefine.metrics.score_table import format_table


def evaluate(
    run: options.Run,
    void_as_class: Annotated[
        bool,
        typer.Option(
            "--void-as-class",
            help="Score VOID as a class of its own.",
            rich_help_panel=options.ADVANCED,
        ),
    ] = False,
    hold_out: Annotated[
        bool,
        typer.Option(
            "--hold-out", help="Estimate the scores without truth: hold out each key frame in turn."
        ),
    ] = False,
    boundaries: options.Boundaries = True,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
) -> None:
    """Print the table of mIoU by method and distance of a finished run.

    If some frames lie between two key frames, and others beside them with key frames on one side only, a
    table of each follows.

    With `--hold-out` no truth is needed: each key frame is labelled from its neighbours by networks that
    have not learned from it, which are trained first. Prints the mIoU to be expected by distance and
    class, with its range, and adds it to the report. Where a video has one key frame alone, its labels
    are sent through cycles, which is the weaker estimate.

    Examples:
    - `warprefine evaluate runs/clip`
    - `warprefine evaluate runs/mine --hold-out`
    """
    use_threads(threads)
    finished = FinishedRun.open(run)
    if hold_out:
        with Bars() as bars:
            estimates = evaluate_hold_out(finished, device=device, progress=bars)
            report_again(finished)
        console.print(format_estimates(estimates))
        console.print(
            "estimates follow from the confidence of the run's labels, calibrated on these key frames; in "
            f"brackets: nine tenths of draws of key frames; all distances are in {run / ESTIMATES}"
        )
        return
    console.print(format_table(finished.evaluate(void_as_class=void_as_class, boundaries=boundaries)))
    print_notes(review_labels(finished.dataset).score_notes)


def suggest(
    run: options.Run,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many frames to name.")] = 5,
    method: Annotated[
        str | None,
        typer.Option(help="Method whose labels are to be improved.", show_default="the run's best"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Name the frames whose labelling would help most, the best first, each with the reason.

    The expected errors come from the confidence of labels; where it is not calibrated (`warprefine autolabel
    --calibrate`) the order is usable, the numbers are not. A frame that is named lowers what is expected of
    its neighbours, so the frames are spread over the videos. Frames that were accepted in the review are
    left out, as long as they have the labels that were accepted.

    Example: `warprefine suggest runs/clip -n 3`
    """
    found = FinishedRun.open(run).suggest(number, method)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
        for note in found.notes:
            typer.echo(f"note: {note}", err=True)
        return
    for one in found:
        console.print(f"{one.video} frame {one.frame} ({one.stem}): {one.reason}")
    print_notes(found.notes)
