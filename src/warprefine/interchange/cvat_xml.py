"""Read what the XML of CVAT for images and that for videos have in common: labels, tasks and shapes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element

import numpy as np

from warprefine.core.classes import Color
from warprefine.core.errors import DatasetError, shorten
from warprefine.core.tensors import VOID
from warprefine.interchange.cvat_shapes import AREAS, NO_AREAS, Shape, draw_shape
from warprefine.interchange.imported import ClassList, Positions, clean_name
from warprefine.interchange.records import read_xml_file
from warprefine.interchange.source import Source

_EXPECTED = "annotations.xml of CVAT"
_COLOR = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")

Layer = tuple[int, int, Shape]
"""The z order of a shape, the position of its class, and the shape."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What `meta` says about a task, a job, or a task of a project.

    Attributes:
        name: Its name; "" for a job.
        video: The name of the video file that it labels; None for pictures.
        start: The number of its first frame in the video.
        stop: The number of its last one; None if the file does not say.
        step: Every how many frames of the video it has one.
        size: The (h, w) of its frames, where all have the same.
    """

    name: str = ""
    video: str | None = None
    start: int = 0
    stop: int | None = None
    step: int = 1
    size: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class CvatFile:
    """An XML file of CVAT.

    Attributes:
        path: Where it lies.
        named: How messages name it.
        root: Its element `annotations`.
        tasks: Its tasks by id; with one task also as "".
        labels: The positions of the labels that `meta` lists; None if it lists none.
        classes: The classes of all files.
        left_out: How many elements without an area there were, by kind.
    """

    path: Path
    named: str
    root: Element
    tasks: Mapping[str, Task]
    labels: Mapping[str, int] | None
    classes: ClassList
    left_out: Counter[str]

    def task(self, element: Element) -> Task:
        """Return the task of an image or a track."""
        task = self.tasks.get(element.get("task_id", ""), self.tasks.get(""))
        if task is None and len(self.tasks) > 1:
            self.refuse(
                f"has task_id={element.get('task_id')!r}; expected one of {shorten(self.tasks)}", element
            )
        return task or Task()

    def position(self, element: Element, where: str) -> int:
        """Return the position of the class of a shape or a track.

        Raises:
            DatasetError: `meta` lists labels, but not this one.
        """
        name = clean_name(element.get("label", "").strip(), where=where)
        if self.labels is None:
            return self.classes.position(name)
        if name not in self.labels:
            raise DatasetError(
                f"{where} has the label {name!r}, which the labels in meta lack: "
                f"{shorten(map(repr, self.labels))}; expected one of them; export it again"
            )
        return self.labels[name]

    def shape(self, element: Element, where: str) -> Shape | None:
        """Return an element as a shape; None, and counted, if its kind has no area.

        Raises:
            DatasetError: It is nothing that CVAT writes.
        """
        if element.tag in AREAS:
            return Shape(element.tag, element.attrib, f"{where}, {element.tag}")
        if element.tag not in NO_AREAS:
            raise DatasetError(
                f"{where} holds an element {element.tag!r}; expected {', '.join(sorted(AREAS | NO_AREAS))}; "
                "export it again"
            )
        self.left_out[element.tag] += 1
        return None

    def refuse(self, found: str, element: Element) -> NoReturn:
        """Raise an error about an image or a track.

        Raises:
            DatasetError: Always.
        """
        called = element.get("name") or element.get("id")
        raise DatasetError(f"{self.named}, {element.tag} {called!r}, {found}; export it again")


def read_cvat_files(source: Source, classes: ClassList, *, holds: str, other: str) -> Iterator[CvatFile]:
    """Yield the XML files of an export, one after the other: the memory of each can be freed.

    Args:
        source: The export.
        classes: Gets the labels.
        holds: The elements that are read: "image" or "track".
        other: What messages say about a file that holds the other ones.

    Raises:
        DatasetError: There is none, or one is no XML of CVAT in version 1.0 or 1.1.
    """
    found = source.files if source.file else source.called("annotations.xml") or source.with_ending(".xml")
    if not found:
        source.only(found, expected=_EXPECTED)
    for path in found:
        named = source.shown(path)
        root = read_xml_file(path, expected=_EXPECTED)
        if root.tag != "annotations":
            raise DatasetError(
                f"{named} holds an element {root.tag[:40]!r}; expected {_EXPECTED}, which begins with "
                "<annotations>; name the file itself"
            )
        version = root.findtext("version", "1.1").strip()
        if version not in ("1.0", "1.1"):
            raise DatasetError(
                f"{named} is of version {version[:20]!r}; expected 1.1, as CVAT writes it; export it again"
            )
        if root.find(holds) is None and root.find("track" if holds == "image" else "image") is not None:
            raise DatasetError(f"{named} holds no {holds}s; expected {other}")
        meta = root.find("meta")
        yield CvatFile(
            path=path,
            named=named,
            root=root,
            tasks={} if meta is None else _tasks(meta, named),
            labels=None if meta is None else _labels(meta, classes, named),
            classes=classes,
            left_out=Counter(),
        )


def _tasks(meta: Element, named: str) -> dict[str, Task]:
    found = {
        element.findtext("id", "").strip(): _task(element, named)
        for element in meta.iterfind("project/tasks/task")
    }
    if len(found) < 2:
        for element in (*meta.iterfind("task"), *meta.iterfind("job"), *meta.iterfind("project/tasks/task")):
            found[""] = _task(element, named)
    return found


def _task(element: Element, named: str) -> Task:
    def whole(path: str) -> int | None:
        text = element.findtext(path, "").strip()
        if not text:
            return None
        if not re.fullmatch("[0-9]{1,9}", text):
            raise DatasetError(
                f"{named}, meta, has {path} = {text[:40]!r}; expected a whole number; export it again"
            )
        return int(text)

    told = element.findtext("frame_filter", "").replace(" ", "")
    step = re.fullmatch("(?:step=([1-9][0-9]{0,8}))?", told)
    if step is None:
        raise DatasetError(
            f"{named}, meta, has frame_filter = {told[:40]!r}; expected step=NUMBER; export it again"
        )
    start, stop, every, size = (
        whole("start_frame") or 0,
        whole("stop_frame"),
        int(step[1] or 1),
        whole("size"),
    )
    if stop is None and size:
        stop = start + (size - 1) * every
    h, w = whole("original_size/height"), whole("original_size/width")
    return Task(
        name=element.findtext("name", "").strip(),
        video=element.findtext("source", "").strip() or None,
        start=start,
        stop=stop,
        step=every,
        size=(h, w) if h and w else None,
    )


def _labels(meta: Element, classes: ClassList, named: str) -> dict[str, int] | None:
    """Return the labels that a file lists; those of a skeleton's points have a parent, and no area."""
    labels: dict[str, int] = {}
    listed = False
    for element in meta.iter("label"):
        if element.find("parent") is not None:
            continue
        listed = True
        name = clean_name(element.findtext("name", "").strip(), where=f"{named}, meta,")
        if name in labels:
            raise DatasetError(
                f"{named} lists the label {name!r} twice; expected each once; rename one in CVAT"
            )
        color = _color(element.findtext("color", ""))
        labels[name] = classes.position(name) if classes.has(name) else classes.add(name, color=color)
    return labels if listed else None


def _color(text: str) -> Color | None:
    """Return a colour that is written as #804080."""
    match = _COLOR.fullmatch(text.strip())
    return (int(match[1], 16), int(match[2], 16), int(match[3], 16)) if match else None


def draw_layers(layers: Sequence[Layer], size: tuple[int, int]) -> Positions:
    """Paint shapes by ascending z order; of those of the same one, later ones lie on top."""
    labels = np.full(size, VOID, np.uint8)
    for _, position, shape in sorted(layers, key=lambda layer: layer[0]):
        labels[draw_shape(shape, size)] = position
    return labels


def notes_of(left_out: Mapping[str, int], named: str) -> Iterator[str]:
    """Yield what is to be told about elements without an area."""
    if left_out:
        told = ", ".join(f"{number} {kind}" for kind, number in sorted(left_out.items()))
        yield f"{named}: elements without an area label no pixel: {told}"
