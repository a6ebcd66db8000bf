"""Tests of `--unreached`: frames behind a cut have labels of the segmenter alone, and say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from warprefine.core.errors import RecipeError
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames
from warprefine.datasets.street import STREET_CLASSES
from warprefine.jobs.autolabel import autolabel
from warprefine.jobs.context import GivenParts
from warprefine.jobs.corrections import save_correction
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.relabel import Relabeller
from warprefine.propagation.unreached import check_unreached
from warprefine.recipe.recipe import Recipe
from warprefine.recipe.stages import NO_CHANGES

CUT, LENGTH = 4, 8
METHODS = ("motion-only", "semantic-only", "warp-refine-plus")


class Brightness:
    """A segmenter: a pixel is road where it is dark and sky where it is bright, with probability 0.73."""

    name, class_count, feature_channels = "brightness", len(STREET_CLASSES), 1

    def __call__(self, frames: Frames) -> Segmentation:
        bright = (frames.float().mean(dim=1) > 128).float()
        logits = torch.full((len(frames), self.class_count, *bright.shape[1:]), -30.0)
        logits[:, 0], logits[:, 3] = bright, 1 - bright
        return Segmentation(logits=logits, features=frames[:, :1].float())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, joined_streets: Callable[..., Path]) -> Path:
    """A video of two streets, of which only the first has a key frame."""
    return joined_streets(tmp_path_factory.mktemp("half") / "data", by_hand=(1,), each=CUT)


def label(data: Path, out: Path, unreached: Any) -> FinishedRun:
    recipe = Recipe(stages=NO_CHANGES).changed(("plus", "refiner", "enabled"), False)
    recipe = recipe.changed(("propagation", "motion"), "dis-ultrafast")
    recipe = recipe.changed(("plus", "carry", "motion"), "dis-ultrafast")
    segmenter = cast(Any, Brightness())
    return autolabel(data, out, methods=METHODS, recipe=recipe, segmenter=segmenter, unreached=unreached)


def labelled(run: FinishedRun, method: str) -> dict[int, tuple[int, ...]]:
    return {one.frame: one.key_frames for one in run.labels("drive", method)}


def test_frames_behind_a_cut_are_labelled_by_the_segmenter_if_asked(data: Path, tmp_path: Path) -> None:
    """A later call adds them and takes them back; a method without a segmenter has none; all are exported."""
    reached = dict.fromkeys(range(CUT), (1,))
    everything = reached | dict.fromkeys(range(CUT, LENGTH), ())

    skipped = label(data, tmp_path / "run", "skip")
    before = {method: labelled(skipped, method) for method in METHODS}
    added = label(data, tmp_path / "run", "semantic")
    after = {method: labelled(added, method) for method in METHODS}
    last = [*added.labels("drive")][-1]
    unsure = [*added.labels("drive", "semantic-only")][-1]
    opened = FinishedRun.open(tmp_path / "run")
    exported = export_labels("index-png", tmp_path / "run", tmp_path / "pngs", settings=ExportSettings())

    assert before == dict.fromkeys(METHODS, reached)
    assert after == dict.fromkeys(METHODS, everything) | {"motion-only": reached}
    assert (last.frame, last.distance) == (7, 6)
    assert {*last.labels.unique().tolist()} == {0, 3}
    assert float(last.confidence.mean()) == pytest.approx(0.73, abs=0.01)
    assert {*unsure.labels.unique().tolist()} == {255}
    assert "8 of 8 frames labelled, 4 out of reach (4 to 7), 4 of them because of cuts" in str(added)
    assert str(added.coverage[0]).endswith("4 by the segmenter alone")
    assert opened.coverage == added.coverage
    assert opened.evaluate()["warp-refine-plus"].miou == added.scores["warp-refine-plus"].miou
    assert exported.frames == {"drive": LENGTH}
    assert labelled(label(data, tmp_path / "run", "skip"), METHODS[-1]) == reached


def test_a_correction_keeps_the_labels_of_frames_out_of_reach(data: Path, tmp_path: Path) -> None:
    """Labelling the gaps beside a corrected frame again removes no labels of the segmenter alone."""
    run = label(data, tmp_path / "run", "semantic")
    video, classes = run.dataset.videos[0], run.dataset.classes
    labels = torch.full((1, 96, 160), 3, dtype=torch.uint8)
    save_correction(video, 2, labels, classes=classes, root=tmp_path / "run")

    list(Relabeller(tmp_path / "run", parts=GivenParts(segmenter=cast(Any, Brightness()))).run())

    opened = FinishedRun.open(tmp_path / "run")
    assert opened.dataset.videos[0].corrected == (2,)
    of_segmenter = dict.fromkeys(range(CUT, LENGTH), ())
    found = labelled(opened, "warp-refine-plus")
    assert {frame: found.get(frame) for frame in of_segmenter} == of_segmenter


def test_another_word_is_refused() -> None:
    """The message has the nearest one."""
    with pytest.raises(RecipeError, match=r"no choice for frames out of reach .* 'semantics'; .*semantic"):
        check_unreached("semantics")
