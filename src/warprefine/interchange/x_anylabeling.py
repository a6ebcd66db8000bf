"""Read and write X-AnyLabeling: JSON files like those of labelme, with polygons alone.

Its mask export draws polygons with OpenCV, later ones on top, and knows no holes: regions are written larger
ones first, and cut where they go around void.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from warprefine.interchange.exported import Exported, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import Imported, ImportOptions, Positions
from warprefine.interchange.labelme import read_labelme, write_class_names, write_file
from warprefine.interchange.labelme_shapes import X_ANYLABELING
from warprefine.interchange.outlines import outlines
from warprefine.interchange.source import Source

_VERSION = "4.2.1"


def read_x_anylabeling(source: Source, options: ImportOptions) -> Imported:
    """Read the JSON files of X-AnyLabeling below a folder, or a single one; as `read_labelme`."""
    return read_labelme(source, options, draw=X_ANYLABELING)


def write_x_anylabeling(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write VIDEO/STEM.json with polygons beside the picture, and labels.txt."""
    names = labelled.classes.names
    write_class_names(dest, names)
    for frame in labelled.frames():
        shapes = list(_shapes(frame.labels(), names))
        content = {"version": _VERSION, "flags": {}, "checked": False, "shapes": shapes}
        write_file(frame, dest, content, options)
    return []


def _shapes(labels: Positions, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for outline in outlines(labels, open_void=True):
        yield {
            "label": names[outline.position],
            "score": None,
            "points": outline.corners.astype(float).tolist(),
            "group_id": None,
            "description": "",
            "difficult": False,
            "shape_type": "polygon",
            "flags": {},
            "attributes": {},
            "kie_linking": [],
        }


IMPORT_X_ANYLABELING = Importer(
    read=read_x_anylabeling,
    about="a folder or zip of X-AnyLabeling's JSON files, or one of them",
    keeps="polygons, boxes, rotated boxes, circles; later shapes lie on top",
    loses="instances (group_id), lines, points and cuboids, scores, attributes",
)
EXPORT_X_ANYLABELING = Exporter(
    write=write_x_anylabeling,
    about="VIDEO/STEM.json with polygons, beside VIDEO/STEM.png; labels.txt",
    keeps="labels, void (no shape; a region around void is cut into several), class names",
    loses="ids and colours",
    lossless=True,
    pictures=True,
)
