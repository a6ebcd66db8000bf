"""Write what the cards of exports have in common: a table of the classes, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID


def class_table(classes: ClassSet, pixels: Sequence[int]) -> str:
    """Return a table of the values, names and colours of classes, and of the share of pixels of each.

    Args:
        classes: The classes; values are their positions.
        pixels: The number of pixels of each of the 256 values.

    Example:
        >>> classes = ClassSet(names=("road",), colors=((128, 64, 128),))
        >>> print(class_table(classes, [30, *[0] * 254, 10]))
        | value | class | colour | pixels |
        |---|---|---|---|
        | 0 | road | 128, 64, 128 | 75.00 % |
        | 255 | void | | 25.00 % |
    """
    total = max(1, sum(pixels))
    lines = ["| value | class | colour | pixels |", "|---|---|---|---|"]
    for number, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True)):
        shown = ", ".join(map(str, color))
        lines.append(f"| {number} | {_cell(name)} | {shown} | {100 * pixels[number] / total:.2f} % |")
    return "\n".join([*lines, f"| {VOID} | void | | {100 * pixels[VOID] / total:.2f} % |"])


def _cell(text: str) -> str:
    """Return a text as a cell of a table."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split()) or "(blank)"
