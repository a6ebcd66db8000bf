"""Draw labels and predictions of students: figures 2, 6, 7, C and D of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from warprefine.core.tensors import Frames, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.io.frames import open_frames
from warprefine.io.images import read_labels
from warprefine.io.run import RunFolder
from warprefine.jobs.experiments.cases import EARLIER, METHOD, Case, find_cases, spread_out
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.students import BASELINE, Students, StudentVariant
from warprefine.jobs.experiments.students_together import Arm, train_students
from warprefine.jobs.experiments.work import Work
from warprefine.jobs.finished import FinishedRun
from warprefine.metrics.run_labels import predicted_labels
from warprefine.metrics.submission import frames_to_submit
from warprefine.report import paint
from warprefine.report.gallery import milestones, read_views, showcase
from warprefine.report.panel import draw_panel
from warprefine.report.strips import draw_strip
from warprefine.training.segmenter import predict
from warprefine.training.student import load_student

_BEST, _WORST, _FAILURES, _TESTED, _CLIPS = 4, 2, 2, 4, 3
_WIDEST = 480


def pictures(context: ExperimentContext) -> Findings:
    """Draw frames on which methods differ or fail, clips from near to far, and predictions of students.

    Figure 2 needs truth, and figure C frames to show students on; where the data set lacks these, the figures
    are left out. Figures 7 and D are chosen by the truth, or by how methods differ where there is none.
    """
    _, finished = context.label((*EARLIER, METHOD))
    drawn, remarks = context.world.of_first(partial(_draw_labels, context, finished))
    if _shown(context):
        drawn["figure-C"] = _draw_students(context, finished)
    return Findings(pictures=dict(sorted(drawn.items())), remarks=remarks)


def _draw_labels(
    context: ExperimentContext, finished: FinishedRun
) -> tuple[dict[str, Image.Image], tuple[str, ...]]:
    """Return the figures that show labels, and how their frames were chosen."""
    cases = find_cases(finished, progress=context.progress)
    drawn: dict[str, Image.Image] = {}
    by_lead = sorted((case for case in cases if case.lead is not None), key=lambda case: -(case.lead or 0))
    if by_lead:
        drawn["figure-2"] = _draw_cases(context, finished.run, by_lead[:1])
    for number, video in enumerate(finished.dataset.videos[:_CLIPS], 1):
        panel = _draw_clip(context, finished.run, video, (*EARLIER, METHOD))
        if panel is not None:
            drawn[f"figure-6-{number}"] = panel
    failing = sorted((case for case in cases if case.both_fail > 0), key=lambda case: -case.both_fail)
    if failing:
        drawn["figure-7"] = _draw_cases(context, finished.run, spread_out(failing, _FAILURES))
    differing = sorted(cases, key=lambda case: -case.disagreement)
    of_d = [*spread_out(by_lead, _BEST), *by_lead[-_WORST:]] or spread_out(differing, _BEST + _WORST)
    if of_d:
        drawn["figure-D"] = _draw_cases(context, finished.run, of_d)
    return drawn, _remarks(with_truth=bool(by_lead)) if cases else ()


def _remarks(*, with_truth: bool) -> tuple[str, ...]:
    """Return how the frames of figures 2, 7 and D were chosen."""
    if with_truth:
        remark = (
            f"Figures 2 and D: frames on which {METHOD} is furthest ahead of the better of "
            f"{' and '.join(EARLIER)}; the last rows of D are those on which it is furthest behind. "
            "Figure 7: frames with most pixels that no method labels rightly."
        )
    else:
        remark = (
            "There is no truth. Figure D: frames on which methods disagree most. Figure 7: frames with most "
            f"pixels where the segmenter is not sure and {METHOD} overrules the label that motion brought."
        )
    return (remark,)


def work_of_pictures(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `pictures` labels and trains."""
    students = _variants(context) if _shown(context) else ()
    return (Work.of(context, (*EARLIER, METHOD), students, once=True),)


def _variants(context: ExperimentContext) -> tuple[StudentVariant, StudentVariant]:
    """Return the students of figure C, without warp-refine labels and with them."""
    recipe = context.recipe.student
    return (
        StudentVariant(name=BASELINE, recipe=recipe),
        StudentVariant(name=METHOD, method=METHOD, recipe=recipe),
    )


