"""Tests of core/recompute.py: the same gradients and statistics with less memory."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from warprefine.core.protocols import Segmenter
from warprefine.core.recompute import Recomputed, recomputing
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.segmentation.dilated import DilatedSegmenter
from warprefine.segmentation.hrnet import HRNetSize
from warprefine.segmentation.multiscale import MultiScaleSegmenter
from warprefine.segmentation.resnext import ResNetSize
from warprefine.training.segmenter_loss import segmentation_loss

LABELS = torch.arange(2 * 64 * 64).view(2, 64, 64).remainder(3).to(torch.uint8)


def hrnet() -> Segmenter:
    """Return a small HRNet with OCR and attention over scales."""
    return MultiScaleSegmenter(3, size=HRNetSize(width=4, bottlenecks=2, units=(1, 1, 2), blocks=2))


def deeplab() -> Segmenter:
    """Return a small DeepLabV3+ on a trunk with squeeze-and-excitation."""
    size = ResNetSize(width=4, groups=2, narrowing=2, squeezed=True, blocks=(1, 2, 2, 1))
    return DilatedSegmenter(3, network="deeplabv3plus", trunk=size)


def trained_once(network: nn.Module, images: Tensor, *, enabled: bool) -> tuple[float, int]:
    """Take the gradient of a loss with dropout; return the loss and how many bytes the forward pass kept."""
    kept: dict[int, int] = {}

    def keep(values: Tensor) -> Tensor:
        storage = values.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return values

    torch.manual_seed(1)
    network.train()
    with recomputing(network, enabled=enabled):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
            loss = segmentation_loss(network(images), LABELS, SegmenterRecipe(loss="rmi"), None)
            count = sum(kept.values())
        loss.backward()
    return loss.item(), count


@pytest.mark.parametrize("build", [hrnet, deeplab])
def test_gradients_and_statistics_are_those_of_activations_that_are_kept(
    build: Callable[[], Segmenter],
) -> None:
    """Dropout draws the same, norms see each batch once, and less is kept."""
    torch.manual_seed(0)
    first = build()
    assert isinstance(first, nn.Module)
    second = copy.deepcopy(first)
    images = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)

    loss, whole = trained_once(first, images, enabled=False)
    again, less = trained_once(second, images, enabled=True)

    assert again == pytest.approx(loss, rel=1e-5)
    for (name, one), other in zip(first.named_parameters(), second.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        if one.grad is not None and other.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-3, atol=1e-5, msg=name)
    for (name, one), other in zip(first.named_buffers(), second.buffers(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6, msg=name)
    assert less < 0.65 * whole  # what the small trunks do not hold


def test_parts_outside_are_left_alone() -> None:
    """Afterwards, after an error too, and without gradients a part computes as always."""

    class Counted(Recomputed):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x.exp()

    part = Counted()
    x = torch.zeros(2, requires_grad=True)
    with recomputing(part):
        part(x).sum().backward()
        assert part.calls == 2
        with torch.no_grad():
            part(x)
        assert part.calls == 3
    with pytest.raises(ZeroDivisionError), recomputing(part):
        raise ZeroDivisionError
    part(x).sum().backward()
    assert part.calls == 4
