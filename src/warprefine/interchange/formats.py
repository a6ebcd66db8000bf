"""List the formats that can be imported and exported, by name."""

from __future__ import annotations

from warprefine.interchange.coco import EXPORT_COCO, IMPORT_COCO
from warprefine.interchange.color_png import EXPORT_COLOR_PNG, IMPORT_COLOR_PNG
from warprefine.interchange.encord import IMPORT_ENCORD
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.index_png import EXPORT_INDEX_PNG, IMPORT_INDEX_PNG
from warprefine.interchange.label_studio import EXPORT_LABEL_STUDIO, IMPORT_LABEL_STUDIO
from warprefine.interchange.labelme import EXPORT_LABELME, IMPORT_LABELME
from warprefine.interchange.supervisely import EXPORT_SUPERVISELY, IMPORT_SUPERVISELY
from warprefine.interchange.v7_darwin import IMPORT_V7_DARWIN
from warprefine.interchange.x_anylabeling import EXPORT_X_ANYLABELING, IMPORT_X_ANYLABELING

IMPORTERS: dict[str, Importer] = {
    "coco": IMPORT_COCO,
    "color-png": IMPORT_COLOR_PNG,
    "encord": IMPORT_ENCORD,
    "index-png": IMPORT_INDEX_PNG,
    "label-studio": IMPORT_LABEL_STUDIO,
    "labelme": IMPORT_LABELME,
    "supervisely": IMPORT_SUPERVISELY,
    "supervisely-video": IMPORT_SUPERVISELY,
    "v7-darwin": IMPORT_V7_DARWIN,
    "x-anylabeling": IMPORT_X_ANYLABELING,
}
"""Formats by the names that `warprefine import` takes."""

EXPORTERS: dict[str, Exporter] = {
    "coco": EXPORT_COCO,
    "color-png": EXPORT_COLOR_PNG,
    "index-png": EXPORT_INDEX_PNG,
    "label-studio": EXPORT_LABEL_STUDIO,
    "labelme": EXPORT_LABELME,
    "supervisely": EXPORT_SUPERVISELY,
    "x-anylabeling": EXPORT_X_ANYLABELING,
}
"""Formats by the names that `warprefine export` takes."""
