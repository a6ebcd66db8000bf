"""Begin the run of a command, and print how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

from warprefine.cli import import_options, options
from warprefine.cli.console import Bars, console, print_coverage, print_error, print_notes, print_out_of_reach
from warprefine.cli.log import log_to
from warprefine.core.errors import WarpRefineError
from warprefine.core.stages import GOOD, described
from warprefine.core.threads import use_threads
from warprefine.datasets import open_dataset
from warprefine.io.claims import check_apart, check_cache
from warprefine.io.locks import locked
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.networks import Networks
from warprefine.jobs.open_export import import_once, imported_folder
from warprefine.jobs.start import start
from warprefine.metrics.score_table import format_table
from warprefine.propagation.coverage import coverage


@contextmanager
def run_of(arguments: dict[str, Any], bars: Bars, *, training: bool) -> Iterator[Networks]:
    """Open the data sets and claim the run folder of a command's options; write its log."""
    use_threads(arguments["threads"])
    data = arguments["data"]
    if export_format := arguments.get("export_format"):
        data = imported_folder(arguments["out"])
        given = import_options.settings_of(arguments)
        print_notes(import_once(export_format, arguments["data"], data, settings=given, progress=bars))
    dataset = open_dataset(
        data,
        reader=arguments["reader"],
        split=arguments["split"],
        key_frames=arguments["keyframes"],
    )
    further = options.open_further(arguments["also_train"])
    roots = (dataset.root, *(one.root for one in further))
    check_apart(arguments["out"], *roots)
    if arguments["cache"] is not None:
        check_cache(arguments["cache"], arguments["out"], *roots)
    with locked(arguments["out"]):
        try:
            context = start(
                dataset,
                arguments["out"],
                horizon=arguments["horizon"],
                also_train=further,
                recipe=options.read_recipe(arguments["recipe"], arguments["motion"]),
                device=arguments["device"],
                seed=arguments["seed"],
                training=training,
                cache=arguments["cache"],
                retrain=arguments.get("retrain", False),
                base=arguments.get("base"),
                reuse=arguments.get("reuse", True),
                until=arguments.get("until"),
                unreached=arguments.get("unreached", "skip"),
                progress=bars,
            )
        except WarpRefineError:
            print_notes(dataset.notes)  # they may say why
            raise
        if context.unreached == "skip":
            planned = [coverage(video, context.horizon) for video in context.dataset.videos]
            print_out_of_reach(planned, horizon=context.horizon)
        with log_to(arguments["out"]):
            yield Networks(context)


def show(finished: FinishedRun) -> None:
    """Print the scores and where the results are; exit with 1 if videos were left out."""
    if finished.scores:
        console.print(format_table(finished.scores))
    if finished.methods:
        print_coverage(finished.coverage)
        console.print(f"labels: {finished.run.root / 'labels'}{_of_stage(finished)}")
        console.print(f"report: {finished.run.report_path}")
    end(finished.failures)


def _of_stage(finished: FinishedRun) -> str:
    """Return the stages that the labels are from, if not all are good."""
    stages = finished.stages
    return "" if not stages or [*stages] == [GOOD] else f" ({described(stages)})"


def end(failures: Mapping[str, str]) -> None:
    """Print why videos were left out, and exit with 1 if there are any."""
    for message in failures.values():
        print_error(message)
    if failures:
        raise typer.Exit(1)
