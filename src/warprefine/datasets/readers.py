"""Readers of data sets, by name: each takes a root folder and a split and opens no picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from warprefine.core.video import Dataset
from warprefine.datasets.apolloscape import read_apolloscape
from warprefine.datasets.camvid import read_camvid
from warprefine.datasets.camvid32 import read_camvid32
from warprefine.datasets.cityscapes import read_cityscapes
from warprefine.datasets.davis import read_davis
from warprefine.datasets.folder import read_folder
from warprefine.datasets.kitti import read_kitti
from warprefine.datasets.mapillary import read_mapillary
from warprefine.datasets.nyuv2 import read_nyuv2

Reader = Callable[[Path, str], Dataset]

READERS: dict[str, Reader] = {
    "apolloscape": read_apolloscape,
    "camvid": read_camvid,
    "camvid32": read_camvid32,
    "cityscapes": read_cityscapes,
    "davis": read_davis,
    "folder": read_folder,
    "kitti": read_kitti,
    "mapillary": read_mapillary,
    "nyuv2": read_nyuv2,
}
"""Readers by the names that `open_dataset` and `--reader` take."""
