"""Detect truncated video files: those that are shorter than their own headers state.

Decoders play a truncated file up to its last byte without an error. MP4, MOV, AVI, Matroska, WebM and
GIF encode in their structure where they end; other formats (MPEG streams) do not, and neither does a
recording that was never finished.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from warprefine.io.places import at_hand

# Boxes at the top level of an MP4 or MOV file. Anything else is data that a camera appended to it.
_MP4_BOXES = frozenset(
    b"ftyp styp moov moof mdat mfra sidx ssix emsg meta udta uuid free skip wide pnot prft".split()
)
_MATROSKA = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_MOST_BLOCKS = 1 << 20  # no file has more, unless to keep us busy
_TO_THE_END = 0  # the size of the last box of an MP4 that was written as a stream
_IN_EIGHT_BYTES = 1  # the size of an MP4 box whose true size follows its name


def is_cut_short(path: Path) -> bool:
    """Return whether the end of a video file is missing, as far as its format allows to detect it."""
    with at_hand(path).open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        start = file.read(12)
        file.seek(0)
        if start.startswith(_MATROSKA):
            return _matroska_end(file) > length
        if start[:4] == b"RIFF":
            return _riff_end(file, length) > length
        if start[4:8] in _MP4_BOXES:
            return _mp4_end(file, length) > length
        return start[:4] == b"GIF8" and _gif_end(file) > length


def _mp4_end(file: BinaryIO, length: int) -> int:
    """Return where the last box of an MP4 or MOV file ends."""
    end, left = 0, _MOST_BLOCKS
    while end + 8 <= length and (left := left - 1):
        file.seek(end)
        size, name = struct.unpack(">I4s", file.read(8))
        if name not in _MP4_BOXES or size == _TO_THE_END:
            return length
        if size == _IN_EIGHT_BYTES:
            (size,) = struct.unpack(">Q", file.read(8).rjust(8, b"\xff"))
        end += max(size, 8)
    return end


def _riff_end(file: BinaryIO, length: int) -> int:
    """Return where the last RIFF chunk of an AVI file ends; long files have several."""
    end, left = 0, _MOST_BLOCKS
    while end + 8 <= length and (left := left - 1):
        file.seek(end)
        name, size = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF":
            return length
        end += 8 + size
    return end


def _matroska_end(file: BinaryIO) -> int:
    """Return where the segment of a Matroska or WebM file ends; 0 if its size was never written."""
    file.seek(len(_MATROSKA))
    header_size = _matroska_size(file)
    file.seek(header_size or 0, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    segment_size = _matroska_size(file)
    return 0 if segment_size is None else file.tell() + segment_size


def _matroska_size(file: BinaryIO) -> int | None:
    """Read a number whose leading zero bits encode its length in bytes; `None` means unknown."""
    first = file.read(1)
    count = 9 - first[0].bit_length() if first else 9
    if count > 8:
        return None
    value = int.from_bytes(first + file.read(count - 1), "big") - (1 << 7 * count)
    return None if value == (1 << 7 * count) - 1 else value


def _gif_end(file: BinaryIO) -> int:
    """Return where the last block of a GIF begins or ends; some writers leave its last byte out."""
    file.seek(10)
    (flags,) = file.read(1) or b"\0"
    end = 13 + _colors(flags)
    for _ in range(_MOST_BLOCKS):
        file.seek(end)
        kind = file.read(1)
        if kind == b",":
            flags = (file.read(9)[8:] or b"\0")[0]
            end = _sub_blocks_end(file, end + 11 + _colors(flags))
        elif kind == b"!":
            end = _sub_blocks_end(file, end + 2)
        else:
            break
    return end


def _colors(flags: int) -> int:
    """Return the length of a GIF's colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _sub_blocks_end(file: BinaryIO, end: int) -> int:
    """Return where a chain of GIF's blocks of up to 255 bytes ends; beyond the file if it has no end."""
    while True:
        file.seek(end)
        size = file.read(1)
        end += 1 + (size or b"\0")[0]
        if size in (b"", b"\0"):
            return end
