"""List the formats that can be imported and exported, by name."""

from __future__ import annotations

from warprefine.interchange.coco import EXPORT_COCO, IMPORT_COCO
from warprefine.interchange.color_png import EXPORT_COLOR_PNG, IMPORT_COLOR_PNG
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.huggingface import IMPORT_HUGGINGFACE
from warprefine.interchange.huggingface_export import EXPORT_HUGGINGFACE
from warprefine.interchange.index_png import EXPORT_INDEX_PNG, IMPORT_INDEX_PNG
from warprefine.interchange.overlay import EXPORT_VIDEO
from warprefine.interchange.training_folder import EXPORT_TRAINING_FOLDER
from warprefine.interchange.video import IMPORT_VIDEO

IMPORTERS: dict[str, Importer] = {
    "coco": IMPORT_COCO,
    "color-png": IMPORT_COLOR_PNG,
    "huggingface": IMPORT_HUGGINGFACE,
    "index-png": IMPORT_INDEX_PNG,
    "video": IMPORT_VIDEO,
}
"""Formats by the names that `warprefine import` takes."""

EXPORTERS: dict[str, Exporter] = {
    "coco": EXPORT_COCO,
    "color-png": EXPORT_COLOR_PNG,
    "huggingface": EXPORT_HUGGINGFACE,
    "index-png": EXPORT_INDEX_PNG,
    "training-folder": EXPORT_TRAINING_FOLDER,
    "video": EXPORT_VIDEO,
}
"""Formats by the names that `warprefine export` takes."""
