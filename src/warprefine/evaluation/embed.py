"""Pack pictures into `data:` addresses, so that a page needs no file beside it."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.evaluation import paint

_PHOTO_QUALITY = 82  # of 100; about 40 kB for a frame of 480 x 360
Rgba = tuple[int, int, int, int]


def address(content: bytes, kind: str) -> str:
    """Return the bytes of a picture as an address; `kind` is the part after image/, such as png."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def photo(picture: Image.Image, *, quality: int = _PHOTO_QUALITY) -> str:
    """Return a picture with smooth shades as the address of a lossy WebP."""
    content = io.BytesIO()
    picture.save(content, format="WEBP", quality=quality)
    return address(content.getvalue(), "webp")


def label_layer(labels: LabelMaps, classes: ClassSet) -> str:
    """Return one label map as the address of a PNG in exact class colours; VOID is transparent."""
    (positions,) = labels
    colors: dict[int, Rgba] = {i: (*color, 255) for i, color in enumerate(classes.colors)}
    return _indexed(positions.cpu().numpy(), {**colors, VOID: (0, 0, 0, 0)})


def error_layer(prediction: LabelMaps, truth: LabelMaps) -> str:
    """Return where one prediction is wrong as the address of a PNG; transparent where it is right."""
    colors: dict[int, Rgba] = {0: (0, 0, 0, 0), 1: (*paint.WRONG, 255), 2: (*paint.UNKNOWN, 150)}
    return _indexed(paint.error_map(prediction, truth), colors)


def _indexed(values: UInt8[np.ndarray, "h w"], colors: dict[int, Rgba]) -> str:
    table = np.zeros((256, 4), np.uint8)
    table[list(colors)] = list(colors.values())
    picture = Image.fromarray(values)
    picture.putpalette(table[:, :3].tobytes())
    content = io.BytesIO()
    picture.save(content, format="PNG", transparency=table[:, 3].tobytes())
    return address(content.getvalue(), "png")
