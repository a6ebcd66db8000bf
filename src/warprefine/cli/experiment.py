"""Run the experiments of the paper from the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from warprefine.core.threads import use_threads
from warprefine.io.claims import check_apart
from warprefine.io.locks import locked
from warprefine.jobs.experiments import EXPERIMENTS
from warprefine.jobs.experiments.context import STREET, ExperimentContext
from warprefine.jobs.experiments.findings import write_findings
from warprefine.jobs.experiments.plan import THROUGHPUTS, Throughput, plan_of
from warprefine.jobs.experiments.recipe import load_experiment_recipe, shipped_recipes
from warprefine.recipe.network import NetworkRecipe
from warprefine.report.result_table import to_text
from warprefine.segmentation import SEGMENTERS
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
) -> None:
    """Run an experiment of the paper and write its tables, charts and pictures.

    The same command again continues where it stopped; `--seeds` may be raised later. With `--plan` it prints
    what is left to do instead. With `--workers` or `--engine ray` students and refiners of all arms and seeds
    are trained at the same time.

    Examples:
    - `warprefine experiment quality --out runs/street`
    - `warprefine experiment utility --recipe small --data data/camvid --out runs/utility`
    - `warprefine experiment utility --recipe cityscapes --data data/cityscapes --device cuda
      --out runs/table1 --initial-weights hrnet-ocr-w48=weights/hrnet.safetensors`
    """
    arguments = locals()
    arguments["threads"] = threads_of(arguments)
    use_threads(arguments["threads"])
    chosen = look_up(EXPERIMENTS, name, what="experiment")
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
        _print_plan(
            name,
            ExperimentContext(experiment=name, out=out, root=data, recipe=settings, seed=seed),
            throughput,
            as_json=as_json,
        )
        return
    with engine_of(arguments) as workshop, Bars() as bars, locked(out):
        context = ExperimentContext(
            experiment=name,
            out=out,
            root=data,
            recipe=settings,
            device=device,
            seed=seed,
            progress=bars,
            engine=workshop,
        )
        context.claim()
        with log_to(out):
            findings = chosen.run(context)
            page = write_findings(out, findings, title=chosen.title)
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


def _print_plan(name: str, context: ExperimentContext, throughput: Throughput, *, as_json: bool) -> None:
    """Print what an experiment would do.

    Raises:
        RecipeError: What the experiment does is known only while it runs.
    """
    work = EXPERIMENTS[name].work
    if work is None:
        planned = ", ".join(key for key, one in EXPERIMENTS.items() if one.work is not None)
        raise RecipeError(
            f"--plan: what {name} trains is known only while it runs; expected one of: {planned}"
        )
    data = context.recipe.data.model_copy(update={"coarse_gap": 0})  # with gaps, label maps would be written
    context = replace(context, recipe=context.recipe.model_copy(update={"data": data}))
    if data.reader != STREET or (context.out / "data").exists():
        found = plan_of(work(context), throughput)
    else:  # the street is rendered to be counted, and not kept
        with TemporaryDirectory() as folder:
            found = plan_of(work(replace(context, out=Path(folder))), throughput)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
        return
    for table in found.tables():
        console.print(to_text(table, unranked=table.columns))
