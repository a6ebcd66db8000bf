"""Train the final network, write its submission, and score it where there is truth: tables 2 to 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import isnan

from warprefine.core.errors import DatasetError
from warprefine.core.names import look_up
from warprefine.core.protocols import Segmenter
from warprefine.core.tensors import LabelMaps
from warprefine.core.video import Video
from warprefine.io.frames import open_frames
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.grid import Point, best_of, points_of, record, table_of
from warprefine.jobs.experiments.recipe import shipped_recipes
from warprefine.jobs.experiments.students import BASELINE, Students, StudentVariant
from warprefine.jobs.experiments.students_together import Arm, train_students
from warprefine.jobs.experiments.work import Work
from warprefine.metrics.benchmark import score_with_instances
from warprefine.metrics.instance_iou import Scores
from warprefine.metrics.network_scores import NetworkScores
from warprefine.metrics.submission import (
    SUBMISSIONS,
    check_submission,
    frames_to_submit,
    pack,
    write_prediction,
)
from warprefine.report.result_table import Cell, ResultTable, Spread
from warprefine.training.segmenter import predict
from warprefine.training.student import load_student

METHOD = "warp-refine"
FINAL = "final"


def benchmark(context: ExperimentContext) -> Findings:
    """Train a student on warp-refine labels, with coarse labels and other weights where the recipe has them.

    Predictions to hand in go into OUT/submission and OUT/submission.zip, scores into tables. With folds,
    settings of the student are chosen first, where the recipe has a grid of them.

    Raises:
        DatasetError: The recipe names neither data to test on nor data to hand in.
        RecipeError: A key of the grid is unknown, or a value out of range.
    """
    data = context.recipe.data
    if not (data.test or data.submit):
        raise DatasetError(
            "the recipe of the experiment benchmark names neither data to test on nor data to hand in; set "
            'test = "SPLIT" or submit = "SPLIT" under [data]'
        )
    if data.folds:
        return over_folds(context)
    return _with_student(context, _final(context))


def _with_student(context: ExperimentContext, variant: StudentVariant) -> Findings:
    """Train a student on warp-refine labels, predict and score with it."""
    data, shown = context.recipe.data, context.shown_classes
    _, finished = context.label((METHOD,))
    students = Students(context, finished)
    student = load_student(students.weights(variant, context.seed), context.torch_device)
    of_first = context.world.of_first
    remarks = (of_first(partial(hand_in, context, student)),) if data.submit else ()
    if not data.test:
        return Findings(remarks=remarks)
    gains = _gains(context, students, variant) if shown else {}
    with_instances = of_first(partial(score_with_instances, context.test, partial(_predict, student)))
    tables = _tables(students.score(variant, context.seed), with_instances)
    return Findings(tables={**tables, **gains}, remarks=remarks)


def work_of_benchmark(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `benchmark` labels and trains; with folds, in the folder of each."""
    folds = context.recipe.data.folds
    contexts = [_fold(context, fold) for fold in range(folds)] if folds else [context]
    points = points_of(context.recipe.grid) if folds and context.recipe.grid else [None]
    works = []
    for one in contexts:
        students = [_final(one, point) for point in points]
        if one.recipe.shown_classes and one.recipe.data.test:
            students.append(_baseline(one, students[0]))
        works.append(Work.of(one, (METHOD,), students, once=True))
    return tuple(works)


def _final(context: ExperimentContext, point: Point | None = None) -> StudentVariant:
    """Return the student that is trained, with the settings of a point of the grid if there is one."""
    recipe = context.recipe.student
    if context.recipe.other_weights:
        recipe = recipe.model_copy(update={"weights": context.recipe.other_weights})
    name = FINAL
    if point is not None:
        name, recipe = f"{FINAL}-{point.name}", point.of(recipe)
    return StudentVariant(name=name, method=METHOD, recipe=recipe, coarse=context.coarse is not None)


def _baseline(context: ExperimentContext, variant: StudentVariant) -> StudentVariant:
    """Return the same student without pseudo-labels."""
    return replace(variant, name=f"{BASELINE}-of-{variant.name}", method=None)


def _gains(context: ExperimentContext, students: Students, variant: StudentVariant) -> dict[str, ResultTable]:
    """Return the gain over the baseline of the classes that the recipe shows, and its mean over them."""
    chosen = context.shown_classes
    with_labels, without = (
        students.score(one, context.seed).iou_by_class for one in (variant, _baseline(context, variant))
    )
    rows: list[tuple[Cell, ...]] = []
    gains = []
    for name in chosen:
        ious = without[name], with_labels[name]
        gain = None if ious[0] is None or ious[1] is None else ious[1] - ious[0]
        rows.append((name, *ious, gain))
        gains += [gain] if gain is not None else []
    rows.append(("mean", None, None, sum(gains) / len(gains) if gains else None))
    table = ResultTable(
        title=f"IoU (%) of chosen classes, without pseudo-labels and with those of {METHOD}",
        columns=("class", BASELINE, FINAL, "gain"),
        rows=tuple(rows),
    )
    return {"gains": table}


def _fold(context: ExperimentContext, fold: int) -> ExperimentContext:
    """Return the experiment on one fold, in a folder of its own."""
    data = context.recipe.data
    named = {key: getattr(data, key).format(fold=fold) for key in ("split", "test", "coarse", "submit")}
    recipe = context.recipe.model_copy(update={"data": data.model_copy(update={**named, "folds": 0})})
    return replace(context, recipe=recipe, out=context.out / f"fold{fold}")


