"""Encode pictures and maps for the page, in memory."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_JPEG_QUALITY = 92


def as_jpeg(picture: Image.Image, *, quality: int = _JPEG_QUALITY) -> bytes:
    """Return the content of a JPEG file of a picture."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def as_gray_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return the content of a grey PNG file of values (h, w)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
