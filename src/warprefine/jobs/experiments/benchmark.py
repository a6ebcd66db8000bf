"""Train the final network, write its submission, and score it where there is truth: tables 2 to 4."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

from warprefine.core.errors import DatasetError
from warprefine.core.names import look_up
from warprefine.core.protocols import Segmenter
from warprefine.core.tensors import LabelMaps
from warprefine.core.video import Video
from warprefine.io.frames import open_frames
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.students import Students, StudentVariant
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

    Predictions to hand in go into OUT/submission and OUT/submission.zip, scores into tables.

    Raises:
        DatasetError: The recipe names neither data to test on nor data to hand in.
    """
    data = context.recipe.data
    if not (data.test or data.submit):
        raise DatasetError(
            "the recipe of the experiment benchmark names neither data to test on nor data to hand in; set "
            'test = "SPLIT" or submit = "SPLIT" under [data]'
        )
    if data.folds:
        return over_folds(context)
    _, finished = context.label((METHOD,))
    students = Students(context, finished)
    variant = _final(context)
    student = load_student(students.weights(variant, context.seed), context.torch_device)
    remarks = (hand_in(context, student),) if data.submit else ()
    if not data.test:
        return Findings(remarks=remarks)
    with_instances = score_with_instances(context.test, lambda video, frame: _predict(student, video, frame))
    return Findings(tables=_tables(students.score(variant, context.seed), with_instances), remarks=remarks)


def work_of_benchmark(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `benchmark` labels and trains; with folds, in the folder of each."""
    folds = context.recipe.data.folds
    contexts = [_fold(context, fold) for fold in range(folds)] if folds else [context]
    return tuple(Work.of(one, (METHOD,), (_final(one),), once=True) for one in contexts)


def _final(context: ExperimentContext) -> StudentVariant:
    """Return the student that is trained."""
    recipe = context.recipe.student
    if context.recipe.other_weights:
        recipe = recipe.model_copy(update={"weights": context.recipe.other_weights})
    return StudentVariant(name=FINAL, method=METHOD, recipe=recipe, coarse=context.coarse is not None)


def _fold(context: ExperimentContext, fold: int) -> ExperimentContext:
    """Return the experiment on one fold, in a folder of its own."""
    data = context.recipe.data
    named = {key: getattr(data, key).format(fold=fold) for key in ("split", "test", "coarse", "submit")}
    recipe = context.recipe.model_copy(update={"data": data.model_copy(update={**named, "folds": 0})})
    return replace(context, recipe=recipe, out=context.out / f"fold{fold}")


def _arm(context: ExperimentContext) -> Arm:
    """Label, and return the student that is trained."""
    _, finished = context.label((METHOD,))
    students = Students(context, finished)
    return Arm(students=students, variants=(_final(context),), seeds=(context.seed,))


def over_folds(context: ExperimentContext) -> Findings:
    """Run the benchmark for each fold, in a folder of its own below OUT, and tabulate the scores."""
    folds = range(context.recipe.data.folds)
    if not context.engine.is_here:
        train_students(*(_arm(_fold(context, fold)) for fold in folds))
    found = {f"fold {fold}": benchmark(_fold(context, fold)) for fold in folds}
    totals = {name: findings.tables["totals"] for name, findings in found.items()}
    columns = next(iter(totals.values())).columns[1:]
    rows = {name: table.rows[0][1:] for name, table in totals.items()}
    measured = [
        [cell for cell in cells if isinstance(cell, float)] for cells in zip(*rows.values(), strict=True)
    ]
    means = tuple(Spread.of(cells) if cells else None for cells in measured)
    table = ResultTable(
        title="The final network on the held-out part of each fold (%)",
        columns=("fold", *columns),
        rows=(*((name, *cells) for name, cells in rows.items()), ("all folds", *means)),
    )
    return Findings(tables={"folds": table}, unranked=frozenset({"all folds", *rows}))


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
