"""Begin the run of a command, and print how it ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import typer

from warprefine.cli import import_options, options
from warprefine.cli.console import Bars, console, print_coverage, print_error, print_notes, print_out_of_reach
from warprefine.cli.log import log_to
from warprefine.core.engine import HERE, Engine
from warprefine.core.errors import StorageError, WarpRefineError
from warprefine.core.progress import Progress, silent
from warprefine.core.stages import GOOD, described
from warprefine.core.threads import use_threads
from warprefine.datasets import open_dataset
from warprefine.io.claims import check_apart, check_cache
from warprefine.io.locks import locked
from warprefine.io.places import url_of
from warprefine.io.publishing import published
from warprefine.jobs.context import RunContext
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.networks import Networks
from warprefine.jobs.open_export import import_once, imported_folder
from warprefine.jobs.preflight import check_device
from warprefine.jobs.start import start
from warprefine.metrics.score_table import format_table
from warprefine.propagation.coverage import coverage
from warprefine.training.engine.distributed import World, joined


@contextmanager
def run_of(
    arguments: dict[str, Any], *, training: bool, single_frames: bool = False, engine: Engine = HERE
) -> Iterator[Networks]:
    """Open the data sets and claim the run folder of a command's options; show progress and write its log.

    Processes that torchrun has started share the run: the first does this, and shows progress.

    Args:
        arguments: The options.
        training: Whether networks may be trained.
        single_frames: Take data without any frame to label.
        engine: Where files are checked, networks trained and frames labelled.

    Yields:
        The networks of the run, trained and used by the engine.
    """
    use_threads(arguments["threads"])
    with joined(arguments["device"]) as (world, place), ExitStack() as stack:
        device = check_device(str(place))
        _check_urls(arguments, world)
        arguments = {**arguments, "out": stack.enter_context(published(arguments["out"]))}
        progress: Progress = silent
        if world.is_first:
            progress = stack.enter_context(Bars())
        else:  # the first warns for all
            logging.getLogger("warprefine").setLevel(logging.ERROR)

        def begin() -> RunContext:
            context = _begin(
                arguments,
                str(place),
                progress,
                stack,
                training=training,
                single_frames=single_frames,
                engine=engine,
            )
            return replace(context, progress=silent)  # nobody else can show it

        context = replace(world.of_first(begin), world=world, device=device, progress=progress)
        with log_to(arguments["out"]):
            yield Networks(context)


def _begin(
    arguments: dict[str, Any],
    device: str,
    progress: Progress,
    stack: ExitStack,
    *,
    training: bool,
    single_frames: bool,
    engine: Engine,
) -> RunContext:
    """Start a run whose folder stays locked until `stack` ends."""
    data = arguments["data"]
    if export_format := arguments.get("export_format"):
        data = imported_folder(arguments["out"])
        given = import_options.settings_of(arguments)
        print_notes(import_once(export_format, arguments["data"], data, settings=given, progress=progress))
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
    stack.enter_context(locked(arguments["out"]))
    calibrate = arguments.get("calibrate", False)
    try:
        context = start(
            dataset,
            arguments["out"],
            horizon=arguments["horizon"],
            also_train=further,
            recipe=options.read_recipe(arguments["recipe"], arguments["motion"], calibrate=calibrate),
            device=device,
            seed=arguments["seed"],
            training=training,
            single_frames=single_frames,
            cache=arguments["cache"],
            cache_size=arguments.get("cache_size"),
            retrain=arguments.get("retrain", False),
            base=arguments.get("base"),
            reuse=arguments.get("reuse", True),
            until=arguments.get("until"),
            unreached=arguments.get("unreached", "skip"),
            boundaries=arguments.get("boundaries", True),
            engine=engine,
            progress=progress,
        )
    except WarpRefineError:
        print_notes(dataset.notes)  # they may say why
        raise
    if context.unreached == "skip":
        planned = [coverage(video, context.horizon) for video in context.dataset.videos]
        print_out_of_reach(planned, horizon=context.horizon)
    return context


def _check_urls(arguments: Mapping[str, Any], world: World) -> None:
    """Raise if a run or data by URL are to be shared by processes, or to be imported.

    Raises:
        StorageError: They are.
    """
    urls = [url for url in map(url_of, (arguments["data"], arguments["out"])) if url is not None]
    if urls and arguments.get("export_format"):
        raise StorageError(
            f"{urls[0]} is a URL, and --format imports into a folder of this machine; run `warprefine "
            "import` first, and put the data set that it makes into the storage"
        )
    if urls and world.size > 1:
        raise StorageError(
            f"{urls[0]} is a URL, which processes of torchrun cannot share; expected folders that all of "
            "them reach; copy the data, or mount the storage"
        )


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
