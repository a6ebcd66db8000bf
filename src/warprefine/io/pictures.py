"""Open picture files: only in the formats that their endings promise, only as large as memory allows."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageFile, UnidentifiedImageError

from warprefine.core.errors import WarpRefineError
from warprefine.io.foreign import DECODER_ERRORS, check_file, check_kind, reason

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
        with path.open("rb") as file:
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


def _wanted_chunks(file: io.BufferedReader) -> Iterator[bytes]:
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name[0] & _OPTIONAL and name not in _PNG_WANTED:
            file.seek(length + 4, io.SEEK_CUR)
        else:
            yield head + file.read(min(length + 4, _LARGEST_PNG + 1))
