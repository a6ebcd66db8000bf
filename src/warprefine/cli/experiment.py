"""Run the experiments of the paper from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warprefine.cli import options
from warprefine.cli.console import Bars, console
from warprefine.cli.log import log_to
from warprefine.core.names import look_up
from warprefine.core.threads import use_threads
from warprefine.io.claims import check_apart
from warprefine.io.locks import locked
from warprefine.jobs.experiments import EXPERIMENTS
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import write_findings
from warprefine.jobs.experiments.recipe import load_experiment_recipe, shipped_recipes
from warprefine.report.result_table import to_text

_RECIPES = sorted({recipe for name in EXPERIMENTS for recipe in shipped_recipes(name)})


def experiment(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(EXPERIMENTS)}.", show_default=False)],
    out: options.Out,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data set; the procedural street needs none.")
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help=f"TOML file, or a shipped recipe: {', '.join(_RECIPES)}; small is CamVid on two CPU "
            "cores, and not every experiment has them all."
        ),
    ] = "street",
    seeds: Annotated[
        int, typer.Option(min=0, help="Trainings of each student; 0 uses the recipe's number.")
    ] = 0,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    threads: options.Threads = 0,
) -> None:
    """Run an experiment of the paper and write its tables, charts and pictures.

    The same command again continues where it stopped; `--seeds` may be raised later.

    Examples: `warprefine experiment quality --out runs/street`

    `warprefine experiment utility --recipe small --data data/camvid --out runs/utility`

    `warprefine experiment utility --recipe cityscapes --data data/cityscapes --device cuda --out runs/table1`
    """
    use_threads(threads)
    chosen = look_up(EXPERIMENTS, name, what="experiment")
    settings = load_experiment_recipe(name, recipe)
    if seeds:
        settings = settings.model_copy(update={"seeds": seeds})
    check_apart(out, *([data] if data else []))
    with Bars() as bars, locked(out):
        context = ExperimentContext(
            experiment=name, out=out, root=data, recipe=settings, device=device, seed=seed, progress=bars
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
