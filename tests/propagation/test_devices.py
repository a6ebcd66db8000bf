"""Labels of a unit on a device where torch computes them are those of the compiled loops on the CPU."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from warprefine.core.precision import with_precision
from warprefine.core.pseudolabel import PseudoLabel
from warprefine.datasets.opening import open_dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.motion.dis import DISFlow
from warprefine.ops.compiled import without_loops
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.stepwise.walk import StepSettings, StepwiseLabeller
from warprefine.propagation.two_sided.label import TwoSidedLabeller
from warprefine.recipe.plus import PlusRecipe
from warprefine.refinement.candidates import CandidateUNet
from warprefine.refinement.compact import CompactRefiner
from warprefine.refinement.two_sided import LightTwoSidedUNet
from warprefine.segmentation.compact import CompactSegmenter

Labelled = Callable[..., list[PseudoLabel]]


def untrained(network: nn.Module) -> Any:
    """Return a network with random weights, whose scores are not all alike."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(
                    torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5
                )
    return with_precision(network.eval(), torch.float32)


@pytest.fixture
def models(tiny_data: Path) -> Models:
    """Motion, and a segmenter with random weights."""
    classes = len(open_dataset(tiny_data).classes)
    segmenter = untrained(CompactSegmenter(classes))
    return Models(motion=DISFlow("medium"), segmenter=segmenter, segmenter_fingerprint="random")


@pytest.fixture
def labelled(tiny_data: Path, tmp_path: Path) -> Labelled:
    """A function that labels the first video of the tiny data."""
    dataset = open_dataset(tiny_data)
    video = dataset.videos[0]

    def of(labeller: Labeller, *, done: frozenset[int] = frozenset()) -> list[PseudoLabel]:
        with open_evidence(video, dataset.classes, labeller.models, ArrayCache(tmp_path)) as evidence:
            units = [replace(unit, done=done) for unit in labeller.units(video, 9)]
            return [one for unit in units for one in labeller.label(evidence, unit, labeller.methods)]

    return of


def assert_agree(found: Sequence[PseudoLabel], expected: Sequence[PseudoLabel]) -> None:
    """Check that labels agree on 99.99 % of the pixels, and confidence up to rounding."""
    assert [one.provenance for one in found] == [one.provenance for one in expected]
    labels, wanted = (torch.cat([one.labels for one in each]) for each in (found, expected))
    confidence, sure = (torch.cat([one.confidence for one in each]) for each in (found, expected))
    agree = labels == wanted
    assert len({*labels.flatten().tolist()}) > 2
    assert float(agree.float().mean()) >= 0.9999
    torch.testing.assert_close(confidence[agree], sure[agree], atol=1e-4, rtol=0)


@contextmanager
def torch_alone() -> Iterator[set[str]]:
    """Compute without loops; collect the modules that turn tensors into arrays of numpy."""
    modules: set[str] = set()
    original = torch.Tensor.numpy

    def watched(self: torch.Tensor, *given: Any, **named: Any) -> Any:
        modules.add(sys._getframe(1).f_globals["__name__"].removeprefix("warprefine."))
        return original(self, *given, **named)

    with pytest.MonkeyPatch.context() as patch, without_loops():
        patch.setattr(torch.Tensor, "numpy", watched)
        yield modules


@pytest.mark.parametrize("refiner", [None, LightTwoSidedUNet, CandidateUNet])
def test_both_sides_give_the_same_labels_without_loops(
    labelled: Labelled, models: Models, refiner: Callable[..., nn.Module] | None
) -> None:
    """Carried, layered, voted or refined, and smoothed, labels are those of the loops."""
    network = None
    if refiner is not None:
        assert models.segmenter is not None
        network = untrained(refiner(models.segmenter.class_count, models.segmenter.feature_channels))
    labeller = TwoSidedLabeller(models=models, recipe=PlusRecipe(), refiner=network)
    expected = labelled(labeller)

    with torch_alone() as modules:
        found = labelled(labeller)

    assert_agree(found, expected)
    assert modules <= {"motion.dis", "io.array_cache"}, "nothing else comes back to the CPU"


def counted(models: Models) -> list[int]:
    """Return the list that the sizes of the segmenter's batches are added to."""
    sizes: list[int] = []
    assert isinstance(models.segmenter, nn.Module)
    models.segmenter.register_forward_pre_hook(lambda _, frames: sizes.append(len(frames[0])))
    return sizes


@pytest.mark.parametrize("refiner", [LightTwoSidedUNet, CandidateUNet])
def test_batches_give_the_same_labels(
    labelled: Labelled, models: Models, tmp_path: Path, refiner: Callable[..., nn.Module]
) -> None:
    """Whether networks compute frames one by one or four at a time, labels are the same."""
    assert models.segmenter is not None
    network = untrained(refiner(models.segmenter.class_count, models.segmenter.feature_channels))
    labeller = TwoSidedLabeller(models=models, recipe=PlusRecipe(), refiner=network)
    expected = labelled(labeller)
    shutil.rmtree(tmp_path)
    sizes, scored = counted(models), []
    network.register_forward_pre_hook(lambda _, inputs: scored.append(len(inputs[0].frame)))

    with without_loops():
        found = labelled(replace(labeller, models=replace(models, batch=4)))

    assert_agree(found, expected)
    assert sizes == [4, 4]  # six frames
    assert set(scored) <= {4}


def test_a_resumed_unit_has_the_labels_of_a_whole_one(
    labelled: Labelled, models: Models, tmp_path: Path
) -> None:
    """Batches are filled up, so that what else is in them does not show in the last bits."""
    assert models.segmenter is not None
    counts = models.segmenter.class_count, models.segmenter.feature_channels
    models = replace(models, batch=4)
    labeller = TwoSidedLabeller(
        models=models, recipe=PlusRecipe(), refiner=untrained(LightTwoSidedUNet(*counts))
    )
    whole = {one.frame: one for one in labelled(labeller)}
    shutil.rmtree(tmp_path)

    rest = labelled(labeller, done=frozenset({0, 1, 2}))

    assert [one.frame for one in rest] == [4, 5, 6]
    for one in rest:
        assert torch.equal(one.labels, whole[one.frame].labels)
        assert torch.equal(one.confidence, whole[one.frame].confidence)


def test_steps_give_the_same_labels_without_loops(labelled: Labelled, models: Models) -> None:
    """So are those of the paper's methods."""
    assert models.segmenter is not None
    refiner = untrained(CompactRefiner(models.segmenter.class_count, models.segmenter.feature_channels))
    labeller = StepwiseLabeller(
        methods=("motion-only", "warp-inpaint", "warp-refine"),
        models=models,
        settings=StepSettings(tau=0.1, threshold=0.9, refiner=refiner),
    )
    expected = labelled(labeller)

    with torch_alone() as modules:
        found = labelled(labeller)

    assert_agree(found, expected)
    assert modules <= {"motion.dis", "io.array_cache"}, "nothing else comes back to the CPU"
