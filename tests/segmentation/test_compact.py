"""Tests of segmentation/compact.py: frames of any size in, scores over the same places out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from warprefine.ops.resize import to_size
from warprefine.segmentation.compact import CompactSegmenter, PyramidPooling, StridedPointwise

WIDTHS = (4, 5, 6, 7, 8)


@pytest.fixture
def network() -> CompactSegmenter:
    """A small untrained network for three classes, as it is used."""
    return CompactSegmenter(3, widths=WIDTHS).eval()


def noise(*size: int) -> Tensor:
    return torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)


def without_surroundings(network: CompactSegmenter) -> CompactSegmenter:
    """Silence what looks at the whole picture at once, so that only the neighbourhood counts."""
    for module in network.modules():
        if isinstance(module, PyramidPooling):
            for reduce in module.reduce:
                nn.init.zeros_(reduce.weight)
    return network


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (1, 1), (31, 65), (361, 481)])
def test_frames_of_any_size_are_segmented(network: CompactSegmenter, size: tuple[int, int]) -> None:
    """Logits come at half the size and features at a quarter, rounded up where the frame is odd."""
    with torch.inference_mode():
        output = network(noise(*size))

    h, w = size
    assert output.logits.shape == (1, 3, -(-h // 2), -(-w // 2))
    assert output.features.shape == (1, network.feature_channels, -(-h // 4), -(-w // 4))
    assert to_size(output.logits, size).shape == (1, 3, h, w)


@pytest.mark.parametrize(("down", "right"), [(32, 0), (0, 64)])
def test_what_moves_in_the_frame_moves_in_the_scores(
    network: CompactSegmenter, down: int, right: int
) -> None:
    """A picture moved by 32 pixels gives the same scores, moved by 16 cells, and features by 8."""
    without_surroundings(network)
    wide = noise(448, 480)
    before, after = wide[:, :, 64:, 64:], wide[:, :, 64 - down : 448 - down, 64 - right : 480 - right]

    with torch.inference_mode():
        output, moved = network(before), network(after)

    for name, stride in (("logits", 2), ("features", 4)):
        here, there = getattr(output, name), getattr(moved, name)
        edge = 160 // stride  # beyond this, padding at the frame's edge has no effect
        inner = here[..., edge:-edge, edge:-edge]
        y, x = edge + down // stride, edge + right // stride
        found = there[..., y : y + inner.shape[-2], x : x + inner.shape[-1]]
        torch.testing.assert_close(found, inner, atol=1e-4, rtol=1e-4)
        assert inner.std() > 1e-3


def test_padding_a_frame_does_not_move_its_scores(network: CompactSegmenter) -> None:
    """The scores of an odd frame lie where those of the same frame lie, its last row and column repeated."""
    frame = noise(51, 77)
    padded = nn.functional.pad(frame.float(), (0, 19, 0, 13), mode="replicate").to(torch.uint8)

    with torch.inference_mode():
        odd, even = network(frame), network(padded)

    torch.testing.assert_close(odd.logits, even.logits[..., :26, :39])
    torch.testing.assert_close(odd.features, even.features[..., :13, :20])


def test_a_network_can_learn_where_an_edge_is() -> None:
    """Trained on an edge between two colours, the scores change sides where the colours do, to a pixel."""
    torch.manual_seed(0)
    network = CompactSegmenter(2, widths=(8, 8, 8, 8, 8), dropout=0.0)
    frames = torch.full((6, 3, 32, 64), 40, dtype=torch.uint8)
    labels = torch.zeros(6, 32, 64, dtype=torch.long)
    for i, edge in enumerate((13, 22, 29, 35, 44, 51)):
        frames[i, :, :, edge:] = 210
        labels[i, :, edge:] = 1
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(40):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(to_size(network(frames).logits, (32, 64)), labels)
        loss.backward()
        optimiser.step()

    predicted = to_size(network(frames).logits, (32, 64)).argmax(dim=1)

    assert (predicted != labels).sum(dim=2).float().mean() < 1


def test_the_gradient_reaches_every_weight() -> None:
    """No part of the network is left out of the training."""
    network = CompactSegmenter(3, widths=WIDTHS)

    output = network(torch.cat([noise(64, 64), noise(64, 64)]))
    output.logits.square().mean().backward()

    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_frames_are_normalised_in_rgb(network: CompactSegmenter) -> None:
    """The mean colour of ImageNet, given as RGB, is nought to the network; as BGR it is not."""
    mean = torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1)
    inputs: list[Tensor] = []
    network.stem.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))

    with torch.inference_mode():
        network(mean.round().to(torch.uint8).expand(1, 3, 32, 32))
        network(mean.round().to(torch.uint8).flip(1).expand(1, 3, 32, 32))

    assert inputs[0].abs().amax() < 0.02
    assert inputs[1].abs().amax() > 0.3


def test_colours_are_not_part_of_the_weights(network: CompactSegmenter) -> None:
    """What the frames are normalised with is fixed, so checkpoints do not carry it."""
    assert not {"mean", "deviation"} & set(network.state_dict())


@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
def test_a_strided_shortcut_is_a_strided_convolution(size: tuple[int, int]) -> None:
    """Taking every second pixel first gives the same; with few channels oneDNN's own way corrupts memory."""
    shortcut = StridedPointwise(8, 12, step=2)
    strided = torch.nn.Conv2d(8, 12, 1, 2, bias=False)
    strided.load_state_dict(shortcut.state_dict())
    x = torch.randn(2, 8, *size)

    torch.testing.assert_close(shortcut(x), strided(x))
    assert shortcut.stride == (1, 1)
    assert not [
        module
        for module in CompactSegmenter(3, widths=(8, 8, 8, 8, 8)).modules()
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (1, 1) and module.stride != (1, 1)
    ]
