"""Read the layout of the KITTI semantics benchmark: training/semantic, instance and semantic_rgb.

The labelled frame 10 of each scene is NNNNNN_10.png: a video is a scene. CVAT and datumaro write the same
folders with names and ids of their own, and a label_colors.txt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from warprefine.core.errors import DatasetError
from warprefine.interchange.cityscapes_codes import CityscapesCodes, ListedCodes, codes_of
from warprefine.interchange.format import Importer
from warprefine.interchange.imported import Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.source import Source

_SCENE = re.compile(r"(?P<scene>\d{6})_(?P<frame>\d{1,6})")
_INSTANCES = 256
"""A pixel of instance is id · 256 + number."""


def read_kitti(source: Source, options: ImportOptions) -> Imported:
    """Read a folder in the layout of KITTI; of each frame one of its files.

    That is semantic, else instance or semantic_rgb, with the ids and colours of Cityscapes. With a
    label_colors.txt it is semantic_rgb, else semantic or instance, and ids are lines of that file, from 0.

    Raises:
        DatasetError: There are no such folders.
    """
    del options
    codes = codes_of(source)
    order = ("semantic", "instance", "semantic_rgb")
    if isinstance(codes, ListedCodes):
        order = ("semantic_rgb", "semantic", "instance")
    frames: dict[str, tuple[str, Path]] = {}
    for kind in order:
        for path in source.with_ending(".png"):
            if name := _name(source.relative(path), kind):
                frames.setdefault(name, (kind, path))
    if not frames:
        raise DatasetError(
            f"{source.path} holds no label map of KITTI; expected training/semantic/NNNNNN_10.png or the like"
        )
    found = [_frame(source, name, kind, path, codes) for name, (kind, path) in frames.items()]
    return Imported(classes=codes.classes, frames=found)


def _name(path: PurePosixPath, kind: str) -> str | None:
    """Return SPLIT/NAME of a label map, the same for all kinds; None if a file is not of some kind."""
    folders = [part.lower() for part in path.parts[:-1]]
    if kind not in folders:
        return None
    begin = folders.index(kind)
    return "/".join([*path.parts[:begin], *path.parts[begin + 1 : -1], path.stem])


def _frame(
    source: Source, place: str, kind: str, path: Path, codes: CityscapesCodes | ListedCodes
) -> ImportedFrame:
    draws: dict[str, Callable[..., Positions]] = {
        "semantic": codes.ids,
        "instance": partial(codes.ids, coding=np.arange(1 << 16) // _INSTANCES),
        "semantic_rgb": codes.colors,
    }
    parts = source.relative(path).parts
    begin = [part.lower() for part in parts].index(kind) + 1
    name = "/".join([*parts[begin:-1], path.stem])
    also = [name]
    if match := _SCENE.fullmatch(path.stem):
        also.insert(0, f"{match['scene']}/{match['frame']}")
    picture = next(
        (
            found
            for folder in ("image_2", "images", "image")
            if (found := source.picture(f"{folder}/{name}.png"))
        ),
        None,
    )
    return ImportedFrame(
        where=source.shown(path),
        name=also[0],
        also=also[1:],
        draw=partial(draws[kind], path, source.shown(path)),
        picture=picture,
    )


IMPORT_KITTI = Importer(
    read=read_kitti,
    about="a folder or zip in the layout of KITTI's semantics, also of CVAT and datumaro (label_colors.txt)",
    keeps="the classes of Cityscapes with ids and colours; semantic, instance or semantic_rgb",
    loses="instances; labels that the benchmark does not score are void unless the project has them",
)