def _draw_cases(context: ExperimentContext, run: RunFolder, cases: Sequence[Case]) -> Image.Image:
    """Draw a frame with the labels of every method in each row; with the truth and errors, if all have it."""
    classes = context.data.classes
    frames = []
    for case in cases:
        with open_frames(case.video) as source:
            frames.append(source[case.frame])
    columns = [("frame", [paint.paint_frame(frame) for frame in frames])]
    maps = {
        method: [
            predicted_labels(run, classes, method=method, video=case.video, frame=case.frame)
            for case in cases
        ]
        for method in (*EARLIER, METHOD)
    }
    columns += [(method, _painted(of_method, context)) for method, of_method in maps.items()]
    if any(case.lead is None for case in cases):
        rows = [f"{case.frame} ({100 * case.disagreement:.0f} % differ)" for case in cases]
        return draw_strip(columns, rows=rows, classes=classes)
    truths = [read_labels(case.video.truth[case.frame], classes) for case in cases]
    errors = [
        paint.paint_errors(labels, truth, frame=frame)
        for labels, truth, frame in zip(maps[METHOD], truths, frames, strict=True)
    ]
    columns += [("truth", _painted(truths, context)), (f"errors of {METHOD}", errors)]
    rows = [f"{case.frame} ({100 * (case.lead or 0):+.1f})" for case in cases]
    return draw_strip(columns, rows=rows, classes=classes)


def _draw_clip(
    context: ExperimentContext, run: RunFolder, video: Video, methods: Sequence[str]
) -> Image.Image | None:
    """Draw a clip from near to far of its key frame, as figure 6; None if nothing of it was labelled."""
    horizon = context.horizon
    unit = showcase(video, horizon)
    if unit is None:
        return None
    views = read_views(
        run,
        context.data,
        video,
        frames=milestones(video, unit, horizon),
        methods=methods,
        most_w=_WIDEST,
    )
    return draw_panel(views, context.data.classes, methods=methods)


def _shown(context: ExperimentContext) -> str:
    """Return the split of figure C, empty for none."""
    return context.recipe.data.shown or context.recipe.data.test


def _draw_students(context: ExperimentContext, finished: FinishedRun) -> Image.Image:
    """Train students with and without warp-refine labels, and draw them, as figure C."""
    students = Students(context, finished)
    train_students(Arm(students=students, variants=_variants(context), seeds=(context.seed,)))
    weights = [students.weights(one, context.seed) for one in _variants(context)]
    return context.world.of_first(partial(_draw_differing, context, context.shown, weights))


def _draw_differing(context: ExperimentContext, shown: Dataset, weights: Sequence[Path]) -> Image.Image:
    """Draw frames on which the students of two checkpoints differ most.

    Truth is shown where all of these frames have labels; test frames of a benchmark have none.
    """
    networks = [load_student(path, context.torch_device) for path in weights]
    places = [(video, frame) for video in shown.videos for frame in frames_to_submit(video)]
    found: list[tuple[float, Video, int, Frames, list[LabelMaps]]] = []
    for done, (video, number) in enumerate(places, 1):
        with open_frames(video) as source:
            frame = source[number]
        predicted = [predict(network, frame) for network in networks]
        found.append((float((predicted[0] != predicted[1]).float().mean()), video, number, frame, predicted))
        found = sorted(found, key=lambda one: -one[0])[:_TESTED]
        context.progress("comparing students", done, len(places))
    columns = [
        ("frame", [paint.paint_frame(frame) for *_, frame, _ in found]),
        (BASELINE, _painted([predicted[0] for *_, predicted in found], context)),
        (f"with {METHOD} labels", _painted([predicted[1] for *_, predicted in found], context)),
    ]
    if all(number in video.labels for _, video, number, _, _ in found):
        truths = [read_labels(video.labels[number], shown.classes) for _, video, number, _, _ in found]
        columns.append(("truth", _painted(truths, context)))
    return draw_strip(
        columns,
        rows=[video.stems[number] for _, video, number, _, _ in found],
        classes=context.data.classes,
    )


def _painted(maps: Sequence[LabelMaps], context: ExperimentContext) -> list[paint.Picture]:
    return [paint.paint_labels(labels, context.data.classes) for labels in maps]
