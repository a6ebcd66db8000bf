"""Encode images: as files, and as `data:` URIs, so that a page is one file."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.report import paint

_PHOTO_QUALITY = 82  # of 100; about 40 kB for a frame of 480 x 360
_WEBP_METHOD = 2  # of 0 to 6: half the time of the usual 4, and 2 % larger
_PNG_LEVEL = 3  # of 0 to 9: half the time of the usual 6, and 5 % larger
Rgba = tuple[int, int, int, int]


def data_uri(content: bytes, kind: str) -> str:
    """Return the bytes of an image file as a data URI; `kind` is its MIME subtype, such as png.

    Example:
        >>> data_uri(b"abc", "png")
        'data:image/png;base64,YWJj'
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def photo(picture: Image.Image, *, quality: int = _PHOTO_QUALITY) -> str:
    """Return an image as the data URI of a lossy WebP; for photographs and smooth maps."""
    content = io.BytesIO()
    picture.save(content, format="WEBP", quality=quality, method=_WEBP_METHOD)
    return data_uri(content.getvalue(), "webp")


def label_layer(labels: LabelMaps, classes: ClassSet) -> str:
    """Return one label map as the data URI of a PNG in exact class colours; VOID is transparent."""
    (positions,) = labels
    colors: dict[int, Rgba] = {i: (*color, 255) for i, color in enumerate(classes.colors)}
    return _indexed(positions.cpu().numpy(), {**colors, VOID: (0, 0, 0, 0)})


def error_layer(prediction: LabelMaps, truth: LabelMaps) -> str:
    """Return the error map of one prediction as the data URI of a PNG; correct pixels are transparent."""
    colors: dict[int, Rgba] = {0: (0, 0, 0, 0), 1: (*paint.WRONG, 255), 2: (*paint.UNKNOWN, 150)}
    return _indexed(paint.error_map(prediction, truth), colors)


def _indexed(values: UInt8[np.ndarray, "h w"], colors: dict[int, Rgba]) -> str:
    table = np.zeros((256, 4), np.uint8)
    table[list(colors)] = list(colors.values())
    picture = Image.fromarray(values)
    picture.putpalette(table[:, :3].tobytes())
    content = io.BytesIO()
    picture.save(content, format="PNG", transparency=table[:, 3].tobytes(), compress_level=_PNG_LEVEL)
    return data_uri(content.getvalue(), "png")


def png(picture: Image.Image) -> bytes:
    """Return the bytes of an image as a PNG file."""
    content = io.BytesIO()
    picture.save(content, format="PNG", compress_level=_PNG_LEVEL)
    return content.getvalue()
