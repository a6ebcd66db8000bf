"""Tests of propagation/methods.py: the names of the methods, and what each of them needs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from warprefine.core.errors import RecipeError
from warprefine.core.tensors import VOID
from warprefine.propagation.methods import (
    DEFAULT_METHODS,
    METHODS,
    NEED_REFINER,
    NEED_SEGMENTER,
    NEED_TAU,
    ORACLE,
    PLUS,
    STEPS,
    Setting,
    check_methods,
)
from warprefine.propagation.step import Labelling, Pair, known


@pytest.fixture
def pair(drive: Any) -> Pair:
    """The first step of a drive, its motion known."""
    flow = torch.tensor([-2.0, -1.0]).view(1, 2, 1, 1).repeat(1, 1, *drive.size)
    return Pair.of(drive.frame(0), drive.frame(1), flow, drive.segmenter()(drive.frame(1)))


def test_methods_come_in_the_usual_order() -> None:
    """Tables and pages list methods alike, however they were asked for."""
    assert check_methods(["warp-refine", "motion-only"]) == ("motion-only", "warp-refine")
    assert check_methods(METHODS[::-1]) == METHODS


def test_an_unknown_method_is_named_with_the_known_ones() -> None:
    """A misspelt method is told, and all methods with it."""
    with pytest.raises(
        RecipeError,
        match=r"no method is called 'warp-refin'; did you mean 'warp-refine'\? \(there are .*, oracle\)",
    ):
        check_methods(["motion-only", "warp-refin"])


def test_motion_alone_needs_no_training() -> None:
    """Motion-only needs no segmenter, and only warp-refine needs the refiner of a single side."""
    assert frozenset({"semantic-only", "warp-inpaint", "warp-refine", PLUS}) == NEED_SEGMENTER
    assert frozenset({"warp-inpaint", "warp-refine"}) == NEED_TAU
    assert frozenset({"warp-refine"}) == NEED_REFINER
    assert set(METHODS) == {*STEPS, PLUS, ORACLE}


def test_nothing_is_trained_by_default_for_the_sake_of_a_comparison() -> None:
    """Ours is run unless told otherwise, and beside it only what needs neither tau nor another refiner."""
    assert check_methods(DEFAULT_METHODS) == DEFAULT_METHODS
    assert PLUS in DEFAULT_METHODS
    assert not (NEED_TAU | NEED_REFINER) & set(DEFAULT_METHODS)


def test_motion_only_repeats_the_border(drive: Any, pair: Pair) -> None:
    """Motion alone has nothing to fill in, so what comes into view gets the label of the border."""
    after = STEPS["motion-only"](known(drive.hand(0)), pair, Setting(tau=0.0))

    inside = drive.in_view([0], of=1)
    assert torch.equal(after.labels[inside], drive.hand(1)[inside])
    assert torch.equal(after.labels[0, 1:, 0], drive.hand(0)[0, :-1, 0])
    assert torch.equal(after.labels[0, 1:, 1], drive.hand(0)[0, :-1, 0])


def test_semantic_only_forgets_the_labels_before(drive: Any, pair: Pair) -> None:
    """Semantic-only says what the segmenter says where it is sure enough, and VOID elsewhere."""
    anything = known(torch.zeros(1, *drive.size, dtype=torch.uint8))

    sure = STEPS["semantic-only"](anything, pair, Setting(tau=0.1, threshold=0.9))
    never = STEPS["semantic-only"](anything, pair, Setting(tau=0.1, threshold=1.0))

    assert torch.equal(sure.labels, drive.seen(1))
    assert never.labels.unique().tolist() == [VOID]


def test_semantic_only_asks_for_more_than_nine_tenths(drive: Any) -> None:
    """Unless told otherwise, a label is kept if its probability is above 0.9 (the paper, section 4.2)."""
    probability = torch.tensor([0.9 - 1e-4, 0.9 + 1e-4])
    logits = torch.stack((probability.log(), (1 - probability).log()))[None, :, None]
    segmentation = drive.segmenter()(drive.frame(0))
    object.__setattr__(segmentation, "logits", logits)
    frame = torch.zeros(1, 3, 1, 2, dtype=torch.uint8)
    pair = Pair.of(frame, frame, torch.zeros(1, 2, 1, 2), segmentation)

    said = STEPS["semantic-only"](known(frame[:, 0]), pair, Setting(tau=0.1))

    assert said.labels.tolist() == [[[VOID, 0]]]


def test_warp_refine_is_warp_inpaint_refined(drive: Any, pair: Pair) -> None:
    """The refiner works on what warp-inpaint made."""
    setting = Setting(tau=0.05, refiner=drive.refiner())
    start = known(drive.hand(0))

    inpainted = STEPS["warp-inpaint"](start, pair, setting)
    refined = STEPS["warp-refine"](start, pair, setting)

    void = inpainted.labels == VOID
    assert bool(void.any())
    assert torch.equal(refined.labels, torch.where(void, drive.seen(1), inpainted.labels))


def test_warp_refine_without_a_refiner_is_our_own_mistake(drive: Any, pair: Pair) -> None:
    """Nobody gets unrefined labels under the name of refined ones."""
    with pytest.raises(ValueError, match="warp-refine needs a refiner"):
        STEPS["warp-refine"](known(drive.hand(0)), pair, Setting(tau=0.1))


@pytest.mark.parametrize("method", sorted(STEPS))
def test_confidence_is_a_probability(drive: Any, pair: Pair, method: str) -> None:
    """Every method says of every pixel how sure it is, from 0 to 1."""
    setting = Setting(tau=0.05, refiner=drive.refiner())
    start = Labelling(labels=drive.hand(0), confidence=torch.rand(1, *drive.size))

    confidence = STEPS[method](start, pair, setting).confidence

    assert confidence.shape == (1, *drive.size)
    assert 0 <= confidence.amin() <= confidence.amax() <= 1 + 1e-6
