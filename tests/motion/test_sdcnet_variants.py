"""Tests of SDC-Net beyond the released network: narrow, correcting, filtering."""

from __future__ import annotations

import pytest
import torch

from warprefine.motion.flownet_ops import resample2d
from warprefine.motion.sdcnet import SDCNet
from warprefine.motion.sdcnet_kernels import KernelHeads, Kernels, distance_from_identity


def inputs(frame_count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw frames and the flows between them."""
    return 255 * torch.rand(1, frame_count, 3, 64, 64), 3 * torch.randn(1, frame_count - 1, 2, 64, 64)


def test_the_default_is_the_released_network() -> None:
    """It has as many weights as the released one."""
    assert sum(values.numel() for values in SDCNet().parameters()) == 9_698_420


def test_width_multiplies_the_channels() -> None:
    """A quarter of the width leaves a quarter of each level's channels, but never fewer than eight."""
    network = SDCNet(2, width=0.25)

    shapes = {name: values.shape for name, values in network.named_parameters()}
    assert shapes["encoder.levels.1.0.weight"] == (8, 8, 7, 7)
    assert shapes["encoder.levels.6.1.weight"] == (128, 128, 3, 3)
    assert shapes["up.3.weight"] == (64 + 32, 16, 4, 4)
    assert shapes["up.0.weight"] == (8 + 8, 8, 4, 4)
    assert network(*inputs(2)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize(("frame_count", "sees_target"), [(2, True), (3, True), (2, False)])
def test_an_untrained_correction_changes_nothing(frame_count: int, sees_target: bool) -> None:
    """A network that starts from a flow gives the last flow back until it is trained, and can be trained."""
    network = SDCNet(frame_count, sees_target=sees_target, width=0.05, starts_from_flow=True)
    frames, flows = inputs(frame_count)

    flow = network(frames, flows)
    flow.sum().backward()

    assert torch.equal(flow, flows[:, -1])
    assert network.final_flow.weight.grad is not None
    assert network.final_flow.weight.grad.abs().amax() > 0


def test_untrained_kernels_leave_the_flow_alone() -> None:
    """Before any training a frame is rebuilt as by its flow alone, and the kernels can be trained."""
    network = SDCNet(2, width=0.05, kernel_taps=5, starts_from_flow=True)
    frames, flows = inputs(2)

    found = network.predict(frames, flows)
    rebuilt = network.rebuild(frames, found.flow_ba, found.kernels)

    assert found.kernels is not None
    assert distance_from_identity(found.kernels) == 0
    assert torch.equal(rebuilt, resample2d(frames[:, 0], flows[:, 0]))
    rebuilt.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().amax() > 0 for p in network.final_kernels.parameters())


def test_kernels_are_used_in_their_directions() -> None:
    """A vertical kernel that looks one pixel down, and a horizontal one that stays, move the picture up."""
    network = SDCNet(2, width=0.05, kernel_taps=3)
    frames, _ = inputs(2)
    stays, looks_on = torch.zeros(2, 1, 3, 64, 64)
    stays[:, 1], looks_on[:, 2] = 1, 1

    rebuilt = network.rebuild(frames, torch.zeros(1, 2, 64, 64), Kernels(vertical=looks_on, horizontal=stays))

    assert torch.equal(rebuilt[:, :, :-1], frames[:, 0, :, 1:])


def test_the_distance_of_kernels_is_squared_and_of_both() -> None:
    """It sums the squares of what differs from one in the middle, over taps and both kernels."""
    kernels = torch.zeros(1, 3, 2, 2)
    kernels[:, 0] = 2

    both = distance_from_identity(Kernels(vertical=kernels, horizontal=torch.zeros(1, 3, 2, 2)))

    assert both == 2**2 + 1 + 1


def test_kernels_without_a_middle_are_refused() -> None:
    """An even number of taps is an error."""
    with pytest.raises(ValueError, match="kernels of 4 taps have no middle; expected an odd number"):
        KernelHeads(8, 4)


def test_normalisation_comes_from_the_flows() -> None:
    """The mean and the spread of all flows, x and y apart, take the place of the published numbers."""
    network, flows = (
        SDCNet(2, width=0.05),
        torch.randn(5, 2, 8, 9) * 3 + torch.tensor([1.0, -7]).view(2, 1, 1),
    )

    network.estimate_normalisation(flow[None] for flow in flows)

    expected = flows.transpose(0, 1).flatten(1)
    torch.testing.assert_close(network.flow_mean.flatten(), expected.mean(dim=1))
    torch.testing.assert_close(network.flow_std.flatten(), expected.std(dim=1, correction=0))


def test_a_picture_that_stands_still_can_be_normalised() -> None:
    """Flows without any spread are not divided by zero."""
    network = SDCNet(2, width=0.05)

    network.estimate_normalisation([torch.zeros(1, 2, 8, 8)])

    assert network(*inputs(2)).isfinite().all()
