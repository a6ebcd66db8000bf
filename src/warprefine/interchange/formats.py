"""List the formats that can be imported and exported, by name."""

from __future__ import annotations

from warprefine.interchange.camvid import EXPORT_CAMVID, IMPORT_CAMVID
from warprefine.interchange.cityscapes import EXPORT_CITYSCAPES, IMPORT_CITYSCAPES
from warprefine.interchange.coco import EXPORT_COCO, IMPORT_COCO
from warprefine.interchange.coco_panoptic import EXPORT_COCO_PANOPTIC, IMPORT_COCO_PANOPTIC
from warprefine.interchange.color_png import EXPORT_COLOR_PNG, IMPORT_COLOR_PNG
from warprefine.interchange.cvat_images import EXPORT_CVAT_IMAGES, IMPORT_CVAT_IMAGES
from warprefine.interchange.cvat_video import EXPORT_CVAT_VIDEO, IMPORT_CVAT_VIDEO
from warprefine.interchange.datumaro import EXPORT_DATUMARO, IMPORT_DATUMARO
from warprefine.interchange.encord import IMPORT_ENCORD
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.huggingface import IMPORT_HUGGINGFACE
from warprefine.interchange.huggingface_export import EXPORT_HUGGINGFACE
from warprefine.interchange.index_png import EXPORT_INDEX_PNG, IMPORT_INDEX_PNG
from warprefine.interchange.kitti import IMPORT_KITTI
from warprefine.interchange.label_studio import EXPORT_LABEL_STUDIO, IMPORT_LABEL_STUDIO
from warprefine.interchange.labelme import EXPORT_LABELME, IMPORT_LABELME
from warprefine.interchange.overlay import EXPORT_VIDEO
from warprefine.interchange.roboflow_masks import EXPORT_ROBOFLOW_MASKS, IMPORT_ROBOFLOW_MASKS
from warprefine.interchange.supervisely import EXPORT_SUPERVISELY, IMPORT_SUPERVISELY
from warprefine.interchange.training_folder import EXPORT_TRAINING_FOLDER
from warprefine.interchange.ultralytics_semantic import (
    EXPORT_ULTRALYTICS_SEMANTIC,
    IMPORT_ULTRALYTICS_SEMANTIC,
)
from warprefine.interchange.v7_darwin import IMPORT_V7_DARWIN
from warprefine.interchange.video import IMPORT_VIDEO
from warprefine.interchange.voc import EXPORT_CVAT_MASKS, EXPORT_VOC, IMPORT_CVAT_MASKS, IMPORT_VOC
from warprefine.interchange.x_anylabeling import EXPORT_X_ANYLABELING, IMPORT_X_ANYLABELING
from warprefine.interchange.yolo_seg import EXPORT_YOLO_SEG, IMPORT_YOLO_SEG

IMPORTERS: dict[str, Importer] = {
    "camvid": IMPORT_CAMVID,
    "cityscapes": IMPORT_CITYSCAPES,
    "coco": IMPORT_COCO,
    "coco-panoptic": IMPORT_COCO_PANOPTIC,
    "color-png": IMPORT_COLOR_PNG,
    "cvat-images": IMPORT_CVAT_IMAGES,
    "cvat-masks": IMPORT_CVAT_MASKS,
    "cvat-video": IMPORT_CVAT_VIDEO,
    "datumaro": IMPORT_DATUMARO,
    "encord": IMPORT_ENCORD,
    "huggingface": IMPORT_HUGGINGFACE,
    "index-png": IMPORT_INDEX_PNG,
    "kitti": IMPORT_KITTI,
    "label-studio": IMPORT_LABEL_STUDIO,
    "labelme": IMPORT_LABELME,
    "roboflow-masks": IMPORT_ROBOFLOW_MASKS,
    "supervisely": IMPORT_SUPERVISELY,
    "supervisely-video": IMPORT_SUPERVISELY,
    "ultralytics-semantic": IMPORT_ULTRALYTICS_SEMANTIC,
    "v7-darwin": IMPORT_V7_DARWIN,
    "video": IMPORT_VIDEO,
    "voc": IMPORT_VOC,
    "x-anylabeling": IMPORT_X_ANYLABELING,
    "yolo-seg": IMPORT_YOLO_SEG,
}
"""Formats by the names that `warprefine import` takes."""

EXPORTERS: dict[str, Exporter] = {
    "camvid": EXPORT_CAMVID,
    "cityscapes": EXPORT_CITYSCAPES,
    "coco": EXPORT_COCO,
    "coco-panoptic": EXPORT_COCO_PANOPTIC,
    "color-png": EXPORT_COLOR_PNG,
    "cvat-images": EXPORT_CVAT_IMAGES,
    "cvat-masks": EXPORT_CVAT_MASKS,
    "cvat-video": EXPORT_CVAT_VIDEO,
    "datumaro": EXPORT_DATUMARO,
    "huggingface": EXPORT_HUGGINGFACE,
    "index-png": EXPORT_INDEX_PNG,
    "label-studio": EXPORT_LABEL_STUDIO,
    "labelme": EXPORT_LABELME,
    "roboflow-masks": EXPORT_ROBOFLOW_MASKS,
    "supervisely": EXPORT_SUPERVISELY,
    "training-folder": EXPORT_TRAINING_FOLDER,
    "ultralytics-semantic": EXPORT_ULTRALYTICS_SEMANTIC,
    "video": EXPORT_VIDEO,
    "voc": EXPORT_VOC,
    "x-anylabeling": EXPORT_X_ANYLABELING,
    "yolo-seg": EXPORT_YOLO_SEG,
}
"""Formats by the names that `warprefine export` takes."""

ALIASES = {
    "coco-instances": "coco",
    "cvat": "cvat-images",
    "cvat-segmentation-mask": "cvat-masks",
    "cvat-smask": "cvat-masks",
    "datumaro-json": "datumaro",
    "hf-datasets": "huggingface",
    "hf-parquet": "huggingface",
    "label-video": "video",
    "mmsegmentation": "index-png",
    "pascal-voc": "voc",
}
"""Further names that tools have for formats."""


def format_name(name: str) -> str:
    """Return the name in `IMPORTERS` or `EXPORTERS` that a user means; one that is unknown as it is.

    Example:
        >>> format_name("cvat_segmentation_mask"), format_name("COCO"), format_name("exr")
        ('cvat-masks', 'coco', 'exr')
    """
    plain = name.lower().replace("_", "-").replace(" ", "-")
    plain = ALIASES.get(plain, plain)
    return plain if plain in IMPORTERS or plain in EXPORTERS else name
