"""Compare warp-refine-plus with the paper's warp-refine at other spacings of the key frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from warprefine.core.errors import RecipeError
from warprefine.datasets.opening import parse_key_frames
from warprefine.io.atomic import copy_file
from warprefine.jobs.experiments.context import STREET, ExperimentContext
from warprefine.jobs.experiments.work import Labelling
from warprefine.metrics.scores import MethodScores
from warprefine.propagation.methods import PLUS
from warprefine.report.result_table import Cell, ResultTable
from warprefine.training.teachers import BASE

WARP_REFINE = "warp-refine"
_BASE = f"labels/checkpoints/{BASE}.safetensors"


def with_key_frames(context: ExperimentContext) -> dict[str, ExperimentContext]:
    """Return the same experiment with each set of key frames that the recipe names, in folders of their own.

    The horizon is half the step between key frames.

    Raises:
        RecipeError: The data are the procedural street, whose clips have one key frame.
        KeyFrameError: A set is not START::STEP.
    """
    if context.recipe.key_frame_sets and context.recipe.data.reader == STREET:
        raise RecipeError(
            "key_frame_sets choose among labelled frames, but a clip of the procedural street has only one; "
            "name a data set with dense labels under [data], or no sets"
        )
    spaced = {}
    for key_frames in context.recipe.key_frame_sets:
        start, step = parse_key_frames(key_frames)
        data = context.recipe.data.model_copy(update={"key_frames": key_frames, "horizon": max(step // 2, 1)})
        recipe = context.recipe.model_copy(update={"data": data})
        out = context.out / "spacings" / f"every{step}-from{start}"
        spaced[key_frames] = replace(context, recipe=recipe, out=out)
    return spaced


def compare_spacings(context: ExperimentContext, spaced: Mapping[str, ExperimentContext]) -> ResultTable:
    """Label with each set of key frames, by warp-refine and by warp-refine-plus.

    All networks are trained once for each set, except the segmenter trained on further data alone.

    Raises:
        DatasetError: The data have no truth to compare labels with.
    """
    rows: list[tuple[Cell, ...]] = []
    for key_frames, other in spaced.items():
        scores = _scores(context, other)
        first, ours = (scores[method].miou for method in (WARP_REFINE, PLUS))
        gain = None if first is None or ours is None else ours - first
        for method, gained in ((WARP_REFINE, None), (PLUS, gain)):
            horizon, of_method = other.recipe.data.horizon, scores[method]
            rows.append((key_frames, method, horizon, of_method.miou, of_method.boundary_f, gained))
    return ResultTable(
        title="mIoU (%) of labels by the spacing of key frames, mean over k = 1 to the horizon",
        columns=("key frames", "labels", "horizon", "mIoU", "boundary F", "gain"),
        rows=tuple(rows),
    )


def of_spacing(spaced: ExperimentContext) -> Labelling:
    """Return the run that labels from a set of key frames; it takes the base segmenter of the first run."""
    return Labelling(methods=(WARP_REFINE, PLUS), recipe=spaced.recipe.labels, taken=(BASE,))


def _scores(context: ExperimentContext, spaced: ExperimentContext) -> dict[str, MethodScores]:
    shared, own = context.out / _BASE, spaced.out / _BASE
    with context.world.parting():
        if context.world.is_first and shared.exists() and not own.exists():
            copy_file(shared, own)
    _, finished = spaced.label(of_spacing(spaced).methods)
    spaced.check_truth(finished)
    return finished.scores
