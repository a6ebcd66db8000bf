"""Open picture files: only in the formats that their endings promise, only as large as memory allows."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from warprefine.core.errors import WarpRefineError
from warprefine.io.foreign import DECODER_ERRORS, check_file, check_kind, reason
from warprefine.io.places import at_hand

T = TypeVar("T")

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM")
"""Pillow knows 40 more; that of EPS starts another program."""
MOST_PIXELS = 89_478_485
"""Pillow's own limit, a quarter of a GiB in RGB; a frame of 8K video has 33 million pixels."""
_ERRORS: tuple[type[Exception], ...] = (*DECODER_ERRORS, Image.DecompressionBombError)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_WANTED = (b"tRNS", b"eXIf")  # besides the chunks that are critical, those that change a picture
_LARGEST_PNG = 1 << 29
_OPTIONAL = 0x20  # of the first letter of a chunk's name: a decoder may pass the chunk over


def with_picture(
    path: Path,
    use: Callable[[ImageFile.ImageFile], T],
    *,
    error_class: type[WarpRefineError],
    formats: tuple[str, ...] = FORMATS,
) -> T:
    """Open a picture and return what `use` makes of it; all that a decoder raises becomes `error_class`.

    What a PNG carries besides its pixels (texts, colour profiles) does not decide whether it can be read:
    if it is damaged or too long for Pillow, the picture is read without it.

    Raises:
        WarpRefineError: There is no such file, it is no picture of these formats, it is damaged or cut
            short, or it has more than `MOST_PIXELS`.
    """
    check_file(path, expected="a picture", error_class=error_class)
    try:
        return _used(path, path, use, error_class, formats)
    except _ERRORS as error:
        first = error
    if (bare := _bare_png(path)) is not None:
        try:
            return _used(bare, path, use, error_class, formats)
        except _ERRORS:
            pass  # the first error tells more
    if isinstance(first, UnidentifiedImageError):
        check_kind(path, expected=f"a {' or '.join(formats[:2])} file", error_class=error_class)
        raise error_class(
            f"{path} is no picture that can be read; expected a {' or '.join(formats[:2])} file"
        ) from first
    raise error_class(
        f"cannot read {path}: {reason(first)}; copy or export it again, it may be cut short"
    ) from first


def _used(
    source: Path | io.BytesIO,
    path: Path,
    use: Callable[[ImageFile.ImageFile], T],
    error_class: type[WarpRefineError],
    formats: tuple[str, ...],
) -> T:
    with Image.open(source, formats=formats) as picture:
        w, h = picture.size
        if w * h > MOST_PIXELS:
            raise error_class(
                f"{path} is {h} x {w} (h x w); expected at most {MOST_PIXELS:,} pixels; make it smaller"
            )
        if picture.format == "PNG" and not picture.tile:
            raise error_class(f"cannot read {path}: it holds no pixels; copy or export it again")
        return use(picture)


def _bare_png(path: Path) -> io.BytesIO | None:
    """Return a PNG without the chunks that a decoder may pass over; `None` if the file is no PNG."""
    try:
        with at_hand(path).open("rb") as file:
            if file.read(len(_PNG_SIGNATURE)) != _PNG_SIGNATURE:
                return None
            bare, size = [_PNG_SIGNATURE], 0
            for chunk in _wanted_chunks(file):
                bare.append(chunk)
                size += len(chunk)
                if size > _LARGEST_PNG:
                    return None
    except OSError:
        return None
    return io.BytesIO(b"".join(bare))


def read_gray_png(
    content: bytes, *, size: tuple[int, int], name: str, error_class: type[WarpRefineError]
) -> NDArray[np.uint8]:
    """Read a grey PNG of 8 bits that somebody sends, (h, w), without trusting it.

    Its header is checked first, so that no more is unpacked than the expected pixels, and whatever it carries
    besides them is dropped unread.

    Args:
        content: The content of the file.
        size: The (h, w) that it must have.
        name: What it is, for messages.
        error_class: What is raised.

    Raises:
        WarpRefineError: It is no such PNG, is damaged, or has another size.

    Example:
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("L", (3, 2), 7).save(file, "PNG")
        >>> read_gray_png(file.getvalue(), size=(2, 3), name="map", error_class=WarpRefineError).tolist()
        [[7, 7, 7], [7, 7, 7]]
    """
    if content[: len(_PNG_SIGNATURE)] != _PNG_SIGNATURE or content[12:16] != b"IHDR" or len(content) < 33:
        raise error_class(f"{name} is no PNG; expected a grey PNG of 8 bits")
    w, h, depth, color, _, _, _ = struct.unpack(">IIBBBBB", content[16:29])
    if (depth, color) != (8, 0):
        raise error_class(
            f"{name} is a PNG of {depth} bits and colour type {color}; expected a grey one of 8 bits"
        )
    if (h, w) != size:
        raise error_class(
            f"{name} is {h} x {w} (h x w), but its frame is {size[0]} x {size[1]}; draw it at the size of "
            "the frame"
        )
    file = io.BytesIO(content[len(_PNG_SIGNATURE) :])
    critical = (chunk for chunk in _wanted_chunks(file) if not chunk[4] & _OPTIONAL)
    try:
        with Image.open(io.BytesIO(_PNG_SIGNATURE + b"".join(critical)), formats=("PNG",)) as picture:
            pixels = np.array(picture)
    except _ERRORS as error:
        raise error_class(f"cannot read {name}: {reason(error)}; send it again") from error
    if pixels.shape != size or pixels.dtype != np.uint8:
        raise error_class(f"cannot read {name}: it holds no grey pixels; send it again")
    return pixels


def _wanted_chunks(file: io.BufferedReader | io.BytesIO) -> Iterator[bytes]:
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name[0] & _OPTIONAL and name not in _PNG_WANTED:
            file.seek(length + 4, io.SEEK_CUR)
        else:
            yield head + file.read(min(length + 4, _LARGEST_PNG + 1))
