"""Read and write the brush strokes of Label Studio: run lengths over the bytes of an RGBA picture.

The stream of bits, as @thi.ng/rle-pack writes it: the number of bytes (32 bits), the bits of a word less 1
(5), the bits of four sizes of runs less 1 (4 each); then for each block whether it is a run (1), its size
(2), its length less 1 (as many as the size says), and one word of a run, or as many words as it is long.
Pixels follow each other in rows; the mask is the fourth channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from warprefine.core.errors import LabelError
from warprefine.interchange.shapes import MaskArray

_WORD = 8
_CHANNELS = 4
_SIZES = (2, 6, 10, 16)
_HEAD = 32 + 5 + 4 * len(_SIZES)


def opacity_of_brush(values: Sequence[object], size: tuple[int, int], *, where: str) -> NDArray[np.uint8]:
    """Return how opaque each pixel of a stroke is, 0 to 255; the browser smooths edges.

    Args:
        values: The bytes of the stream, as the list `rle` of a JSON file has them.
        size: (h, w) of the picture.
        where: How messages name the stroke.

    Raises:
        LabelError: They are no bytes, are for a picture of another size, or end too early.

    Example:
        >>> stroke = brush_of_mask(np.array([[True, False, True]]))
        >>> opacity_of_brush(stroke, (1, 3), where="a stroke").tolist()
        [[255, 0, 255]]
    """
    h, w = size
    if not all(type(value) is int and 0 <= value < 256 for value in values):
        raise LabelError(
            f"{where} has an rle with other values than bytes; expected 0 to 255; export it again"
        )
    content = np.array(values, np.uint8)
    bits = (np.unpackbits(content) + ord("0")).tobytes().decode("ascii")
    number = int(bits[:32] or "0", 2)
    if len(bits) < _HEAD or number != h * w * _CHANNELS:
        raise LabelError(
            f"{where} has an rle of {number:,} values; expected {h * w * _CHANNELS:,}, four for each pixel "
            f"of {h} x {w} (h x w); export it again, and do not scale pictures"
        )
    if int(bits[32:37], 2) + 1 != _WORD:
        raise LabelError(f"{where} has an rle of {int(bits[32:37], 2) + 1} bits a value; expected {_WORD}")
    sizes = [int(bits[place : place + 4], 2) + 1 for place in range(37, _HEAD, 4)]
    found, done, place = np.empty(number, np.uint8), 0, _HEAD
    while done < number:
        length_bits = sizes[int(bits[place + 1 : place + 3] or "0", 2)]
        start = place + 3 + length_bits
        words = int(bits[place + 3 : start] or "0", 2) + 1
        run = bits[place : place + 1] == "1"
        place = start + _WORD * (1 if run else words)
        if place > len(bits) or done + words > number:
            raise LabelError(
                f"{where} has an rle that is damaged after {done:,} of {number:,} values; expected all of "
                "them; export it again"
            )
        block = bits[start:place].encode("ascii")
        found[done : done + words] = np.packbits(np.frombuffer(block, np.uint8) - ord("0"))
        done += words
    return found.reshape(h, w, _CHANNELS)[..., -1]


def brush_of_mask(mask: MaskArray) -> list[int]:
    """Return a mask, (h, w), as the bytes of a stroke that is white and opaque inside."""
    blocks = [f"{mask.size * _CHANNELS:032b}{_WORD - 1:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    flat = mask.reshape(-1)
    ends = np.flatnonzero(np.diff(flat, append=~flat[-1:])) + 1
    for length, inside in zip(np.diff(ends, prepend=0).tolist(), flat[ends - 1].tolist(), strict=True):
        word = "1" * _WORD if inside else "0" * _WORD
        for words in _parts(length * _CHANNELS):
            kind = next(kind for kind, size in enumerate(_SIZES) if words <= 1 << size)
            blocks.append(f"1{kind:02b}{words - 1:0{_SIZES[kind]}b}{word}")
    bits = np.frombuffer("".join(blocks).encode("ascii"), np.uint8) - ord("0")
    stream: list[int] = np.packbits(bits).tolist()
    return stream


def _parts(length: int) -> Iterator[int]:
    """Yield the lengths of blocks that a run is split into."""
    most = 1 << _SIZES[-1]
    yield from [most] * (length // most)
    if length % most:
        yield length % most
