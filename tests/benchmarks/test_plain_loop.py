"""Tests of benchmarks/plain_loop.py: what warprefine is timed against does the same work."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine import load_recipe, open_dataset
from warprefine.core.protocols import MotionEstimator, Segmentation, Segmenter
from warprefine.core.video import Dataset
from warprefine.datasets.street import write_street
from warprefine.io.array_cache import halves, rounded_flow
from warprefine.recipe.recipe import Recipe


class RoundedMotion:
    """Motion in the steps in which warprefine's cache keeps flow."""

    name = "rounded"

    def __init__(self, motion: MotionEstimator) -> None:
        self._motion = motion

    def __call__(self, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        return rounded_flow(self._motion(frame_b, frame_a))


class HalvedSegmenter:
    """A segmenter whose scores have the precision in which warprefine's cache keeps them."""

    name = "halved"

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self.class_count, self.feature_channels = segmenter.class_count, segmenter.feature_channels

    def __call__(self, frames: Tensor) -> Segmentation:
        return self._segmenter(frames).mapped(lambda values: halves({"": values})[""].float())


BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HORIZON, LONGEST = 3, 2


@pytest.fixture
def plain_loop(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, found as Python finds it when it is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("plain_loop")


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A street of six frames, two of them labelled, whose frames lie within reach of both."""
    root = tmp_path_factory.mktemp("street")
    write_street(root, videos=1, length=6, start=1, step=3, h=96, w=128)
    return open_dataset(root)


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Path) -> Recipe:
    """Small networks, averaged over mirror images."""
    recipe = load_recipe(tiny_recipe)
    return recipe.changed(("segmenter", "mirrored"), True).changed(("refiner", "mirrored"), True)


@pytest.fixture
def loop(plain_loop: Any, street: Dataset, recipe: Recipe) -> Any:
    """The plain loop; the scores of untrained networks are so close that rounding would decide."""
    parts = plain_loop.untrained(recipe, len(street.classes))
    parts = replace(parts, motion=RoundedMotion(parts.motion), segmenter=HalvedSegmenter(parts.segmenter))
    return plain_loop.PlainLoop(video=street.videos[0], classes=street.classes, parts=parts)


def agreement(first: list[Tensor], second: list[Tensor]) -> float:
    """Return the share of pixels that have the same label."""
    return float((torch.cat(first) == torch.cat(second)).float().mean())


@pytest.mark.parametrize("method", ["motion-only", "warp-inpaint", "warp-refine"])
def test_both_loops_carry_the_same_labels(
    plain_loop: Any, loop: Any, street: Dataset, method: str, tmp_path: Path
) -> None:
    """Along overlapping walks, labels differ at most where rounding decides a vote."""
    walks = plain_loop.overlapping_walks(street.videos[0], HORIZON)

    plain = plain_loop.walk_plainly(loop, walks, method, tmp_path)
    ours = plain_loop.walk_all(street, walks, loop.parts.labeller(method), tmp_path)

    assert len(plain) == len(ours) == 8
    assert agreement(plain, ours) > 0.999
    assert agreement(plain[1:], ours[:-1]) < 0.999


def test_both_loops_return_the_same_labels_from_cycles(
    plain_loop: Any, loop: Any, street: Dataset, tmp_path: Path
) -> None:
    """Cycles that are run one by one, each from its start, bring back the same labels."""
    plain = plain_loop.run_cycles_plainly(loop, LONGEST, tmp_path)
    cycles = plain_loop.run_cycles(street, loop.parts, LONGEST, tmp_path)
    ours = [cycles[index].inputs.labels for index in range(len(cycles))]

    assert len(plain) == len(ours) == 6
    assert agreement(plain, ours) > 0.999
    assert agreement(plain[1:], ours[:-1]) < 0.999


def test_the_plain_loop_writes_what_it_carries(
    plain_loop: Any, loop: Any, street: Dataset, tmp_path: Path
) -> None:
    """Both write a label map to disk for each frame that they label."""
    walks = plain_loop.overlapping_walks(street.videos[0], 1)

    plain_loop.label_plainly(loop, walks, "motion-only", tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-0.png", "1-2.png", "4-3.png", "4-5.png"]
