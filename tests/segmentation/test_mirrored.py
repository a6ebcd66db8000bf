"""Tests of segmentation/mirrored.py: outputs are averaged over a frame and its mirror image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from warprefine.core.protocols import Segmentation, Segmenter
from warprefine.ops.compiled import without_loops
from warprefine.segmentation.compact import CompactSegmenter
from warprefine.segmentation.mirrored import mirrored_segmenter


@pytest.fixture
def network() -> CompactSegmenter:
    """A small untrained network for three classes, as it is used."""
    return CompactSegmenter(3, widths=(4, 5, 6, 7, 8)).eval()


def noise(h: int, w: int) -> Tensor:
    return torch.randint(0, 256, (1, 3, h, w), dtype=torch.uint8)


def probabilities(segmentation: Segmentation) -> Tensor:
    return segmentation.logits.softmax(dim=1)


def test_it_is_a_segmenter_like_the_one_in_it(network: CompactSegmenter) -> None:
    """It stands in for its segmenter: classes and features are the same, and the name tells it."""
    mirrored = mirrored_segmenter(network)

    assert isinstance(mirrored, Segmenter)
    assert mirrored.name == "compact-mirrored"
    assert (mirrored.class_count, mirrored.feature_channels) == (3, network.feature_channels)


def test_probabilities_are_the_mean_of_both(network: CompactSegmenter) -> None:
    """The probabilities of a pixel in both images are averaged; the features are those of the frame."""
    frames = noise(48, 64)

    with torch.inference_mode():
        output = mirrored_segmenter(network)(frames)
        plain, mirror = network(frames), network(frames.flip(-1))

    expected = (probabilities(plain) + probabilities(mirror).flip(-1)) / 2
    torch.testing.assert_close(probabilities(output), expected)
    assert torch.equal(output.features, plain.features)


@pytest.mark.parametrize("size", [(48, 64), (48, 66), (31, 96)])
def test_a_mirror_image_is_segmented_as_a_mirror_image(
    network: CompactSegmenter, size: tuple[int, int]
) -> None:
    """Whatever fills whole cells is treated alike from both sides."""
    frames = noise(*size)

    with torch.inference_mode():
        output = mirrored_segmenter(network)(frames)
        of_mirror = mirrored_segmenter(network)(frames.flip(-1))

    torch.testing.assert_close(probabilities(output), probabilities(of_mirror).flip(-1))


class Columns(torch.nn.Module):
    """A segmenter at stride 2 whose output is the brightness of each cell."""

    name, class_count, feature_channels = "columns", 2, 1

    def forward(self, frames: Tensor) -> Segmentation:
        bright = torch.nn.functional.avg_pool2d(frames[:, :1].float(), 2, ceil_mode=True)
        return Segmentation(logits=torch.cat([bright, torch.zeros_like(bright)], dim=1), features=bright)


def test_cells_stay_in_place_in_frames_of_odd_width() -> None:
    """In a frame of 7 columns, a cell and its mirror image cover the same two columns."""
    frames = torch.zeros(1, 3, 4, 7, dtype=torch.uint8)
    frames[..., 2:4] = 8
    output = mirrored_segmenter(Columns())(frames)

    assert output.logits.shape[-1] == 4
    assert (probabilities(output)[0, 0, 0] > 0.9).tolist() == [False, True, False, False]


@pytest.mark.parametrize(("size", "batches"), [((64, 96), [4]), ((64, 90), [2, 2])])
def test_both_images_are_one_batch_where_they_are_of_one_size(
    network: CompactSegmenter, size: tuple[int, int], batches: list[int]
) -> None:
    """On devices other than the CPU; the average is the same."""
    frames, seen = torch.cat((noise(*size), noise(*size))), []
    network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))

    with torch.inference_mode():
        apart = mirrored_segmenter(network)(frames)
        assert seen == [2, 2]
        with without_loops():
            together = mirrored_segmenter(network)(frames)

    assert seen[2:] == batches
    torch.testing.assert_close(probabilities(together), probabilities(apart))
    torch.testing.assert_close(together.features, apart.features)
