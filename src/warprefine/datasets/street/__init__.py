"""Synthetic street videos with exact labels, optical flow and occlusion."""

from warprefine.datasets.street.classes import STREET_CLASSES
from warprefine.datasets.street.folder import write_street
from warprefine.datasets.street.scene import StreetScene

__all__ = ["STREET_CLASSES", "StreetScene", "write_street"]
