"""Readers of data sets, by name: each takes a root folder and a split and opens no picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from warprefine.core.video import Dataset
from warprefine.datasets.camvid import read_camvid
from warprefine.datasets.davis import read_davis
from warprefine.datasets.folder import read_folder

Reader = Callable[[Path, str], Dataset]

READERS: dict[str, Reader] = {
    "camvid": read_camvid,
    "davis": read_davis,
    "folder": read_folder,
}
