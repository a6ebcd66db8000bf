"""Tests of io/foreign.py: what foreign libraries raise is told in one short line."""

from __future__ import annotations

import struct
import subprocess
import zlib

import pytest

from warprefine.core.errors import FrameError
from warprefine.io.foreign import DECODER_ERRORS, reason


@pytest.mark.parametrize(
    "error",
    [
        AssertionError(), AttributeError(), EOFError(), IndexError(), KeyError(), MemoryError(),
        NotImplementedError(), OSError(), OverflowError(), RecursionError(), SyntaxError(), UserWarning(),
        SystemError(), TypeError(), struct.error(), zlib.error(), UnicodeDecodeError("utf-8", b"", 0, 1, ""),
    ],
)  # fmt: skip
def test_whatever_a_decoder_raises_is_caught(error: Exception) -> None:
    """All of these were seen to come out of a damaged file."""
    assert isinstance(error, DECODER_ERRORS)


@pytest.mark.parametrize("error", [FrameError(), KeyboardInterrupt(), subprocess.SubprocessError()])
def test_other_errors_are_not_caught(error: BaseException) -> None:
    """Our own go through as they are, and so do those that no file can cause."""
    assert not isinstance(error, DECODER_ERRORS)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "a"), "No space left on device"),
        (OSError("image file is truncated"), "image file is truncated"),
        (MemoryError(), "MemoryError"),
        (ValueError("\nfirst\nsecond"), "first"),
        (ValueError("x" * 9999), "x" * 200),
    ],
)
def test_a_reason_is_one_short_line(error: Exception, words: str) -> None:
    """The operating system's words, the first line, or the name of the class."""
    assert reason(error) == words
