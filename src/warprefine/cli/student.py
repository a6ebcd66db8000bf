"""Train students on the pseudo-labels of a run from the command line, also under torchrun."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from warprefine.cli import options
from warprefine.cli.console import Bars, console
from warprefine.cli.engines import engine_of, threads_of
from warprefine.cli.log import log_to
from warprefine.core.threads import use_threads
from warprefine.io.locks import locked
from warprefine.jobs.preflight import check_device, check_seed
from warprefine.jobs.student import StudentJob, usual_method
from warprefine.jobs.students import train_students_on_runs
from warprefine.propagation.methods import METHODS, check_methods
from warprefine.recipe.student import StudentRecipe, load_student_recipe, shipped_student_recipes
from warprefine.report.result_table import ResultTable, Spread, to_text
from warprefine.training.engine.distributed import joined

NOTHING = "none"


def student(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder with labels.", show_default=False)],
    out: options.Out,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Method whose pseudo-labels to train on: {', '.join(METHODS)}, or {NOTHING} for "
            "hand-made labels alone; if not given, the last of these that the run has, the oracle excepted.",
        ),
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="READER:SPLIT:ROOT", help="Labelled data to test on.")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|NAME",
            help=f"TOML file of a student, or one of: {', '.join(shipped_student_recipes())}.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Trainings, each with a seed of its own.")
    ] = 1,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
    seed: options.Seed = 0,
    coarse: Annotated[
        str | None,
        typer.Option(
            metavar="READER:SPLIT:ROOT",
            help="Data with coarse labels to train on too.",
            rich_help_panel=options.ADVANCED,
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Checkpoint to start from, such as another data set's student.",
            rich_help_panel=options.ADVANCED,
        ),
    ] = "",
    workers: options.Workers = None,
    engine: options.EngineName = None,
    address: options.Address = None,
) -> None:
    """Train a single-frame network on hand-made labels and pseudo-labels, and test it.

    The same command again continues where it stopped. With several GPUs, start it by torchrun: they share
    each batch, and the result is that of one. With `--workers` or `--engine ray` the students of several
    `--seeds` are trained at the same time.

    Examples:
    - `warprefine student runs/clip --test camvid:test:data/camvid --out runs/student`
    - `torchrun --nproc-per-node 8 -m warprefine student runs/city --recipe city.toml --device cuda
      --test cityscapes:val:data/cityscapes --out runs/student`
    """
    arguments = locals()
    arguments["threads"] = threads_of(arguments)
    use_threads(arguments["threads"])
    for number in (seed, seed + seeds - 1):
        check_seed(number)
    settings = load_student_recipe(recipe) if recipe else StudentRecipe()
    if weights:
        settings = settings.model_copy(update={"weights": weights})
    name = method or usual_method(run)
    chosen = None if name == NOTHING else check_methods([name])[0]
    tested, further = (options.open_further([source])[0] if source else None for source in (test, coarse))
    with (
        engine_of(arguments) as workshop,
        joined(device) as (world, place),
        Bars() as bars,
        ExitStack() as stack,
    ):
        if world.is_first:
            stack.enter_context(locked(out))
        stack.enter_context(log_to(out))
        own_device = check_device(str(place))
        jobs = [
            StudentJob(
                run=run,
                out=out,
                method=chosen,
                recipe=settings,
                test=tested,
                coarse=further,
                device=own_device,
                seed=number,
                world=world,
            )
            for number in range(seed, seed + seeds)
        ]
        found = train_students_on_runs(jobs, engine=workshop, progress=bars)
        if world.is_first and found:
            table = ResultTable(
                title=f"Test of the student ({name}), %",
                columns=("student", "mIoU", "pixel accuracy", "mean accuracy"),
                rows=(
                    (
                        settings.network,
                        Spread.of([one.miou for one in found]),
                        Spread.of([one.pixel_accuracy for one in found]),
                        Spread.of([one.mean_accuracy for one in found]),
                    ),
                ),
            )
            console.print(to_text(table))
        if world.is_first:
            console.print(f"weights: {jobs[-1].weights}")
