"""Define the exceptions of the library, each with a message of one line."""

from __future__ import annotations

from collections.abc import Iterable


class WarpRefineError(Exception):
    """Base class of errors in the input or the environment; the message is found, expected, remedy."""


class LabelError(WarpRefineError):
    """A label map that does not fit its frame or its class set."""


class FrameError(WarpRefineError):
    """An image or video that cannot be read, or frames that do not fit together."""


class FrameSizeError(FrameError):
    """A frame of another size than the others of its video: no damage, but two videos in one."""


class DatasetError(WarpRefineError):
    """A data set folder whose layout is not what the reader expects."""


class KeyFrameError(WarpRefineError):
    """Key frames that are missing, that match no frame, or a horizon out of reach."""


class RecipeError(WarpRefineError):
    """A recipe with an unknown key or a value out of range."""


class CheckpointError(WarpRefineError):
    """A weights file that is damaged or belongs to another class set or network."""


class DeviceError(WarpRefineError):
    """A device that does not exist or cannot be used."""


class RunFolderError(WarpRefineError):
    """A run folder that cannot be written, or that belongs to another job."""


class ClusterError(WarpRefineError):
    """A cluster that cannot be reached, is too small, or whose workers die again and again."""


class StorageError(WarpRefineError):
    """A storage that cannot be reached, read or written, or whose files changed while they were read."""


class ConflictError(WarpRefineError):
    """A change of something that somebody else has changed meanwhile.

    Attributes:
        version: The version that it has now.
    """

    def __init__(self, message: str, *, version: int) -> None:
        super().__init__(message)
        self.version = version


class TrainingError(WarpRefineError):
    """A training that cannot continue, such as one whose loss is no longer finite."""


class TrainingStopped(KeyboardInterrupt):
    """A training that Ctrl-C or SIGTERM has stopped, after its state was saved; the message says where.

    Attributes:
        signal: The number of the signal.
    """

    def __init__(self, message: str, *, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


class TimeIsUp(Exception):  # noqa: N818 - no error: the job that has a time limit catches it
    """The time limit of a job is over; raised at a point where everything done is kept."""


def shorten(items: Iterable[object], most: int = 5) -> str:
    """Join the first `most` items with commas and append how many were left out.

    Example:
        >>> shorten(range(8))
        '0, 1, 2, 3, 4 and 3 more'
    """
    listed = [str(item) for item in items]
    tail = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + tail
