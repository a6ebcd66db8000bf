"""Read and write the labelling configuration of Label Studio: the labels with their colours, as XML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from PIL import ImageColor

from warprefine.core.classes import ClassSet, Color
from warprefine.core.errors import DatasetError
from warprefine.interchange.imported import ClassList
from warprefine.interchange.records import read_xml_file

AREAS = ("labels", "brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels", "bitmasklabels")
"""Tags, in lower case, whose labels name areas; points, spans of text and of time have others."""
_NOT_XML = re.compile("[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a labelling configuration says.

    Attributes:
        named: How messages name its file.
        picture: The field of a task that has the picture (`$image`); None if there is no picture tag.
    """

    named: str
    picture: str | None


def read_config(path: Path, classes: ClassList, *, named: str) -> Config:
    """Read a labelling configuration, and add its labels to the classes; those of several tags once.

    Raises:
        DatasetError: It is no XML, or no labelling configuration.
    """
    root = read_xml_file(path, expected="a labelling configuration of Label Studio")
    if root.tag != "View":
        raise DatasetError(
            f"{named} begins with <{root.tag[:40]}>; expected <View>, a labelling configuration; copy it "
            "from Settings, Labeling Interface"
        )
    for tag in root.iter():
        if str(tag.tag).lower() in AREAS:
            for label in tag.iter("Label"):
                # What an export holds is the alias, if a label has one.
                name = label.get("alias") or label.get("value") or ""
                if name and not name.startswith("$") and not classes.has(name):
                    classes.add(name, color=_color(label.get("background")))
    pictures = [tag.get("value", "") for tag in root.iter() if str(tag.tag).lower() == "image"]
    fields = [value.removeprefix("$") for value in pictures if value.startswith("$")]
    return Config(named=named, picture=fields[0] if fields else None)


def write_config(path: Path, classes: ClassSet, *, control: str, picture: str) -> None:
    """Write a configuration with brushes for all classes, in their colours.

    Raises:
        DatasetError: XML cannot hold the name of a class.
    """
    check_xml_names(classes.names)
    view = Element("View")
    SubElement(view, "Image", name=picture, value=f"${picture}", zoom="true")
    tag = SubElement(view, "BrushLabels", name=control, toName=picture)
    for name, (red, green, blue) in zip(classes.names, classes.colors, strict=True):
        SubElement(tag, "Label", value=name, background=f"#{red:02x}{green:02x}{blue:02x}")
    indent(view)
    ElementTree(view).write(path, encoding="utf-8", xml_declaration=False)


def check_xml_names(names: Sequence[str]) -> None:
    """Check that XML can hold the names of classes.

    Raises:
        DatasetError: One has a control character or a line break.
    """
    for name in names:
        if _NOT_XML.search(name):
            raise DatasetError(
                f"the class {name!a} has a character that XML cannot hold; expected letters; rename it in "
                "classes.toml, or by --map"
            )


def _color(text: str | None) -> Color | None:
    """Return a colour of CSS; None if it is none."""
    try:
        channels = ImageColor.getrgb(text or "")
    except ValueError:
        return None
    return channels[0], channels[1], channels[2]
