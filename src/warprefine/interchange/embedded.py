"""Read and write masks that a JSON file holds as text: base64 of a PNG, packed by zlib or not."""

from __future__ import annotations

import base64
import binascii
import io
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID
from warprefine.interchange.imported import Positions
from warprefine.interchange.shapes import MaskArray
from warprefine.io.foreign import DECODER_ERRORS, reason
from warprefine.io.pictures import FORMATS, MOST_PIXELS

_MOST_BYTES = 1 << 28
_ERRORS: tuple[type[Exception], ...] = (*DECODER_ERRORS, Image.DecompressionBombError)
_ENDINGS = {"JPEG": ".jpg", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}


def bytes_of_text(text: str, *, where: str) -> bytes:
    r"""Return the bytes of a base64 text.

    Raises:
        LabelError: It holds other characters, or ends too early.

    Example:
        >>> bytes_of_text("AAH/", where="a mask")
        b'\x00\x01\xff'
    """
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise LabelError(
            f"{where} has a mask that is no base64 text: {reason(error)}; expected a PNG in base64; "
            "export it again"
        ) from error


def unpacked(content: bytes, *, where: str) -> bytes:
    """Return what zlib has packed, up to a quarter of a GiB.

    Raises:
        LabelError: It is damaged, cut short, or larger.
    """
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(content, _MOST_BYTES)
    except zlib.error as error:
        raise LabelError(
            f"{where} has a mask that does not unpack: {reason(error)}; expected a PNG packed by zlib; "
            "export it again"
        ) from error
    if not stream.eof:
        raise LabelError(
            f"{where} has a mask that is cut short, or unpacks to more than {_MOST_BYTES >> 20} MiB; "
            "expected a PNG packed by zlib; export it again"
        )
    return found


def picture_size(content: bytes, *, where: str) -> tuple[int, int]:
    """Return the (h, w) of a picture without decoding its pixels.

    Raises:
        LabelError: It is no picture.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            return picture.height, picture.width
    except _ERRORS as error:
        raise _unreadable(error, where) from error


def picture_ending(content: bytes, *, where: str) -> str:
    """Return the ending of file names for a picture, such as ".jpg".

    Raises:
        LabelError: It is no picture.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            return _ENDINGS.get(str(picture.format), ".png")
    except _ERRORS as error:
        raise _unreadable(error, where) from error


def opacity_of_png(content: bytes, *, where: str) -> NDArray[np.uint8]:
    """Return how opaque each pixel of a PNG is, (h, w), 0 to 255; of one without alpha its value: 0 or 255.

    Raises:
        LabelError: It is no PNG, is damaged, or has more pixels than any frame.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise LabelError(
                    f"{where} has a mask of {picture.height} x {picture.width} (h x w); expected at most "
                    f"{MOST_PIXELS:,} pixels; export it again"
                )
            return _opacity(picture)
    except _ERRORS as error:
        raise _unreadable(error, where) from error


def _opacity(picture: ImageFile.ImageFile) -> NDArray[np.uint8]:
    if picture.has_transparency_data:
        return np.array(picture.convert("RGBA"))[..., 3]
    if picture.mode == "P":
        picture.load()
        return np.asarray(np.array(picture) != 0, np.uint8) * np.uint8(255)
    values = np.array(picture)
    inside = values.any(axis=-1) if values.ndim == 3 else values != 0
    return np.asarray(inside, np.uint8) * np.uint8(255)


def png_text(mask: MaskArray) -> str:
    """Return a mask as base64 of a PNG of one channel, 255 inside."""
    return base64.b64encode(_png(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)))).decode("ascii")


def packed_png_text(mask: MaskArray) -> str:
    """Return a mask as base64 of zlib of a PNG of two colours, of which the first is transparent."""
    picture = Image.fromarray(mask.astype(np.uint8))
    picture.putpalette([0, 0, 0, 255, 255, 255])
    return base64.b64encode(zlib.compress(_png(picture, transparency=0))).decode("ascii")


def _png(picture: Image.Image, transparency: int | None = None) -> bytes:
    file = io.BytesIO()
    if transparency is None:
        picture.save(file, format="PNG")
    else:
        picture.save(file, format="PNG", transparency=transparency)
    return file.getvalue()


def cut_out(mask: NDArray[np.bool_]) -> tuple[int, int, NDArray[np.bool_]]:
    """Return the left, the top and the pixels of the smallest box around a mask that is not empty.

    Example:
        >>> cut_out(np.array([[0, 0, 0], [0, 1, 1]], bool))
        (1, 1, array([[ True,  True]]))
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    return left, top, mask[top : bottom + 1, left : right + 1]


def paint_box(
    labels: Positions, mask: NDArray[np.bool_], position: int, *, left: int, top: int, where: str
) -> None:
    """Paint the position of a class where the pixels of a box are, in a label map.

    Raises:
        LabelError: The box reaches out of the label map.
    """
    (h, w), (height, width) = labels.shape, mask.shape
    if left < 0 or top < 0 or left + width > w or top + height > h:
        raise LabelError(
            f"{where} has a mask of {height} x {width} (h x w) at x={left}, y={top}, which reaches out of "
            f"the frame of {h} x {w}; expected one inside; export it again"
        )
    labels[top : top + height, left : left + width][mask] = position


def empty_map(size: tuple[int, int]) -> Positions:
    """Return a label map of VOID.

    Example:
        >>> empty_map((1, 2)).tolist()
        [[255, 255]]
    """
    return np.full(size, VOID, np.uint8)


def _unreadable(error: Exception, where: str) -> LabelError:
    told = "it is no picture" if isinstance(error, UnidentifiedImageError) else reason(error)
    return LabelError(f"{where} has a picture that cannot be read: {told}; expected a PNG; export it again")
