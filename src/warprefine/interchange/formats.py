"""List the formats that can be imported and exported, by name."""

from __future__ import annotations

from warprefine.interchange.coco import EXPORT_COCO, IMPORT_COCO
from warprefine.interchange.color_png import EXPORT_COLOR_PNG, IMPORT_COLOR_PNG
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.index_png import EXPORT_INDEX_PNG, IMPORT_INDEX_PNG
from warprefine.interchange.label_studio import EXPORT_LABEL_STUDIO, IMPORT_LABEL_STUDIO

IMPORTERS: dict[str, Importer] = {
    "coco": IMPORT_COCO,
    "color-png": IMPORT_COLOR_PNG,
    "index-png": IMPORT_INDEX_PNG,
    "label-studio": IMPORT_LABEL_STUDIO,
}
"""Formats by the names that `warprefine import` takes."""

EXPORTERS: dict[str, Exporter] = {
    "coco": EXPORT_COCO,
    "color-png": EXPORT_COLOR_PNG,
    "index-png": EXPORT_INDEX_PNG,
    "label-studio": EXPORT_LABEL_STUDIO,
}
"""Formats by the names that `warprefine export` takes."""
