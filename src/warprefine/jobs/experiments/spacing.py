"""Compare warp-refine-plus with the paper's warp-refine where key frames are further apart, or less far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from warprefine.core.errors import RecipeError
from warprefine.datasets.opening import parse_key_frames
from warprefine.evaluation.result_table import Cell, ResultTable
from warprefine.evaluation.scores import MethodScores
from warprefine.io.atomic import copy_file
from warprefine.jobs.experiments.lab import STREET, Lab
from warprefine.propagation.methods import PLUS

WARP_REFINE = "warp-refine"
_BASE = "labels/checkpoints/segmenter-base.safetensors"


def with_key_frames(lab: Lab) -> dict[str, Lab]:
    """Return the same experiment with each set of key frames that the recipe names, in folders of their own.

    Labels reach half-way from key frame to key frame.

    Raises:
        RecipeError: The data are the made-up street, whose clips have one key frame.
        KeyFrameError: A set is not START::STEP.
    """
    if lab.recipe.key_frame_sets and lab.recipe.data.reader == STREET:
        raise RecipeError(
            "key_frame_sets choose among labelled frames, but a clip of the made-up street has only one; "
            "name a data set with dense labels under [data], or no sets"
        )
    spaced = {}
    for key_frames in lab.recipe.key_frame_sets:
        start, step = parse_key_frames(key_frames)
        data = lab.recipe.data.model_copy(update={"key_frames": key_frames, "horizon": max(step // 2, 1)})
        recipe = lab.recipe.model_copy(update={"data": data})
        out = lab.out / "spacings" / f"every{step}-from{start}"
        spaced[key_frames] = replace(lab, recipe=recipe, out=out)
    return spaced


def compare_spacings(lab: Lab, spaced: Mapping[str, Lab]) -> ResultTable:
    """Label with each set of key frames, by warp-refine and by warp-refine-plus.

    Everything is trained anew for each set, once, but for the segmenter that has not seen any key frame.

    Raises:
        DatasetError: The data have no truth to compare labels with.
    """
    rows: list[tuple[Cell, ...]] = []
    for key_frames, other in spaced.items():
        scores = _scores(lab, other)
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


def _scores(lab: Lab, spaced: Lab) -> dict[str, MethodScores]:
    shared, own = lab.out / _BASE, spaced.out / _BASE
    if shared.exists() and not own.exists():
        copy_file(shared, own)
    _, outcome = spaced.label((WARP_REFINE, PLUS))
    spaced.check_truth(outcome)
    return outcome.scores
