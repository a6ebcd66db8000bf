"""Read and write Label Studio: JSON and JSON-MIN, with brushes, bitmasks, polygons, boxes and ellipses.

A task is a picture, and may have several annotations: the one marked as ground truth counts, else the one
that was changed last; cancelled ones, drafts and predictions never do. Later regions lie on top. Shapes are
in percent of the picture, and drawn as pycocotools draws them, as in Label Studio's own export to COCO.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from warprefine.core.errors import DatasetError, shorten
from warprefine.interchange.embedded import empty_map
from warprefine.interchange.exported import Exported, ExportedFrame, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import ClassList, Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.label_studio_brush import brush_of_mask
from warprefine.interchange.label_studio_config import Config, read_config, write_config
from warprefine.interchange.label_studio_region import Region, check_region, region_mask, regions_of
from warprefine.interchange.label_studio_task import field_of_picture, picture_name
from warprefine.interchange.records import Record, read_json_file, records
from warprefine.interchange.shapes import class_masks
from warprefine.interchange.shapes import regions as connected_regions
from warprefine.interchange.source import Source

_EXPECTED = "a list of tasks, as Label Studio's exports JSON and JSON-MIN have it"
_CONFIGS = ("label_config.xml", "labeling_config.xml", "config.xml")
_ANNOTATIONS = ("annotations", "completions")
_CONTROL, _PICTURE = "tag", "image"


@dataclass(kw_only=True)
class _Counts:
    """What is worth a note, by the tasks or regions that it is true of."""

    several: list[str] = field(default_factory=list)
    unlabelled: int = 0
    without_label: int = 0
    without_area: int = 0
    mixed: int = 0


@dataclass(frozen=True, kw_only=True)
class _Export:
    """What is collected while an export is read."""

    classes: ClassList
    config: Config | None
    counts: _Counts = field(default_factory=_Counts)


def read_label_studio(source: Source, options: ImportOptions) -> Imported:
    """Read an export of Label Studio; label_config.xml beside it gives the order and colours of the classes.

    Raises:
        DatasetError: It is no such export, is of videos or turned pictures, or has regions of several labels.
    """
    del options
    path = _tasks(source)
    named = source.shown(path)
    content = read_json_file(path, expected=_EXPECTED)
    content = [content] if isinstance(content, dict) else content
    if not isinstance(content, list):
        raise DatasetError(f"{named} holds a {type(content).__name__}; expected {_EXPECTED}; export it again")
    classes = ClassList(where=named)
    export = _Export(classes=classes, config=_config(source, path, classes))
    frames = []
    for task, annotation in _annotated(list(records(content, f"{named}, task")), export.counts):
        frame = _frame(task, annotation, export, picture=source.picture)
        frames += [frame] if frame is not None else []
    return Imported(classes=classes.found, frames=frames, notes=list(_notes(named, export.counts)))


def _tasks(source: Source) -> Path:
    found = source.with_ending(".json")
    masks = [path for path in source.with_ending(".png", ".npy") if path.name.startswith("task-")]
    if not found and masks:
        raise DatasetError(
            f"{source.path} holds masks such as {source.shown(masks[0])}, which name no pictures: only their "
            "tasks do; expected the JSON export, which has the masks as well; export again as JSON"
        )
    return source.only(found, expected=_EXPECTED)


def _config(source: Source, path: Path, classes: ClassList) -> Config | None:
    """Read the labelling configuration beside the tasks, if there is one."""
    beside = [path.parent / name for name in _CONFIGS]
    found = [one for one in (*beside, *source.called(*_CONFIGS)) if one.is_file() and not one.is_symlink()]
    return read_config(found[0], classes, named=source.shown(found[0])) if found else None


def _annotated(tasks: Sequence[Record], counts: _Counts) -> Iterator[tuple[Record, Record]]:
    """Yield the tasks that have an annotation, and the one that counts."""
    short: dict[object, list[Record]] = {}
    for task in tasks:
        if not task.has("data"):
            short.setdefault(json.dumps(task.values.get("id", task.where)), []).append(task)
            continue
        key = next((key for key in _ANNOTATIONS if task.has(key)), _ANNOTATIONS[0])
        named = f"{task.where}, annotation"
        made = list(records(task.listed(key, []), named))
        valid = [one for one in made if not (one.values.get("was_cancelled") or one.values.get("skipped"))]
        if valid:
            yield task, _chosen(task, valid, counts)
        else:
            counts.unlabelled += 1
    for group in short.values():  # JSON-MIN: a record for each annotation, with the fields of the task in it
        chosen = _chosen(group[0], group, counts)
        yield chosen, chosen


def _chosen(task: Record, annotations: Sequence[Record], counts: _Counts) -> Record:
    if len(annotations) == 1:
        return annotations[0]
    marked = [one for one in annotations if one.values.get("ground_truth") is True]
    if len(marked) == 1:
        counts.several.append(task.where)
        return marked[0]
    times = [(_time(one), one) for one in marked or annotations]
    last = max(time for time, _ in times)
    newest = [one for time, one in times if time == last]
    if len(newest) > 1:
        task.refuse(
            f"has several annotations ({len(annotations)}) of the same time; expected one, or one marked as "
            "ground truth",
            cure="cancel the others, or mark the right one in Label Studio",
        )
    counts.several.append(task.where)
    return newest[0]


def _time(annotation: Record) -> datetime:
    """Return when an annotation was changed last.

    Raises:
        DatasetError: It has no time.
    """
    for key in ("updated_at", "created_at"):
        value = annotation.values.get(key)
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return datetime.fromtimestamp(value, UTC)
            if isinstance(value, str):
                found = datetime.fromisoformat(value)
                return found if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, OverflowError, OSError):
            continue
    return annotation.refuse(
        "is one of several annotations of its task, without a time; expected updated_at, to choose the last"
    )


def _frame(
    task: Record, annotation: Record, export: _Export, *, picture: Callable[[str], Path | None]
) -> ImportedFrame | None:
    """Return the frame of a task; None if its annotation labels nothing."""
    counts = export.counts
    spelled = field_of_picture(task, export.config.picture if export.config else None)
    name, also = picture_name(spelled)
    where = f"{task.where} {spelled[-200:]!r}"
    found = regions_of(annotation, where=where)
    shapes: list[tuple[int, Region]] = []
    for region in found:
        if region.kind is None:
            counts.without_area += bool(region.labels)
        elif not region.labels:
            counts.without_label += 1
        else:
            check_region(region)
            shapes.append((_position(region, export), region))
    counts.mixed += annotation is task and len({region.control for _, region in shapes}) > 1
    if not shapes:
        counts.unlabelled += 1
        return None
    sizes = {region.size for _, region in shapes if region.size is not None}
    if len(sizes) > 1:
        named = Record(task.values, where)
        named.refuse(
            f"has regions of pictures of several sizes, {shorten(sorted(sizes))} (h, w); expected one"
        )
    return ImportedFrame(
        where=where,
        name=name,
        also=also,
        size=sizes.pop() if sizes else None,
        draw=partial(_draw, shapes),
        picture=picture(name),
    )


def _position(region: Region, export: _Export) -> int:
    classes, config = export.classes, export.config
    if len(region.labels) > 1:
        region.value.refuse(
            f"has the labels {shorten(map(repr, region.labels))}; expected one, as a pixel has one class",
            cure="take the others away in Label Studio",
        )
    if config is not None and not classes.has(region.labels[0]):
        region.value.refuse(
            f"has the label {region.labels[0]!r}, which {config.named} does not list; expected one of its "
            f"labels {shorten(repr(one.name) for one in classes.found)}",
            cure=f"copy the configuration again, or take {config.named} away",
        )
    return classes.position(region.labels[0])


def _draw(shapes: Sequence[tuple[int, Region]], size: tuple[int, int]) -> Positions:
    labels = empty_map(size)
    for position, region in shapes:
        labels[region_mask(region, size)] = position
    return labels


def _notes(named: str, counts: _Counts) -> Iterator[str]:
    if counts.several:
        yield (
            f"{named}: {len(counts.several)} tasks have several annotations, of which the ground truth or "
            f"the last was taken: {shorten(counts.several)}"
        )
    if counts.unlabelled:
        yield f"{named}: {counts.unlabelled} tasks have no annotation with areas, and get no label map"
    if counts.without_label:
        yield f"{named}: {counts.without_label} regions have no label and stay void"
    if counts.without_area:
        yield f"{named}: {counts.without_area} results with labels have no area and are left out"
    if counts.mixed:
        yield (
            f"{named}: {counts.mixed} tasks have regions of several tags; JSON-MIN does not say which "
            "of those lies on top, JSON does"
        )


def write_label_studio(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write label_config.xml, and tasks.json with a brush stroke for each class of a picture, or region."""
    write_config(dest / "label_config.xml", labelled.classes, control=_CONTROL, picture=_PICTURE)
    folder = "images/" if options.pictures else ""
    with (dest / "tasks.json").open("w", encoding="utf-8") as file:
        file.write("[")
        for number, frame in enumerate(labelled.frames(), start=1):
            file.write(",\n" if number > 1 else "\n")
            result = list(_results(frame, labelled, options))
            task: dict[str, Any] = {
                "id": number,
                "data": {_PICTURE: f"/data/local-files/?d={quote(f'{folder}{frame.path}')}"},
                # A frame without labels is a task that waits for somebody.
                "annotations": [{"id": number, "was_cancelled": False, "result": result}] if result else [],
                "predictions": [],
            }
            json.dump(task, file, ensure_ascii=False, separators=(",", ":"))
            if options.pictures:
                frame.write_picture(dest / folder / frame.path)
        file.write("\n]\n")
    note = (
        "make a project with label_config.xml as its labelling interface, serve the pictures as local files"
    )
    return [f"{note}, and import tasks.json"]


def _results(frame: ExportedFrame, labelled: Exported, options: ExportOptions) -> Iterator[dict[str, Any]]:
    labels = frame.labels()
    h, w = frame.size
    masks = connected_regions(labels) if options.instances else class_masks(labels)
    for number, (position, mask) in enumerate(masks):
        yield {
            "id": f"r{number}",
            "from_name": _CONTROL,
            "to_name": _PICTURE,
            "type": "brushlabels",
            "origin": "manual",
            "original_width": w,
            "original_height": h,
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": brush_of_mask(mask),
                "brushlabels": [labelled.classes.names[position]],
            },
        }


IMPORT_LABEL_STUDIO = Importer(
    read=read_label_studio,
    about="a JSON or JSON-MIN export, or a folder or zip with one; label_config.xml beside it",
    keeps="brushes, bitmasks, polygons, boxes, ellipses, later ones on top; colours of label_config.xml",
    loses="all annotations of a task but one, predictions, drafts, soft edges of strokes (half decides)",
)
EXPORT_LABEL_STUDIO = Exporter(
    write=write_label_studio,
    about="tasks.json with brush strokes, and label_config.xml",
    keeps="labels, void (no stroke), class names and colours",
    loses="ids",
    lossless=True,
)
