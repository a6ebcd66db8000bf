"""Operations on tensors of a GPU stay on it: no tensor of the CPU joins in, and no loop is called.

There is no GPU where tests run. Torch's fake tensors have a device but no values, and refuse to be computed
with tensors of another device. Where torch is built without CUDA the device is "meta".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import FakeTensor

from warprefine.core.protocols import Segmentation
from warprefine.ops.candidates import Voters, find_candidates
from warprefine.ops.label_vote import carry_labels, vote_labels, warp_labels
from warprefine.ops.mixing import inpaint, mixing_mask
from warprefine.ops.smoothing import Neighbour, smooth, thin_structures
from warprefine.ops.soft_labels import SoftLabels, mix_soft, mix_warped, warp_soft
from warprefine.ops.trajectories import agreement, compose
from warprefine.ops.warp import backward_warp
from warprefine.propagation.stepwise.step import Labelling, Pair, from_hand_labels, segment, warp_inpaint
from warprefine.propagation.two_sided.carry import _layer
from warprefine.propagation.two_sided.vote import vote
from warprefine.refinement.interface import Side, TwoSidedInput

GPU = torch.device("cuda", 0) if torch.backends.cuda.is_built() else torch.device("meta")
H, W, CLASSES = 8, 12, 5


@pytest.fixture(autouse=True)
def _without_values() -> Iterator[None]:
    with FakeTensorMode(allow_non_fake_inputs=False):
        yield


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield all tensors of a result: of a tuple, or of a dataclass."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from tensors_in(one)
    elif is_dataclass(value):
        for one in fields(value):
            yield from tensors_in(getattr(value, one.name))


def label_map() -> Tensor:
    return torch.zeros(1, H, W, dtype=torch.uint8, device=GPU)


def shares() -> Tensor:
    return torch.rand(1, H, W, device=GPU)


def flow() -> Tensor:
    return torch.zeros(1, 2, H, W, device=GPU)


def frame() -> Tensor:
    return torch.zeros(1, 3, H, W, dtype=torch.uint8, device=GPU)


def soft() -> SoftLabels:
    return SoftLabels.of_probabilities(torch.rand(1, CLASSES, H, W, device=GPU), most=4, void_is_last=True)


def segmentation() -> Segmentation:
    quarter = (H // 4, W // 4)
    return Segmentation(
        logits=torch.zeros(1, CLASSES, *quarter, device=GPU), features=torch.zeros(1, 2, *quarter, device=GPU)
    )


def voters() -> Voters:
    return Voters(
        soft=(soft(), soft()),
        weights=(shares(), shares()),
        trust=(shares(), shares()),
        logits=segmentation().logits,
    )


def side() -> Side:
    distance = torch.ones(1, device=GPU)
    return Side(soft=soft(), trust=shares(), warped_frame=frame(), distance=distance)


def two_sided() -> TwoSidedInput:
    return TwoSidedInput(frame=frame(), sides=(side(), Side.missing(frame())), segmentation=segmentation())


def labelling() -> Labelling:
    return Labelling(labels=label_map(), confidence=shares())


OPERATIONS: dict[str, Callable[[], Any]] = {
    "of_labels": lambda: SoftLabels.of_labels(label_map()),
    "of_probabilities": soft,
    "packed": lambda: tuple(soft().packed().values()),
    "dense": lambda: soft().dense(CLASSES),
    "warp_soft": lambda: warp_soft(soft(), flow()),
    "mix_soft": lambda: mix_soft([soft(), soft()], most=4),
    "mix_warped": lambda: mix_warped(soft(), [soft()], flows=[flow()], weights=[shares()], most=4),
    "smooth": lambda: smooth(soft(), [Neighbour(soft=soft(), flow=flow(), trust=shares())]),
    "thin_structures": lambda: thin_structures(label_map()),
    "find_candidates": lambda: find_candidates(
        voters(), torch.eye(CLASSES + 1, device=GPU), most=4, semantic_weight=0.5, void_weight=0.5, room=3
    ),
    "warp_labels": lambda: warp_labels(label_map(), flow()),
    "vote_labels": lambda: vote_labels(label_map(), flow(), outside="replicate"),
    "carry_labels": lambda: carry_labels(label_map(), shares(), flow()),
    "backward_warp": lambda: backward_warp(frame().float(), flow()),
    "compose": lambda: compose(flow(), flow()),
    "agreement": lambda: agreement(flow(), flow(), slack=1.0),
    "mixing_mask": lambda: mixing_mask(frame(), frame().float(), flow(), tau=0.1),
    "inpaint": lambda: inpaint(label_map(), label_map(), label_map() > 0),
    "layers": lambda: _layer([soft(), soft()], [shares(), shares()]),
    "vote": lambda: vote(two_sided()),
    "stacked": lambda: TwoSidedInput.stacked([two_sided(), two_sided()]),
    "hand labels": lambda: from_hand_labels(label_map()),
    "segment": lambda: segment(segmentation(), (H, W)),
    "still": lambda: warp_inpaint(labelling(), Pair.still(frame(), segmentation()), tau=0.1),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_results_are_on_the_device_of_the_inputs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is computed on a GPU stays there, whole, and no array of numpy comes in between."""

    def refused(self: Tensor, *given: Any, **named: Any) -> np.ndarray:
        raise AssertionError("a tensor of the GPU cannot be an array")

    monkeypatch.setattr(FakeTensor, "numpy", refused)

    found = list(tensors_in(OPERATIONS[name]()))

    assert found
    assert {tensor.device for tensor in found} == {GPU}
