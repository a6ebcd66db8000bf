"""Tests of segmentation/dilated.py: frames of any size in, scores over the same places out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from warprefine.core.errors import RecipeError
from warprefine.core.protocols import Segmenter
from warprefine.segmentation.dilated import DILATED, DilatedSegmenter
from warprefine.segmentation.resnext import ResNetSize

SMALL = ResNetSize(width=8, blocks=(1, 1, 1, 1), groups=4, narrowing=2, squeezed=True)
NETWORKS = pytest.mark.parametrize("name", sorted(DILATED))


def small(name: str) -> DilatedSegmenter:
    """A small untrained network for three classes, as it is used."""
    torch.manual_seed(0)
    return DilatedSegmenter(3, network=name, trunk=SMALL).eval()


def noise(*size: int, count: int = 1) -> Tensor:
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8)


@NETWORKS
@pytest.mark.parametrize("size", [(64, 96), (33, 47), (1, 1), (31, 65)])
def test_frames_of_any_size_are_segmented(name: str, size: tuple[int, int]) -> None:
    """Logits come at the frame's size, features at stride 8 or 4, rounded up where the frame is odd."""
    segmenter = small(name)

    with torch.inference_mode():
        output = segmenter(noise(*size))

    stride = 4 if name == "deeplabv3plus" else 8
    assert isinstance(segmenter, Segmenter)
    assert (segmenter.name, segmenter.class_count) == (name, 3)
    assert output.logits.shape == (1, 3, *size)
    assert output.features.shape == (
        1,
        segmenter.feature_channels,
        -(-size[0] // stride),
        -(-size[1] // stride),
    )
    assert output.first_guess is None


@NETWORKS
def test_padding_a_frame_does_not_move_its_scores(name: str) -> None:
    """The scores of an odd frame lie where those of the same frame lie, its last row and column repeated."""
    segmenter, frame = small(name), noise(51, 77)
    padded = nn.functional.pad(frame.float(), (0, 3, 0, 5), mode="replicate").to(torch.uint8)

    with torch.inference_mode():
        odd, even = segmenter(frame), segmenter(padded)

    h, w = odd.features.shape[-2:]
    assert torch.equal(odd.logits, even.logits[..., :51, :77])
    assert torch.equal(odd.features, even.features[..., :h, :w])


def test_a_first_guess_lies_over_the_frame() -> None:
    """In training OCRNet also returns auxiliary logits, cropped to the frame like the logits."""
    output = small("ocrnet").train()(noise(33, 47, count=2))

    assert output.first_guess is not None
    assert output.first_guess.shape == output.logits.shape == (2, 3, 33, 47)


def test_frames_are_normalised_in_rgb() -> None:
    """A network's inputs are RGB frames less the mean colour of ImageNet, in units of its deviation."""
    segmenter, frame = small("deeplabv3"), noise(32, 32)
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    inputs: list[Tensor] = []
    segmenter.network.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))

    with torch.inference_mode():
        segmenter(frame)

    torch.testing.assert_close(inputs[0], (frame / 255 - mean) / deviation, atol=1e-5, rtol=1e-5)


def test_colours_are_not_part_of_the_weights() -> None:
    """What the frames are normalised with is fixed, so checkpoints do not carry it."""
    assert not {"mean", "deviation"} & set(small("deeplabv3").state_dict())


def test_an_unknown_network_is_named() -> None:
    """A misspelt name is an error of one line that suggests the nearest name."""
    with pytest.raises(RecipeError, match="no network on a dilated trunk is called 'ocr-net'; did you mean"):
        DilatedSegmenter(3, network="ocr-net", trunk=SMALL)


@NETWORKS
def test_corners_are_aligned_on_request(name: str) -> None:
    """Aligned corners, which weights of Zhu et al. need, can be set, and are off by default."""
    aligned = DilatedSegmenter(3, network=name, trunk=SMALL, align_corners=True)

    assert aligned.network.align_corners
    assert not small(name).network.align_corners
