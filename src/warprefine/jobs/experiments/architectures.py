"""Vary how students are trained: other networks (table A), relaxed labels (table B), coarse labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from warprefine.core.errors import DatasetError
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.students import BASELINE, Students, StudentVariant
from warprefine.jobs.experiments.students_together import Arm, train_students
from warprefine.jobs.experiments.utility import compared
from warprefine.jobs.experiments.work import Work
from warprefine.jobs.pseudo_labels import JOINT_METHOD
from warprefine.propagation.methods import ORACLE
from warprefine.recipe.student import StudentRecipe
from warprefine.report.chart import ChartKind
from warprefine.report.experiment_plots import plot_bars
from warprefine.report.result_table import Cell, ResultTable, Spread
from warprefine.training.data.samples import labelled_frames
from warprefine.training.losses import RELAXED

WARP_REFINE = "warp-refine"


def architectures(context: ExperimentContext) -> Findings:
    """Train students of several networks on the labels of every method; the labels are the same for all."""
    methods = compared(context)
    _, finished = context.label(methods)
    students = Students(context, finished)
    train_students(Arm(students=students, variants=_of_networks(context, methods), seeds=context.seeds))
    measured: dict[str, dict[str, Spread]] = {}
    for network in context.recipe.networks:
        variants = _of_network(context, network, methods)
        measured[network] = {name: students.spread(variant) for name, variant in variants.items()}
    columns = (BASELINE, *methods)
    table = ResultTable(
        title="mIoU (%) of students of different networks",
        columns=("network", *columns),
        rows=tuple((network, *(found[name] for name in columns)) for network, found in measured.items()),
    )
    return Findings(
        tables={"architectures": table},
        charts={
            f"architectures-{network}": partial(
                _bars, found, ylabel=f"mIoU of the student (%), {network}", baseline=BASELINE
            )
            for network, found in measured.items()
        },
        unranked=frozenset({ORACLE}),
    )


def work_of_architectures(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `architectures` labels and trains."""
    methods = compared(context)
    return (Work.of(context, methods, _of_networks(context, methods)),)


def _of_networks(context: ExperimentContext, methods: Sequence[str]) -> list[StudentVariant]:
    """Return the students of all networks."""
    tables = [_of_network(context, network, methods) for network in context.recipe.networks]
    return [variant for table in tables for variant in table.values()]


def _of_network(
    context: ExperimentContext, network: str, methods: Sequence[str]
) -> dict[str, StudentVariant]:
    """Return the students of a network: without pseudo-labels, and with those of each method."""
    recipe = context.recipe.student_of(network)
    return {
        BASELINE: StudentVariant(name=f"{network}-{BASELINE}", recipe=recipe),
        **{m: StudentVariant(name=f"{network}-{m}", method=m, recipe=recipe) for m in methods},
    }


def relaxation(context: ExperimentContext) -> Findings:
    """Compare plain labels, relaxed labels, and relaxed labels with those of motion alone (table B).

    All are trained equally long, and plain labels at a higher learning rate where the recipe has one: the
    paper found both to be decisive. Columns with coarse labels and with weights of another data set are
    there if the recipe names them.
    """
    _, finished = context.label((JOINT_METHOD,))
    students, relaxed = Students(context, finished), _relaxed(context)
    train_students(Arm(students=students, variants=_all(relaxed), seeds=context.seeds))
    rows: dict[str, list[Cell]] = {
        name: [students.spread(variant) for variant in variants] for name, variants in relaxed.items()
    }
    found = _by_setting(
        "relaxation", rows, _settings(context), title="mIoU (%) of students with relaxed labels"
    )
    pictures = sum(len(labelled_frames(dataset)) for dataset in (context.data, *context.manual))
    steps = context.recipe.student.resolved(pictures).optimisation.steps
    rate = context.recipe.baseline_rate
    remark = (
        f"All students are trained for {steps} steps; B at {rate:g} times the learning rate of the others."
    )
    return replace(found, remarks=(remark,))


