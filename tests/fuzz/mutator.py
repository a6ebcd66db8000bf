"""Change files at random as damage, transfers and ill will do; the same number gives the same change."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

Change = Callable[[bytearray, random.Random], None]

_EXTREMES = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 16,
    1 << 24,
)
_WORDS = (
    b"\0", b"\n", b"[" * 300, b"{" * 300, b"9" * 5000, b"\xff\xfe", b"\xef\xbb\xbf", b"../" * 9,
    b"/etc/passwd", b"\xed\xa0\x80", b"\x1b[2J", b"=", b"nan", b"1e999", b"-1", b"true", b"%n%s", b"A" * 300,
)  # fmt: skip


def _flip(content: bytearray, draws: random.Random) -> None:
    for _ in range(draws.choice((1, 1, 4, 16))):
        content[draws.randrange(len(content))] ^= 1 << draws.randrange(8)


def _overwrite(content: bytearray, draws: random.Random) -> None:
    place = draws.randrange(len(content))
    content[place : place + draws.choice((1, 8, 64))] = draws.randbytes(draws.choice((1, 8, 64)))


def _number(content: bytearray, draws: random.Random) -> None:
    code = draws.choice(("<I", ">I", "<H", ">H", "B"))
    value = draws.choice(_EXTREMES) & (1 << 8 * struct.calcsize(code)) - 1
    place = draws.randrange(len(content))
    content[place : place + struct.calcsize(code)] = struct.pack(code, value)


def _cut(content: bytearray, draws: random.Random) -> None:
    del content[draws.randrange(len(content)) :]


def _remove(content: bytearray, draws: random.Random) -> None:
    place = draws.randrange(len(content))
    del content[place : place + draws.choice((1, 4, 32, 512))]


def _repeat(content: bytearray, draws: random.Random) -> None:
    place, length = draws.randrange(len(content)), draws.choice((1, 4, 32, 512))
    content[place:place] = content[place : place + length] * draws.choice((1, 2, 9))


def _word(content: bytearray, draws: random.Random) -> None:
    place = draws.randrange(len(content))
    content[place : place + draws.choice((0, 0, 1, 8))] = draws.choice(_WORDS)


_CHANGES: Sequence[Change] = (_flip, _flip, _overwrite, _number, _number, _cut, _remove, _repeat, _word)


def mutated(seeds: Sequence[bytes], number: int) -> bytes:
    """Return one of the seeds with one to five changes, now and then with the end of another."""
    draws = random.Random(number)
    content = bytearray(draws.choice(seeds))
    if draws.random() < 0.1:
        other = draws.choice(seeds)
        content = content[: draws.randrange(len(content))] + other[draws.randrange(len(other)) :]
    for _ in range(draws.choice((1, 1, 1, 2, 3, 5))):
        if content:
            draws.choice(_CHANGES)(content, draws)
    return bytes(content)
