"""Run the experiments of the paper from the command line."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from warprefine.cli import options
from warprefine.cli.console import Bars, console
from warprefine.cli.engines import engine_of, threads_of
from warprefine.cli.log import log_to
from warprefine.core.errors import RecipeError
from warprefine.core.names import look_up
from warprefine.core.progress import silent
from warprefine.core.threads import use_threads
from warprefine.io.claims import check_apart
from warprefine.io.locks import locked
from warprefine.jobs.experiments import EXPERIMENTS, plan_experiment
from warprefine.jobs.experiments.context import STREET, ExperimentContext
from warprefine.jobs.experiments.disk import check_disk, free_bytes
from warprefine.jobs.experiments.findings import Findings, write_findings
from warprefine.jobs.experiments.plan import THROUGHPUTS, Plan, Throughput
from warprefine.jobs.experiments.recipe import load_experiment_recipe, shipped_recipes
from warprefine.jobs.preflight import check_device
from warprefine.recipe.network import NetworkRecipe
from warprefine.report.result_table import to_text
from warprefine.segmentation import SEGMENTERS
from warprefine.training.engine.distributed import ALONE, joined
from warprefine.training.segmenter import settings_of_weights

_RECIPES = sorted({recipe for name in EXPERIMENTS for recipe in shipped_recipes(name)})
_PLAN = "Plan"  # panel of the help


def experiment(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(EXPERIMENTS)}.", show_default=False)],
    out: options.Out,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the data set; the procedural street needs none."),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="FILE|NAME",
            help=f"TOML file, or a shipped recipe: {', '.join(_RECIPES)}; small is CamVid on two CPU "
            "cores. Not every experiment has them all.",
        ),
    ] = "street",
    seeds: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Trainings of each student; 0 uses the recipe's number."),
    ] = 0,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
    seed: options.Seed = 0,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Print trainings, steps, frames, disk and hours, and do nothing.",
            rich_help_panel=_PLAN,
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan as JSON.", rich_help_panel=_PLAN)
    ] = False,
    train_rate: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="RATE",
            help="10^12 multiply-adds that a training does in a second; "
            f"0 is {THROUGHPUTS['cpu'].training:g} on a CPU, {THROUGHPUTS['cuda'].training:g} on a GPU.",
            rich_help_panel=_PLAN,
        ),
    ] = 0,
    label_rate: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="RATE",
            help="The same of networks that label; "
            f"0 is {THROUGHPUTS['cpu'].labelling:g} on a CPU, {THROUGHPUTS['cuda'].labelling:g} on a GPU.",
            rich_help_panel=_PLAN,
        ),
    ] = 0,
    frame_rate: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="RATE",
            help="Megapixels in a second that are read, followed by flow, warped and written; "
            f"0 is {THROUGHPUTS['cpu'].frames:g} on a CPU, {THROUGHPUTS['cuda'].frames:g} beside a GPU.",
            rich_help_panel=_PLAN,
        ),
    ] = 0,
    initial_weights: Annotated[
        list[str],
        typer.Option(
            metavar="NETWORK=FILE",
            help="Checkpoint that teacher and students of a network begin from; repeatable.",
            rich_help_panel=options.ADVANCED,
        ),
    ] = [],  # noqa: B006
    other_weights: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Of relaxation, coarse and benchmark: checkpoint of another data set that students begin "
            "from, besides those without; empty: that of the recipe.",
            rich_help_panel=options.ADVANCED,
        ),
    ] = "",
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch",
            help="Begin from random weights where there are no others.",
            rich_help_panel=options.ADVANCED,
        ),
    ] = False,
    workers: options.Workers = None,
    engine: options.EngineName = None,
    address: options.Address = None,
    disk_check: Annotated[
        bool,
        typer.Option(
            "--disk-check/--no-disk-check",
            help="Refuse to start where the disk of --out has less free than the experiment will write.",
            rich_help_panel=options.ADVANCED,
        ),
    ] = True,
) -> None:
    """Run an experiment of the paper and write its tables, charts and pictures.

    The same command again continues where it stopped; `--seeds` may be raised later. With `--plan` it prints
    what is left to do instead. With `--workers` or `--engine ray` students and refiners of all arms and seeds
    are trained at the same time. With several GPUs, start it by torchrun: they share each training, each test
    and the frames to label.

    Examples:
    - `warprefine experiment quality --out runs/street`
    - `warprefine experiment utility --recipe small --data data/camvid --out runs/utility`
    - `warprefine experiment utility --recipe cityscapes --data data/cityscapes --device cuda
      --out runs/table1 --initial-weights hrnet-ocr-w48=weights/hrnet.safetensors`
    - `torchrun --nproc-per-node 8 -m warprefine experiment horizon --recipe nyuv2 --data data/nyuv2
      --device cuda --out runs/figure8 --initial-weights hrnet-ocr-w48=weights/hrnet.safetensors`
    """
    arguments = locals()
    arguments["threads"] = threads_of(arguments)
    use_threads(arguments["threads"])
    look_up(EXPERIMENTS, name, what="experiment")
    settings = load_experiment_recipe(name, recipe)
    if seeds:
        settings = settings.model_copy(update={"seeds": seeds})
    if initial_weights:
        settings = settings.model_copy(update={"initial_weights": _by_network(initial_weights)}).initialised()
    if other_weights:
        settings_of_weights(NetworkRecipe(network=settings.student.network, weights=other_weights))
        settings = settings.model_copy(update={"other_weights": other_weights})
    if from_scratch:
        settings = settings.from_scratch()
    check_apart(out, *([data] if data else []))
    if plan:
        given = {"training": train_rate, "labelling": label_rate, "frames": frame_rate}
        default = THROUGHPUTS["cuda" if device.startswith("cuda") else "cpu"]
        throughput = replace(default, **{key: rate for key, rate in given.items() if rate})
        context = ExperimentContext(experiment=name, out=out, root=data, recipe=settings, seed=seed)
        _print_plan(context, throughput, as_json=as_json)
        return
    with engine_of(arguments) as workshop, joined(device) as (world, place), ExitStack() as stack:
        own_device = check_device(str(place))
        progress = stack.enter_context(Bars()) if world.is_first else silent
        if world.is_first:
            stack.enter_context(locked(out))
        context = ExperimentContext(
            experiment=name,
            out=out,
            root=data,
            recipe=settings,
            device=str(own_device),
            seed=seed,
            progress=progress,
            engine=workshop,
            world=world,
        )
        context.claim()
        if world.is_first:
            _print_disk(context, check=disk_check)
        world.wait()
        stack.enter_context(log_to(out))
        if not world.is_first:  # the first warns for all
            logging.getLogger("warprefine").setLevel(logging.ERROR)
        findings = EXPERIMENTS[name].run(context)
        if world.is_first:
            page = write_findings(out, findings, title=EXPERIMENTS[name].title)
            stack.callback(_print_findings, findings, page)  # below the bars


def _print_findings(findings: Findings, page: Path) -> None:
    """Print the tables of an experiment, its remarks and where all of it is."""
    for table in findings.tables.values():
        console.print(to_text(table, unranked=findings.unranked))
    for remark in findings.remarks:
        console.print(remark)
    console.print(f"tables, figures and recipe: {page}")


def _by_network(words: Sequence[str]) -> dict[str, str]:
    """Return the files that --initial-weights names, by network.

    Raises:
        RecipeError: One is not NETWORK=FILE, or there is no such network.
        CheckpointError: A file is missing or holds another network.
    """
    found = {}
    for word in words:
        network, _, file = word.partition("=")
        if not file:
            raise RecipeError(
                f"--initial-weights {word!r} is not NETWORK=FILE; "
                "expected for example hrnet-ocr-w48=weights/hrnet.safetensors"
            )
        look_up(SEGMENTERS, network, what="segmenter")
        settings_of_weights(NetworkRecipe(network=network, weights=file))
        found[network] = file
    return found


def _print_plan(context: ExperimentContext, throughput: Throughput, *, as_json: bool) -> None:
    """Print what an experiment would do; the street is rendered to be counted, and not kept."""
    if context.recipe.data.reader != STREET or (context.out / "data").exists():
        found = plan_experiment(context, throughput)
    else:
        with TemporaryDirectory() as folder:
            found = plan_experiment(replace(context, out=Path(folder)), throughput)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
        return
    for table in found.tables():
        console.print(to_text(table, unranked=table.columns))
    console.print(_disk_line(found, context.out))


def _print_disk(context: ExperimentContext, *, check: bool) -> None:
    """Print what an experiment will write.

    Raises:
        RunFolderError: The disk has less free, and this is to be checked.
    """
    found = plan_experiment(replace(context, world=ALONE, progress=silent), THROUGHPUTS["cpu"])
    console.print(_disk_line(found, context.out))
    if check:
        check_disk(found.disk, context.out, remedy="or go on with --no-disk-check")


def _disk_line(plan: Plan, out: Path) -> str:
    return f"disk: {plan.disk.describe()}; {free_bytes(out) / 1e9:,.1f} GB are free"
