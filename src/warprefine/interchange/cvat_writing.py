"""Write annotations.xml of CVAT: its meta data, its attributes, and masks as run lengths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape, quoteattr

import cv2
import numpy as np
from numpy.typing import NDArray

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError
from warprefine.core.tensors import VOID
from warprefine.interchange.imported import Positions

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def written_meta(
    classes: ClassSet, entries: Mapping[str, object], *, size: tuple[int, int] | None = None
) -> str:
    """Return the beginning of a file: its version, and the element `meta` of a task with its labels.

    Args:
        classes: The classes.
        entries: Further elements of the task and their texts, before the labels; empty ones stay.
        size: The (h, w) of its frames, where all have the same.

    Raises:
        DatasetError: XML cannot hold the name of a class.
    """
    lines = [f"<{key}>{escape(checked_text(str(value)))}</{key}>" for key, value in entries.items()]
    labels = [
        f"<label><name>{escape(_checked_class(name))}</name><color>#{bytes(color).hex()}</color><type>any</type><attributes></attributes></label>"
        for name, color in zip(classes.names, classes.colors, strict=True)
    ]
    sides = [] if size is None else [size_element(size)]
    text = "\n".join(["<meta><task>", *lines, "<labels>", *labels, "</labels>", *sides, "</task></meta>"])
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n{text}\n'


def size_element(size: tuple[int, int]) -> str:
    """Return the element of `meta` that states the (h, w) of a video."""
    h, w = size
    return f"<original_size><width>{w}</width><height>{h}</height></original_size>"


def attributes(**values: object) -> str:
    """Return attributes of an element, ready to be written.

    Example:
        >>> print(attributes(label="a & b", left=3))
        label="a &amp; b" left="3"
    """
    return " ".join(f"{key}={quoteattr(checked_text(str(value)))}" for key, value in values.items())


def _checked_class(name: str) -> str:
    if name != name.strip() or "\n" in name or "\r" in name:
        raise DatasetError(
            f"the class {name!r} cannot be a label of CVAT; expected a name of one line without blanks "
            "around it; rename it in classes.toml, or by --map"
        )
    return checked_text(name)


def checked_text(text: str) -> str:
    """Return a text after checking that XML can hold it.

    Raises:
        DatasetError: It cannot.
    """
    if strange := _NO_XML.search(text):
        raise DatasetError(
            f"{text!a} holds the character {strange[0]!a}, which XML cannot hold; expected none; rename it"
        )
    return text


def masks_of(labels: Positions, *, instances: bool) -> Iterator[tuple[int, str]]:
    """Yield the position and the attributes rle, left, top, width and height of each class, or each region.

    Args:
        labels: A label map.
        instances: Yield each connected region of a class on its own; neighbours share an edge or a corner.
    """
    if not instances:
        for position, mask in _masks(labels, VOID):
            yield position, mask
        return
    for position in np.unique(labels).tolist():
        if position != VOID:
            _, numbers = cv2.connectedComponents((labels == position).astype(np.uint8), connectivity=8)
            for _, mask in _masks(numbers, 0):
                yield position, mask


def _masks(values: NDArray[np.integer], outside: int) -> Iterator[tuple[int, str]]:
    """Yield each value but `outside`, and its mask; all are found in one pass over the picture."""
    h, w = values.shape
    begins = np.ones((h, w), bool)
    begins[:, 1:] = values[:, 1:] != values[:, :-1]
    starts = np.flatnonzero(begins)
    of_runs, lengths = values.reshape(-1)[starts], np.diff(starts, append=h * w)
    order = np.argsort(of_runs, kind="stable")
    ordered = of_runs[order]
    for runs in np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1):
        value = int(of_runs[runs[0]])
        if value != outside:
            y, x = np.divmod(starts[runs], w)
            yield value, _mask(x, y, lengths[runs])


def _mask(x: NDArray[np.int64], y: NDArray[np.int64], lengths: NDArray[np.int64]) -> str:
    """Return the attributes of the mask of runs in rows, in order: its box, and run lengths inside it."""
    left, top, right, bottom = int(x.min()), int(y[0]), int((x + lengths).max()), int(y[-1]) + 1
    width = right - left
    begins = (y - top) * width + x - left
    ends = begins + lengths
    # A run that ends at the right side of the box goes on in the next row.
    apart = np.r_[True, begins[1:] != ends[:-1]]
    edges = np.column_stack([begins[apart], ends[np.r_[apart[1:], True]]]).reshape(-1)
    counts = np.diff(edges, prepend=0, append=width * (bottom - top)).tolist()
    if not counts[-1]:
        counts.pop()
    rle = str(counts)[1:-1]  # a third of the time of joining the numbers
    return f'rle="{rle}" left="{left}" top="{top}" width="{width}" height="{bottom - top}"'
