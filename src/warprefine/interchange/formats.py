"""List the formats that can be imported and exported, by name."""

from __future__ import annotations

from warprefine.interchange.camvid import EXPORT_CAMVID, IMPORT_CAMVID
from warprefine.interchange.coco import EXPORT_COCO, IMPORT_COCO
from warprefine.interchange.color_png import EXPORT_COLOR_PNG, IMPORT_COLOR_PNG
from warprefine.interchange.cvat_images import EXPORT_CVAT_IMAGES, IMPORT_CVAT_IMAGES
from warprefine.interchange.cvat_video import EXPORT_CVAT_VIDEO, IMPORT_CVAT_VIDEO
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.index_png import EXPORT_INDEX_PNG, IMPORT_INDEX_PNG
from warprefine.interchange.voc import EXPORT_CVAT_MASKS, EXPORT_VOC, IMPORT_CVAT_MASKS, IMPORT_VOC

IMPORTERS: dict[str, Importer] = {
    "camvid": IMPORT_CAMVID,
    "coco": IMPORT_COCO,
    "color-png": IMPORT_COLOR_PNG,
    "cvat-images": IMPORT_CVAT_IMAGES,
    "cvat-masks": IMPORT_CVAT_MASKS,
    "cvat-video": IMPORT_CVAT_VIDEO,
    "index-png": IMPORT_INDEX_PNG,
    "voc": IMPORT_VOC,
}
"""Formats by the names that `warprefine import` takes."""

EXPORTERS: dict[str, Exporter] = {
    "camvid": EXPORT_CAMVID,
    "coco": EXPORT_COCO,
    "color-png": EXPORT_COLOR_PNG,
    "cvat-images": EXPORT_CVAT_IMAGES,
    "cvat-masks": EXPORT_CVAT_MASKS,
    "cvat-video": EXPORT_CVAT_VIDEO,
    "index-png": EXPORT_INDEX_PNG,
    "voc": EXPORT_VOC,
}
"""Formats by the names that `warprefine export` takes."""
