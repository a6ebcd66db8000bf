"""Tests of experiments on an engine: arms and seeds at the same time have the tables of those in turn."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from warprefine.core.engine import ItemT, ResultT
from warprefine.jobs.experiments import EXPERIMENTS
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.recipe import ExperimentRecipe, load_experiment_recipe
from warprefine.jobs.experiments.students_together import DueStudent
from warprefine.report.result_table import ResultTable

TINY = Path(__file__).parents[2] / "experiment.toml"
TIMES = {"ms per frame", "times warp-refine"}


class Elsewhere:
    """An engine that does all work on copies, as another process would, and begins with the last item."""

    is_here = False
    is_on_this_machine = True
    cores_here = 1

    def __init__(self) -> None:
        self.worked_on: list[Any] = []

    def stream(
        self, work: Callable[[ItemT], Iterator[ResultT]], items: Iterable[ItemT]
    ) -> Generator[tuple[ItemT, ResultT | None], None, None]:
        """Yield each item with each of its results, and with None once it is done."""
        copy, due = pickle.loads(pickle.dumps(work)), [*items]
        for item in reversed(due):
            self.worked_on.append(item)
            for result in copy(pickle.loads(pickle.dumps(item))):
                yield item, result
            yield item, None


@pytest.fixture(scope="module")
def engine() -> Elsewhere:
    return Elsewhere()


@pytest.fixture(scope="module")
def contexts(
    tmp_path_factory: pytest.TempPathFactory, engine: Elsewhere
) -> tuple[ExperimentContext, ExperimentContext]:
    """Two equal experiments, one in this process and one elsewhere."""
    recipe: ExperimentRecipe = load_experiment_recipe("utility", str(TINY))
    chosen = {"methods": ("motion-only", "warp-refine"), "oracle": False, "variants": ("without-refiner",)}
    out = tmp_path_factory.mktemp("together")
    here = ExperimentContext(
        experiment="utility", out=out / "here", root=None, recipe=recipe.model_copy(update=chosen)
    )
    return here, replace(here, out=out / "elsewhere", engine=engine)


def without_times(table: ResultTable) -> ResultTable:
    kept = [place for place, name in enumerate(table.columns) if name not in TIMES]
    return replace(
        table,
        columns=tuple(table.columns[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
    )


def networks_in(context: ExperimentContext) -> dict[Path, bytes]:
    return {path.relative_to(context.out): path.read_bytes() for path in context.out.rglob("*.safetensors")}


@pytest.mark.parametrize("name", ["utility", "relaxation", "cycle-length", "ablation", "pictures"])
def test_tables_and_networks_do_not_depend_on_the_engine(
    contexts: tuple[ExperimentContext, ExperimentContext], name: str
) -> None:
    """All but times is equal, and so are the weights of all networks."""
    found = [EXPERIMENTS[name].run(replace(context, experiment=name)) for context in contexts]

    here, elsewhere = ({key: without_times(table) for key, table in one.tables.items()} for one in found)
    assert here == elsewhere
    assert found[0].pictures == found[1].pictures
    assert networks_in(contexts[0]) == networks_in(contexts[1])


def test_folds_are_arms(contexts: tuple[ExperimentContext, ExperimentContext], engine: Elsewhere) -> None:
    """The students of all folds are trained at the same time, each once."""
    folded = [
        replace(
            context,
            out=context.out.with_name(f"{context.out.name}-folds"),
            recipe=context.recipe.model_copy(
                update={"data": context.recipe.data.model_copy(update={"folds": 2})}
            ),
        )
        for context in contexts
    ]
    engine.worked_on.clear()

    here, elsewhere = (EXPERIMENTS["benchmark"].run(context) for context in folded)

    assert here.tables == elsewhere.tables
    students = [item for item in engine.worked_on if isinstance(item, DueStudent)]
    assert [(item.arm, item.seed) for item in students] == [(1, 0), (0, 0)]


def test_students_are_trained_elsewhere_once(
    contexts: tuple[ExperimentContext, ExperimentContext], engine: Elsewhere
) -> None:
    """Those that are there are not begun again, one that is missing is, and all have their curves."""
    context = replace(contexts[1], out=contexts[1].out.with_name("once"))
    EXPERIMENTS["utility"].run(context)
    first = {(one.variant.name, one.seed) for one in engine.worked_on if isinstance(one, DueStudent)}
    students = context.out / "students"
    for path in [*students.glob("warp-refine-seed1*")]:
        path.unlink()
    engine.worked_on.clear()

    EXPERIMENTS["utility"].run(context)

    again = [(one.variant.name, one.seed) for one in engine.worked_on if isinstance(one, DueStudent)]
    assert {("baseline", 0), ("baseline", 1), ("warp-refine", 1)} <= first
    assert again == [("warp-refine", 1)]
    curves = (students / "metrics.jsonl").read_text()
    counts = [curves.count(f'"warp-refine-seed{seed}/loss"') for seed in (0, 1)]
    assert counts[0] == counts[1] > 0
