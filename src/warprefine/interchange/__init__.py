"""Import labels from the formats of annotation tools, and export labels to them."""

from __future__ import annotations

from warprefine.interchange.formats import EXPORTERS, IMPORTERS, format_name

__all__ = ["EXPORTERS", "IMPORTERS", "format_name"]
