"""Read and write the layout of Cityscapes: ids, train ids, colours and polygons in gtFine.

DEST/gtFine/SPLIT/CITY/CITY_SEQUENCE_FRAME_gtFine_labelIds.png        ids of the benchmark's labels.py
DEST/gtFine/SPLIT/CITY/CITY_SEQUENCE_FRAME_gtFine_labelTrainIds.png   0 to 18, 255 void
DEST/gtFine/SPLIT/CITY/CITY_SEQUENCE_FRAME_gtFine_color.png
DEST/gtFine/SPLIT/CITY/CITY_SEQUENCE_FRAME_gtFine_polygons.json

A video is a sequence of a city: CITY_SEQUENCE. Read and written directly: datumaro writes ids of its own and
loses the class that is its label 0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from warprefine.core.errors import DatasetError, LabelError, shorten
from warprefine.core.names import nearest_name
from warprefine.core.tensors import VOID
from warprefine.datasets.cityscapes_labels import CITYSCAPES_LABELS, CityscapesLabel
from warprefine.interchange.cityscapes_codes import LABELS_BY_NAME, CityscapesCodes, ListedCodes, codes_of
from warprefine.interchange.exported import Exported, ExportedFrame, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.outlines import outlines
from warprefine.interchange.pixels import write_colors, write_values
from warprefine.interchange.records import read_record
from warprefine.interchange.renames import mending_option
from warprefine.interchange.source import Source

_FILE = re.compile(
    r"(?P<core>.+)_gt(?:fine|coarse)_(?P<kind>labelids|labeltrainids|polygons|color|instanceids)\.(?:png|json)",
    re.IGNORECASE,
)
_SEQUENCE = re.compile(r"(?P<video>.+_\d{6})_(?P<frame>\d{6})")
_NAMES = "frame_names.json"


def read_cityscapes(source: Source, options: ImportOptions) -> Imported:
    """Read a folder in the layout of Cityscapes; of each frame one of its files.

    That is labelIds, else labelTrainIds, polygons, color or instanceIds. With a label_colors.txt, as CVAT and
    datumaro write it, colours decide, as ids are not those of Cityscapes then. Labels that the benchmark does
    not score are void, unless the project has such a class.

    Raises:
        DatasetError: There are no such files.
    """
    del options
    frames = _frame_files(source)
    if not frames:
        raise DatasetError(
            f"{source.path} holds no file of Cityscapes; expected gtFine/SPLIT/CITY/"
            "CITY_SEQUENCE_FRAME_gtFine_labelIds.png or the like"
        )
    names = _changed_names(source)
    codes = codes_of(source)
    found = [_frame(source, place, kinds, codes, names) for place, kinds in frames.items()]
    return Imported(classes=codes.classes, frames=found)


Place = tuple[Path, str]
"""The folder of a frame and what its files begin with."""


def _frame_files(source: Source) -> dict[Place, dict[str, Path]]:
    """Return the files of each frame by their kind, in lower case."""
    found: dict[Place, dict[str, Path]] = {}
    for path in source.with_ending(".png", ".json"):
        if match := _FILE.fullmatch(path.name):
            found.setdefault((path.parent, match["core"]), {})[match["kind"].lower()] = path
    return found


def _changed_names(source: Source) -> Mapping[str, Any]:
    """Return VIDEO/STEM by the names that an export of ours has changed to those of Cityscapes."""
    for path in source.called(_NAMES)[:1]:
        return read_record(path, expected="names of frames", named=source.shown(path)).values
    return {}


def _frame(
    source: Source,
    place: Place,
    kinds: Mapping[str, Path],
    codes: CityscapesCodes | ListedCodes,
    names: Mapping[str, Any],
) -> ImportedFrame:
    folder, core = place
    draw, path = codes.drawing(source, kinds)
    parts = source.relative(folder).parts
    roots = [n for n, part in enumerate(parts) if re.fullmatch(r"gt(fine|coarse).*", part.lower())]
    below = parts[roots[-1] + 2 :] if roots else parts  # without gtFine/SPLIT
    spellings = ["/".join([*below, core]), core]
    if match := _SEQUENCE.fullmatch(core):
        spellings.insert(0, f"{match['video']}/{match['frame']}")
    if isinstance(changed := names.get(core), str):
        spellings.insert(0, changed)
    name, *also = dict.fromkeys(spellings)
    return ImportedFrame(
        where=source.shown(path), name=name, also=also, draw=draw, picture=_picture(source, below, core)
    )


def _picture(source: Source, below: Sequence[str], core: str) -> Path | None:
    for ending in (".png", ".jpg"):
        for name in (f"{core}_leftImg8bit{ending}", f"{core}{ending}"):
            if found := source.picture("/".join([*below, name])):
                return found
    return None


def write_cityscapes(labelled: Exported, dest: Path, options: ExportOptions) -> Iterator[str]:
    """Write ids, train ids, colours and polygons; with `--instances` also ids of instances.

    Polygons give the same pixels as the ids. Names become those of Cityscapes, CITY_SEQUENCE_FRAME; where
    they are others, frame_names.json says what they were.

    Raises:
        LabelError: A frame has a class that Cityscapes does not have.
    """
    names = FrameNames(labelled)
    changed: dict[str, str] = {}
    unscored: set[str] = set()
    for frame in labelled.frames():
        city, core = names.of(frame)
        if _SEQUENCE.fullmatch(core) and core != f"{frame.video}_{frame.stem}":
            changed[core] = f"{frame.video}/{frame.stem}"
        labels = frame.labels()
        known = _known(labelled, labels, frame)
        unscored |= {label.name for label in known.values() if not label.evaluated}
        folder = dest / "gtFine" / frame.split / city
        _write(folder / f"{core}_gtFine", labels, known)
        if options.instances:
            _write_instances(folder / f"{core}_gtFine_instanceIds.png", labels, known)
        if options.pictures:
            _write_picture(dest / "leftImg8bit" / frame.split / city / f"{core}_leftImg8bit.png", frame)
    if changed:
        text = json.dumps(changed, ensure_ascii=False, indent=1)
        (dest / _NAMES).write_text(text + "\n", encoding="utf-8")
        yield f"{len(changed)} frames have names as in Cityscapes; {_NAMES} says which they were"
    if unscored:
        yield f"the benchmark does not score {shorten(sorted(unscored))}: they have no train id"


def _write_picture(path: Path, frame: ExportedFrame) -> None:
    """Write the picture of a frame as PNG."""
    if frame.picture is not None and frame.picture.suffix.lower() == ".png":
        frame.write_picture(path)
    else:
        write_colors(path, frame.pixels())


def _known(labelled: Exported, labels: Positions, frame: ExportedFrame) -> dict[int, CityscapesLabel]:
    """Return the labels of Cityscapes of the classes that a frame has."""
    found: dict[int, CityscapesLabel] = {}
    for position in np.unique(labels).tolist():
        if position == VOID:
            continue
        name = labelled.classes.names[position]
        if name not in LABELS_BY_NAME or LABELS_BY_NAME[name].id <= 0:
            unknown = [one for one in labelled.classes.names if one not in LABELS_BY_NAME]
            names = [one.name for one in CITYSCAPES_LABELS if one.id > 0]
            raise LabelError(
                f"{frame.video}/{frame.stem} has the class {name!r}, which Cityscapes does not have; the "
                f"classes that it lacks are {shorten(map(repr, unknown or [name]), 12)}; it has "
                f"{shorten(map(repr, names), 40)}; {nearest_name(name, names)}; {mending_option(name)}"
            )
        found[position] = LABELS_BY_NAME[name]
    return found


def _write(base: Path, labels: Positions, known: Mapping[int, CityscapesLabel]) -> None:
    """Write the files of a frame, of which `base` is the name without kind."""
    ids, train_ids = np.zeros(256, np.uint8), np.full(256, VOID, np.uint8)
    colors = np.zeros((256, 3), np.uint8)
    for position, label in known.items():
        ids[position], train_ids[position], colors[position] = label.id, label.train_id, label.color
    write_values(base.with_name(f"{base.name}_labelIds.png"), ids[labels])
    write_values(base.with_name(f"{base.name}_labelTrainIds.png"), train_ids[labels])
    write_colors(base.with_name(f"{base.name}_color.png"), colors[labels])
    h, w = labels.shape
    objects = [
        {
            "label": known[one.position].name if one.position in known else "unlabeled",
            "polygon": one.corners.tolist(),
        }
        for one in outlines(labels)
    ]
    content = {"imgHeight": h, "imgWidth": w, "objects": objects}
    base.with_name(f"{base.name}_polygons.json").write_text(json.dumps(content), encoding="utf-8")


def _write_instances(path: Path, labels: Positions, known: Mapping[int, CityscapesLabel]) -> None:
    """Write ids of labels, and id · 1000 + number for each region of a class that has instances."""
    found = np.zeros(labels.shape, np.uint16)
    for position, label in known.items():
        mask = labels == position
        found[mask] = label.id
        if label.has_instances:
            count, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
            if count <= 1000:  # as many as the benchmark's numbers can hold
                found[mask] = label.id * 1000 + numbers[mask] - 1
    Image.fromarray(found).save(path, format="PNG")


class FrameNames:
    """Gives frames names as Cityscapes has them: CITY_SEQUENCE_FRAME, with six digits for the last two.

    A video CITY_SEQUENCE keeps its name; any other is the sequence 000000 of a city of its own. A frame is
    numbered by its stem where all stems of the video are numbers, else by its place in the video.
    """

    def __init__(self, labelled: Exported) -> None:
        self._cities: dict[str, tuple[str, str]] = {}
        self._by_stem: set[str] = set()
        for video in labelled.videos:
            self._cities[video.name] = self._city(video.name)
            numbers = {int(stem) for stem in video.stems if re.fullmatch(r"[0-9]{1,6}", stem)}
            if len(numbers) == len(video.stems):
                self._by_stem.add(video.name)

    def of(self, frame: ExportedFrame) -> tuple[str, str]:
        """Return the city of a frame, and CITY_SEQUENCE_FRAME."""
        city, sequence = self._cities[frame.video]
        number = int(frame.stem) if frame.video in self._by_stem else frame.number
        return city, f"{city}_{sequence}_{number:06d}"

    def _city(self, video: str) -> tuple[str, str]:
        match = re.fullmatch(r"([^_]+)_([0-9]{6})", video)
        plain = re.sub(r"[\W_]+", "-", match[1] if match else video).strip("-") or "video"
        sequence = match[2] if match else "000000"
        city, further = plain, 2
        while (city, sequence) in self._cities.values():
            city, further = f"{plain}-{further}", further + 1
        return city, sequence


IMPORT_CITYSCAPES = Importer(
    read=read_cityscapes,
    about="a folder or zip in the layout of Cityscapes, also of CVAT and datumaro (label_colors.txt)",
    keeps="the classes of Cityscapes with ids and colours; labelIds, labelTrainIds, polygons or color",
    loses="instances; labels that the benchmark does not score are void unless the project has them",
)
EXPORT_CITYSCAPES = Exporter(
    write=write_cityscapes,
    about="gtFine/SPLIT/CITY/: labelIds, labelTrainIds, color, polygons; instanceIds with --instances",
    keeps="labels, void (0), ids and colours of Cityscapes; for classes that Cityscapes has",
    loses="ids and colours of the project; names of videos and frames become CITY_SEQUENCE_FRAME",
    lossless=True,
)