def _arm(context: ExperimentContext, points: Sequence[Point]) -> Arm:
    """Label, and return the students that are trained: one at each point, or one alone."""
    _, finished = context.label((METHOD,))
    variants = [_final(context, point) for point in points or (None,)]
    if not points and context.shown_classes and context.recipe.data.test:
        variants.append(_baseline(context, variants[0]))
    return Arm(students=Students(context, finished), variants=tuple(variants), seeds=(context.seed,))


def over_folds(context: ExperimentContext) -> Findings:
    """Run the benchmark for each fold, in a folder of its own below OUT, and tabulate the scores.

    Where the recipe has a grid, a student is trained at each of its points first; that with the highest mean
    mIoU is the final one, and its settings are recorded in OUT/chosen.json and OUT/chosen.toml.
    """
    contexts = [_fold(context, fold) for fold in range(context.recipe.data.folds)]
    points = points_of(context.recipe.grid) if context.recipe.grid else []
    if not context.engine.is_here:
        train_students(*(_arm(one, points) for one in contexts))
    measured = {point.name: [_miou(one, point) for one in contexts] for point in points}
    chosen = next((point for point in points if point.name == best_of(measured)), None)
    found = {f"fold {fold}": _with_student(one, _final(one, chosen)) for fold, one in enumerate(contexts)}
    totals = {name: findings.tables["totals"] for name, findings in found.items()}
    columns = next(iter(totals.values())).columns[1:]
    rows = {name: table.rows[0][1:] for name, table in totals.items()}
    numbers = [
        [cell for cell in cells if isinstance(cell, float)] for cells in zip(*rows.values(), strict=True)
    ]
    means = tuple(Spread.of(cells) if cells else None for cells in numbers)
    table = ResultTable(
        title="The final network on the held-out part of each fold (%)",
        columns=("fold", *columns),
        rows=(*((name, *cells) for name, cells in rows.items()), ("all folds", *means)),
    )
    unranked = frozenset({"all folds", *rows})
    if chosen is None:
        return Findings(tables={"folds": table}, unranked=unranked)
    reader = context.recipe.data.reader
    if context.world.is_first:
        extends = reader if reader in shipped_recipes("benchmark") else ""
        record(context.out, chosen, measured, extends=extends)
    remark = f"Chosen by the mean mIoU over all folds: {chosen.name} (chosen.toml is a recipe with it)."
    return Findings(tables={"grid": table_of(measured), "folds": table}, unranked=unranked, remarks=(remark,))


def _miou(context: ExperimentContext, point: Point) -> float:
    """Return the mIoU of a student with the settings of a point, on the test data, in percent."""
    variant = _final(context, point)
    _, finished = context.label((METHOD,))
    return Students(context, finished).score(variant, context.seed).miou


def hand_in(context: ExperimentContext, student: Segmenter) -> str:
    """Write the predictions that a benchmark expects, check and pack them; return a remark on them."""
    submission = look_up(SUBMISSIONS, context.recipe.data.reader, what="benchmark")
    dataset, folder = context.to_submit, context.out / "submission"
    for done, video in enumerate(dataset.videos, 1):
        for frame in frames_to_submit(video):
            if not (folder / submission.path_of(video, frame)).exists():
                write_prediction(
                    folder,
                    submission,
                    video=video,
                    frame=frame,
                    labels=_predict(student, video, frame),
                    classes=dataset.classes,
                )
        context.progress("predicting", done, len(dataset.videos), video.name)
    check_submission(folder, submission, dataset)
    archive = context.out / "submission.zip"
    pack(folder, archive)
    return f"Predictions to hand in: {archive.name}, {len(dataset.videos)} pictures."


def _predict(student: Segmenter, video: Video, frame: int) -> LabelMaps:
    with open_frames(video) as frames:
        return predict(student, frames[frame])


def _tables(scores: NetworkScores, with_instances: Scores | None) -> dict[str, ResultTable]:
    """Return tables of classes and totals; with instance labels, by the rules of the benchmark."""
    totals: dict[str, float | None] = {
        "pixel accuracy": scores.pixel_accuracy,
        "mean accuracy": scores.mean_accuracy,
        "mIoU": scores.miou,
    }
    by_class: dict[str, tuple[Cell, ...]] = {name: (iou,) for name, iou in scores.iou_by_class.items()}
    columns: tuple[str, ...] = ("class", "IoU")
    if with_instances is not None:
        totals |= {
            "iIoU": _percent(with_instances.mean_class_iiou),
            "category mIoU": _percent(with_instances.mean_category_iou),
            "category iIoU": _percent(with_instances.mean_category_iiou),
        }
        by_class = {
            name: (_percent(with_instances.class_iou[name]), _percent(with_instances.class_iiou[name]))
            for name in scores.iou_by_class
        }
        columns = ("class", "IoU", "iIoU")
    return {
        "totals": ResultTable(
            title="The final network on the test data (%)",
            columns=("network", *totals),
            rows=((FINAL, *totals.values()),),
        ),
        "classes": ResultTable(
            title="The final network on the test data, by class (%)",
            columns=columns,
            rows=tuple((name, *cells) for name, cells in by_class.items()),
        ),
    }


def _percent(share: float) -> float | None:
    return None if isnan(share) else 100 * share
