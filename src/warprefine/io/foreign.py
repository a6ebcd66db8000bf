"""Read files with foreign libraries: check what lies there first, and turn what they raise into our errors.

Decoders have no exception for a damaged file. On hostile and damaged files those of pictures, videos,
HDF5, JSON and TOML were seen to raise nearly every class that Python has.
"""

from __future__ import annotations

import errno
import stat
import struct
import zlib
from contextlib import suppress
from pathlib import Path

from av import FFmpegError

from warprefine.core.errors import WarpRefineError
from warprefine.io.file_kinds import other_kind
from warprefine.io.places import at_hand

DECODER_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # of which NotImplementedError and RecursionError are kinds
    SyntaxError,
    SystemError,
    TypeError,
    ValueError,  # of which UnicodeError is a kind
    Warning,  # where warnings are made errors
    struct.error,
    zlib.error,
)
"""All that a decoder may raise because of what a file holds; `WarpRefineError` is not among them."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_LONGEST_REASON = 200
_FAILING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO, errno.EMFILE, errno.ENFILE}
"""Errors of disks, network file systems and of a system that has no more open files to give."""


def check_file(path: Path, *, expected: str, error_class: type[WarpRefineError]) -> Path:
    """Return `path` after checking that it is a file: no folder, and no pipe or device, which may never end.

    A file of a storage is copied from there if need be, see `places.at_hand`.

    Args:
        expected: What should lie there, for the message.
        error_class: The class of the error.

    Raises:
        WarpRefineError: There is nothing of that name, it cannot be reached, or it is no file.

    Example:
        >>> from warprefine.core.errors import FrameError
        >>> check_file(Path("/dev/zero"), expected="a picture", error_class=FrameError)
        Traceback (most recent call last):
            ...
        warprefine.core.errors.FrameError: /dev/zero is a device; expected a picture
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise error_class(f"there is no file {path}; expected {expected}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise error_class(f"cannot read {str(path)!r}: {reason(error)}; expected {expected}") from error
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            raise error_class(f"{path} is {kind}; expected {expected}")
    return at_hand(path)


def is_of_the_system(error: BaseException | None) -> bool:
    """Return whether an error was caused by a disk or a system that fails, not by what a file holds.

    What could not be read may be readable the next time, so that nothing is decided without it. Errors of
    FFmpeg do not count: it also says "Input/output error" of damaged files.

    Example:
        >>> is_of_the_system(OSError(errno.EIO, "Input/output error")), is_of_the_system(OSError("cut short"))
        (True, False)
    """
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, FFmpegError) and error.errno in _FAILING:
            return True
        error = error.__cause__
    return False


def check_kind(path: Path, *, expected: str, error_class: type[WarpRefineError]) -> None:
    """Raise if a file that no decoder could read is a web page, a pointer, an archive or the like.

    Args:
        expected: What should lie there, for the message.
        error_class: The class of the error.

    Raises:
        WarpRefineError: It is; the message has the cure.
    """
    with suppress(OSError):
        if kind := other_kind(path):
            raise error_class(f"{path} is {kind}; expected {expected}")


def reason(error: Exception) -> str:
    r"""Return in one short line what a foreign error says, or its class where it says nothing.

    Example:
        >>> reason(MemoryError()), reason(ValueError("no end\nin line 3"))
        ('MemoryError', 'no end')
    """
    told = getattr(error, "strerror", None)  # of OSError and of FFmpeg's errors
    lines = str(told or error).strip().splitlines()
    if not lines or isinstance(error, LookupError):  # the latter gives a key, which means nothing to a reader
        return type(error).__name__
    return lines[0][:_LONGEST_REASON]