def work_of_relaxation(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `relaxation` labels and trains."""
    return (Work.of(context, (JOINT_METHOD,), _all(_relaxed(context))),)


def _all(rows: Mapping[str, Sequence[StudentVariant]]) -> list[StudentVariant]:
    """Return the students of all rows of a table."""
    return [variant for row in rows.values() for variant in row]


def _relaxed(context: ExperimentContext) -> dict[str, list[StudentVariant]]:
    """Return the students of each row of table B, one for each setting."""
    offsets = (context.recipe.relaxed_offset,)
    rows: dict[str, list[StudentVariant]] = {}
    for setting, (recipe, coarse) in _settings(context).items():
        relaxed = recipe.model_copy(update={"loss": RELAXED})
        rate = context.recipe.baseline_rate * recipe.optimisation.learning_rate
        for name, used, method in (
            ("B", recipe.changed(("optimisation", "learning_rate"), rate), None),
            ("B + relaxed", relaxed, None),
            (f"B + relaxed + motion-only at ±{offsets[0]}", relaxed, JOINT_METHOD),
        ):
            variant = StudentVariant(
                name=f"{_short(setting)}-{used.loss}-{method or BASELINE}",
                recipe=used,
                method=method,
                offsets=offsets,
                coarse=coarse,
            )
            rows.setdefault(name, []).append(variant)
    return rows


def coarse(context: ExperimentContext) -> Findings:
    """Compare the baseline with warp-refine, with and without coarse labels and weights of another data set.

    Raises:
        DatasetError: The recipe names neither.
    """
    variants = _supervised(context)
    _, finished = context.label((WARP_REFINE,))
    students = Students(context, finished)
    train_students(Arm(students=students, variants=_all(variants), seeds=context.seeds))
    rows: dict[str, list[Cell]] = {
        name: [students.spread(variant) for variant in row] for name, row in variants.items()
    }
    return _by_setting(
        "coarse", rows, _settings(context), title="mIoU (%) of students with further supervision"
    )


def work_of_coarse(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `coarse` labels and trains."""
    return (Work.of(context, (WARP_REFINE,), _all(_supervised(context))),)


def _supervised(context: ExperimentContext) -> dict[str, list[StudentVariant]]:
    """Return the students without pseudo-labels and with them, one for each setting."""
    settings = _settings(context)
    if len(settings) == 1:
        raise DatasetError(
            "the experiment coarse compares with coarse labels and with weights of another data set, but its "
            'recipe names neither; set coarse = "SPLIT" under [data], or other_weights = "FILE"'
        )
    return {
        method or BASELINE: [
            StudentVariant(
                name=f"{_short(setting)}-{method or BASELINE}",
                recipe=recipe,
                method=method,
                coarse=with_coarse,
            )
            for setting, (recipe, with_coarse) in settings.items()
        ]
        for method in (None, WARP_REFINE)
    }


def _bars(values: Mapping[str, Spread], kind: ChartKind, *, ylabel: str, baseline: str) -> bytes:
    return plot_bars(values, ylabel=ylabel, baseline=baseline, kind=kind)


def _settings(context: ExperimentContext) -> dict[str, tuple[StudentRecipe, bool]]:
    """Return the training settings, each extending the one before: recipe, and whether with coarse labels."""
    recipe, settings = context.recipe.student, {"key frames": (context.recipe.student, False)}
    if context.coarse is not None:
        settings["+ coarse labels"] = (recipe, True)
    if context.recipe.other_weights:
        begun = recipe.model_copy(update={"weights": context.recipe.other_weights})
        settings["+ other data set's weights"] = (begun, context.coarse is not None)
    return settings


def _short(setting: str) -> str:
    return setting.removeprefix("+ ").split(" ")[0]


def _by_setting(
    name: str, rows: Mapping[str, list[Cell]], settings: Mapping[str, object], *, title: str
) -> Findings:
    table = ResultTable(
        title=title,
        columns=("training", *settings),
        rows=tuple((training, *cells) for training, cells in rows.items()),
    )
    last = {training: cells[-1] for training, cells in rows.items()}
    spreads = {training: cell for training, cell in last.items() if isinstance(cell, Spread)}
    return Findings(
        tables={name: table},
        charts={
            name: partial(_bars, spreads, ylabel="mIoU of the student (%)", baseline=next(iter(spreads)))
        },
    )
