"""Check that pictures survive being packed into addresses."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID
from warprefine.report import embed, paint


@pytest.fixture
def unpack() -> Callable[[str], Image.Image]:
    def unpacked(address: str) -> Image.Image:
        head, content = address.split(",", 1)
        assert head.startswith("data:image/")
        assert head.endswith(";base64")
        return Image.open(io.BytesIO(base64.b64decode(content)))

    return unpacked


def test_label_layers_have_exact_colours_and_transparent_void(unpack):
    """Two classes and void: the smallest palette does not cut 255 off."""
    classes = ClassSet(names=("a", "b"), colors=((10, 20, 30), (200, 100, 0)))
    labels = torch.tensor([[[0, 1, VOID]]], dtype=torch.uint8)

    pixels = np.asarray(unpack(embed.label_layer(labels, classes)).convert("RGBA"))

    assert pixels[0, :2].tolist() == [[10, 20, 30, 255], [200, 100, 0, 255]]
    assert pixels[0, 2, 3] == 0


def test_error_layers_show_the_frame_where_all_is_right(unpack):
    """Right is transparent, wrong is solid, unknown is a veil."""
    prediction = torch.tensor([[[0, 1, 1]]], dtype=torch.uint8)
    truth = torch.tensor([[[0, 0, VOID]]], dtype=torch.uint8)

    pixels = np.asarray(unpack(embed.error_layer(prediction, truth)).convert("RGBA"))

    assert pixels[0, :, 3].tolist() == [0, 255, 150]
    assert tuple(pixels[0, 1, :3].tolist()) == paint.WRONG


def test_photos_keep_their_size_and_their_transparency(unpack):
    """A panel that lets the page shine through still does."""
    picture = Image.new("RGBA", (40, 20), "#00000000")

    packed = unpack(embed.photo(picture))

    assert (packed.format, packed.size) == ("WEBP", (40, 20))
    assert packed.convert("RGBA").getpixel((5, 5))[3] == 0
