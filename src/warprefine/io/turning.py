"""Turn frames upright: a camera or an editor marks a picture as turned or mirrored in one of eight ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

NumberT = TypeVar("NumberT", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """How a stored picture becomes the one that is shown: rows and columns swapped first, then mirrored.

    Args:
        transposed: Rows become columns.
        mirrored_x: Left and right are swapped.
        mirrored_y: Top and bottom are swapped.
    """

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    def __call__(self, pixels: NDArray[NumberT]) -> NDArray[NumberT]:
        """Turn a picture (h, w, ...); the result is a view.

        Example:
            >>> print(Turn(mirrored_x=True)(np.array([[1, 2, 3]])))
            [[3 2 1]]
        """
        turned = pixels.swapaxes(0, 1) if self.transposed else pixels
        turned = turned[:, ::-1] if self.mirrored_x else turned
        return turned[::-1] if self.mirrored_y else turned

    def size(self, h: int, w: int) -> tuple[int, int]:
        """Return the (h, w) of a picture of h x w once it is turned."""
        return (w, h) if self.transposed else (h, w)

    def __str__(self) -> str:
        return _WORDS[self]


UPRIGHT = Turn()
_WORDS = {
    UPRIGHT: "upright",
    Turn(mirrored_x=True): "mirrored left to right",
    Turn(mirrored_x=True, mirrored_y=True): "turned by 180 degrees",
    Turn(mirrored_y=True): "mirrored top to bottom",
    Turn(transposed=True): "turned by 90 degrees and mirrored left to right",
    Turn(transposed=True, mirrored_x=True): "turned by 90 degrees clockwise",
    Turn(
        transposed=True, mirrored_x=True, mirrored_y=True
    ): "turned by 90 degrees and mirrored top to bottom",
    Turn(transposed=True, mirrored_y=True): "turned by 90 degrees counterclockwise",
}
_BY_EXIF = dict(enumerate(_WORDS, start=1))


def turn_of_exif(orientation: object) -> Turn:
    """Return the turn that an EXIF orientation from 1 to 8 asks for; upright for any other value.

    Example:
        >>> str(turn_of_exif(6))
        'turned by 90 degrees clockwise'
    """
    return _BY_EXIF.get(orientation, UPRIGHT) if isinstance(orientation, int) else UPRIGHT


def turn_of_matrix(matrix: Sequence[int]) -> Turn:
    """Return the turn nearest to a display matrix of a video: nine numbers a, b, u, c, d, v, x, y, w.

    A stored pixel at (x, y) is shown at (a·x + c·y, b·x + d·y), moved back into the picture (ISO/IEC
    14496-12, 6.2.2).

    Example:
        >>> str(turn_of_matrix([-1, 0, 0, 0, 1, 0, 0, 0, 1]))
        'mirrored left to right'
    """
    a, b, _, c, d, *_ = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(mirrored_x=a < 0, mirrored_y=d < 0)
    return Turn(transposed=True, mirrored_x=c < 0, mirrored_y=b < 0)
