"""Write annotations.xml of CVAT: its meta data, its attributes, and masks as run lengths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError
from warprefine.interchange.imported import Positions
from warprefine.interchange.mask_runs import Runs, cvat_runs

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


_MOST_WORDS = 1 << 16


@cache
def _words() -> np.ndarray:
    """Return the numbers below `_MOST_WORDS` as ASCII bytes that end in ", ", filled up with zeros."""
    return np.array([f"{number}, ".encode() for number in range(_MOST_WORDS)])


def _listed(runs: Runs) -> str:
    """Return run lengths with ", " between them; looking words up takes a fifth of the time of `join`.

    Example:
        >>> _listed(np.array([0, 2, 1], np.uint32)), _listed(np.array([70000, 1], np.uint32))
        ('0, 2, 1', '70000, 1')
    """
    if int(runs.max(initial=0)) >= _MOST_WORDS:
        return ", ".join(map(str, runs.tolist()))
    return _words()[runs].tobytes().translate(None, b"\0")[:-2].decode("ascii")


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
    for mask in cvat_runs(labels, instances=instances):
        left, top, width, height = mask.box
        rle = _listed(mask.runs)
        yield (
            mask.position,
            f'rle="{rle}" left="{left}" top="{top}" width="{width}" height="{height}"',
        )
