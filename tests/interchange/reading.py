"""Read and draw an export without a data set: what the tests of single formats share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from warprefine.interchange import IMPORTERS
from warprefine.interchange.imported import Imported, ImportOptions
from warprefine.interchange.source import open_source


def read(name: str, folder: Path, files: Mapping[str, object]) -> tuple[Imported, list[np.ndarray]]:
    """Write files (text, bytes or JSON), read their folder, and draw each frame (3 x 4 if it has no size)."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            target.write_text(text, encoding="utf-8")
    with open_source(folder) as source:
        imported = IMPORTERS[name].read(source, ImportOptions())
        return imported, [frame.draw(frame.size or (3, 4)) for frame in imported.frames]
