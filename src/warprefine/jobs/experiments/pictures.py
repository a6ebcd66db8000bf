"""Draw labels and predictions of students: figures 2, 6, C and D of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from warprefine.core.tensors import Frames, LabelMaps
from warprefine.core.video import Video
from warprefine.io.frames import open_frames
from warprefine.io.images import read_labels
from warprefine.io.run import RunFolder
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.students import BASELINE, Students, StudentVariant
from warprefine.jobs.experiments.students_together import Arm, train_students
from warprefine.jobs.experiments.work import Work
from warprefine.jobs.finished import FinishedRun
from warprefine.metrics import confusion
from warprefine.metrics.run_labels import predicted_labels
from warprefine.propagation.units import stepwise_units
from warprefine.report import paint
from warprefine.report.gallery import milestones, read_views, showcase
from warprefine.report.panel import draw_panel
from warprefine.report.strips import draw_strip
from warprefine.training.data.samples import LabelledFrame, labelled_frames
from warprefine.training.segmenter import predict
from warprefine.training.student import load_student

METHOD = "warp-refine"
EARLIER = ("motion-only", "semantic-only")
_BEST, _WORST, _TESTED, _CLIPS = 4, 2, 4, 3
_WIDEST = 480


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A labelled frame, and by how much warp-refine is better there than the better of the two before it."""

    video: Video
    frame: int
    lead: float


def pictures(context: ExperimentContext) -> Findings:
    """Draw where warp-refine gains and loses most, clips from near to far, and predictions of students.

    Figures 2 and D need truth to find such frames, figure C needs data to test students on; where the
    data set lacks these, the figures are left out.
    """
    methods = (*EARLIER, METHOD)
    _, finished = context.label(methods)
    cases = _cases(context, finished) if finished.scores else []
    drawn = {"figure-2": _draw_cases(context, finished.run, cases[:1])} if cases else {}
    for number, video in enumerate(finished.dataset.videos[:_CLIPS], 1):
        panel = _draw_clip(context, finished.run, video, methods)
        if panel is not None:
            drawn[f"figure-6-{number}"] = panel
    if context.recipe.data.test:
        drawn["figure-C"] = _draw_students(context, finished)
    if not cases:
        return Findings(pictures=drawn)
    drawn["figure-D"] = _draw_cases(context, finished.run, [*_spread_out(cases, _BEST), *cases[-_WORST:]])
    remark = (
        f"Figures 2 and D: frames on which {METHOD} is furthest ahead of the better of "
        f"{' and '.join(EARLIER)}; the last rows of D are those on which it is furthest behind."
    )
    return Findings(pictures=drawn, remarks=(remark,))


def work_of_pictures(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `pictures` labels and trains."""
    students = _variants(context) if context.recipe.data.test else ()
    return (Work.of(context, (*EARLIER, METHOD), students, once=True),)


def _variants(context: ExperimentContext) -> tuple[StudentVariant, StudentVariant]:
    """Return the students of figure C, without warp-refine labels and with them."""
    recipe = context.recipe.student
    return (
        StudentVariant(name=BASELINE, recipe=recipe),
        StudentVariant(name=METHOD, method=METHOD, recipe=recipe),
    )


def _cases(context: ExperimentContext, finished: FinishedRun) -> list[_Case]:
    """Return all frames with truth, those on which warp-refine is furthest ahead first."""
    cases = []
    classes = finished.dataset.classes
    for video in finished.dataset.videos:
        units = stepwise_units(video, finished.horizon)
        frames = [frame for unit in units for frame in unit.frames if frame in video.truth]
        for frame in frames:
            truth = read_labels(video.truth[frame], classes)
            ious = {
                method: confusion.mean_iou(
                    confusion.count(
                        predicted_labels(finished.run, classes, method=method, video=video, frame=frame),
                        truth,
                        class_count=len(classes),
                    )
                )
                for method in (*EARLIER, METHOD)
            }
            lead = ious[METHOD] - max(ious[method] for method in EARLIER)
            cases.append(_Case(video=video, frame=frame, lead=lead))
    return sorted(cases, key=lambda case: -case.lead)


def _spread_out(cases: Sequence[_Case], most: int) -> list[_Case]:
    """Return the first cases; those of one video lie at least 3 frames apart."""
    chosen: list[_Case] = []
    for case in cases:
        beside = [abs(case.frame - one.frame) for one in chosen if one.video.name == case.video.name]
        if len(chosen) < most and min(beside, default=3) >= 3:
            chosen.append(case)
    return chosen


def _draw_cases(context: ExperimentContext, run: RunFolder, cases: Sequence[_Case]) -> Image.Image:
    classes = context.data.classes
    frames, truths = [], []
    for case in cases:
        with open_frames(case.video) as source:
            frames.append(source[case.frame])
        truths.append(read_labels(case.video.truth[case.frame], classes))
    columns = [("frame", [paint.paint_frame(frame) for frame in frames])]
    for method in (*EARLIER, METHOD):
        maps = [
            predicted_labels(run, classes, method=method, video=case.video, frame=case.frame)
            for case in cases
        ]
        columns.append((method, _painted(maps, context)))
        if method == METHOD:
            errors = [
                paint.paint_errors(labels, truth, frame=frame)
                for labels, truth, frame in zip(maps, truths, frames, strict=True)
            ]
    columns += [("truth", _painted(truths, context)), (f"errors of {METHOD}", errors)]
    rows = [f"{case.frame} ({100 * case.lead:+.1f})" for case in cases]
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


def _draw_students(context: ExperimentContext, finished: FinishedRun) -> Image.Image:
    """Draw test frames on which students with and without warp-refine labels differ most, as figure C."""
    students = Students(context, finished)
    train_students(Arm(students=students, variants=_variants(context), seeds=(context.seed,)))
    networks = [
        load_student(students.weights(one, context.seed), context.torch_device) for one in _variants(context)
    ]
    members = labelled_frames(context.test)
    found: list[tuple[float, LabelledFrame, Frames, list[LabelMaps]]] = []
    for done, member in enumerate(members, 1):
        frame = member.read_frame()
        predicted = [predict(network, frame) for network in networks]
        found.append((float((predicted[0] != predicted[1]).float().mean()), member, frame, predicted))
        found = sorted(found, key=lambda one: -one[0])[:_TESTED]
        context.progress("comparing students", done, len(members))
    truths = [read_labels(member.label_path, member.classes) for _, member, _, _ in found]
    return draw_strip(
        [
            ("frame", [paint.paint_frame(frame) for _, _, frame, _ in found]),
            (BASELINE, _painted([predicted[0] for *_, predicted in found], context)),
            (f"with {METHOD} labels", _painted([predicted[1] for *_, predicted in found], context)),
            ("truth", _painted(truths, context)),
        ],
        rows=[member.video.stems[member.frame] for _, member, _, _ in found],
        classes=context.data.classes,
    )


def _painted(maps: Sequence[LabelMaps], context: ExperimentContext) -> list[paint.Picture]:
    return [paint.paint_labels(labels, context.data.classes) for labels in maps]
