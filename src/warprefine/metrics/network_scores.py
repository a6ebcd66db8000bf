"""Scores of a segmentation network on labelled images, and their JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from warprefine.core.errors import RunFolderError
from warprefine.io.atomic import write_text
from warprefine.metrics import confusion
from warprefine.metrics.confusion import Confusion


@dataclass(frozen=True, kw_only=True)
class NetworkScores:
    """Scores of a network on a data set, in percent; None for a class that does not occur.

    Example:
        >>> import numpy as np
        >>> matrix = np.array([[6, 2, 0], [0, 4, 0], [9, 9, 9]])  # VOID last
        >>> NetworkScores.of(matrix, ["road", "car"]).iou_by_class
        {'road': 75.0, 'car': 66.6667}
    """

    miou: float
    pixel_accuracy: float
    mean_accuracy: float
    iou_by_class: dict[str, float | None]

    @classmethod
    def of(cls, matrix: Confusion, names: Sequence[str]) -> NetworkScores:
        """Compute the scores from a confusion matrix."""
        by_class = dict(zip(names, confusion.iou(matrix).tolist(), strict=True))
        return cls(
            miou=_percent(confusion.mean_iou(matrix)),
            pixel_accuracy=_percent(confusion.pixel_accuracy(matrix)),
            mean_accuracy=_percent(confusion.mean_accuracy(matrix)),
            iou_by_class={
                name: None if math.isnan(value) else _percent(value) for name, value in by_class.items()
            },
        )

    @classmethod
    def read(cls, path: Path) -> NetworkScores:
        """Read the scores from a file that `write` wrote.

        Raises:
            RunFolderError: The file holds something else.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise RunFolderError(
                f"{path} holds no scores of a network ({error}); delete it and run the same command again"
            ) from error

    def write(self, path: Path) -> None:
        """Write the scores as JSON."""
        write_text(path, json.dumps(asdict(self), indent=2) + "\n")


def _percent(share: float) -> float:
    return round(100 * share, 4)
