"""Find the cases of `shared/interchange`: what to import, with which options, and what must come out.

Both sets are walked: KIND/CASE/case.md with expected or expected_refusal.json, and
real_tools/KIND/CASE/case.json. A format that is added to `IMPORTERS` finds its cases by `FORMAT_OF`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from warprefine.interchange.imported import ImportOptions
from warprefine.jobs.import_labels import ImportReport, ImportSettings, import_labels

INTERCHANGE = (
    Path(os.environ.get("WARPREFINE_SHARED", Path(__file__).parent.parent.parent.parent / "shared"))
    / "interchange"
)

FORMAT_OF = {
    "camvid": "camvid",
    "cityscapes": "cityscapes",
    "coco": "coco",
    "coco_instances": "coco",
    "coco_panoptic": "coco-panoptic",
    "color_png": "color-png",
    "cvat_images": "cvat-images",
    "cvat_segmentation_mask": "cvat-masks",
    "cvat_smask": "cvat-masks",
    "cvat_video": "cvat-video",
    "datumaro": "datumaro",
    "datumaro_json": "datumaro",
    "encord": "encord",
    "hf_datasets": "huggingface",
    "kitti": "kitti",
    "label_studio": "label-studio",
    "label_video": "video",
    "labelme": "labelme",
    "mmsegmentation": "index-png",
    "pascal_voc": "voc",
    "roboflow_masks": "roboflow-masks",
    "supervisely": "supervisely",
    "supervisely_video": "supervisely-video",
    "ultralytics_semantic": "ultralytics-semantic",
    "v7_darwin": "v7-darwin",
    "voc": "voc",
    "x_anylabeling": "x-anylabeling",
    "yolo_seg": "yolo-seg",
}
"""The format of `warprefine import` for each kind of case."""

NEEDED = {"huggingface": "pyarrow"}
"""Packages that a format needs besides small ones; its tests are skipped where they are missing."""

OUT_ONLY = {"hf_parquet", "yolo_seg"}
"""Kinds of the first set that show what an export may look like."""
NO_COLORS = {"roboflow_masks"}
"""Kinds of the first set whose files hold no colours, though their lists of classes have them."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case: what to import, and what must come out.

    Attributes:
        name: KIND/CASE, with the file where a case has several.
        format: The format of `warprefine import`.
        source: What is imported.
        data: A data set folder to add to; None makes a new one with `frames`.
        frames: A folder of pictures; None where `data` has them.
        names: The classes in the order of the indices of the expected label maps.
        colors: The colour of each class where the format has it.
        expected: Folders VIDEO/STEM.png, each as good as the others.
        may_refuse: An error is right.
        may_import: These label maps are right.
        mentions: Words that the message of an error holds, letter case aside.
        tolerance: Pixels this near to a border between labels may differ.
        ambiguous: A folder VIDEO/STEM.png: where it is 255, any answer is right.
        options: What the user says about the export.
    """

    name: str
    format: str
    source: Path
    data: Path | None = None
    frames: Path | None = None
    names: Sequence[str] = ()
    colors: Sequence[list[int] | None] = ()
    expected: Sequence[Path] = ()
    may_refuse: bool = False
    may_import: bool = True
    mentions: Sequence[str] = ()
    tolerance: int = 0
    ambiguous: Path | None = None
    options: ImportOptions = field(default_factory=ImportOptions)

    def run(self, folder: Path) -> tuple[Path, ImportReport]:
        """Import into a new folder, or a copy of `data`, below `folder`."""
        target = self._target(folder)
        settings = ImportSettings(frames=self._frames(folder), options=self.options)
        return target, import_labels(
            self.format, self.source, target, add=self.data is not None, settings=settings
        )

    def words(self, folder: Path) -> tuple[Path, list[str]]:
        """Return what `run` imports into, and the words of the command line that do the same."""
        target, frames = self._target(folder), self._frames(folder)
        words = ["import", self.format, str(self.source), str(target)]
        words += ["--add"] if self.data is not None else []
        words += ["--frames", str(frames)] if frames is not None else []
        words += ["--video", self.options.video] if self.options.video is not None else []
        words += ["--reduce-zero-label"] if self.options.reduce_zero_label else []
        words += ["--suffix", self.options.suffix] if self.options.suffix else []
        return target, words

    def _target(self, folder: Path) -> Path:
        """Return the folder to import into; a copy of `data` if there is one."""
        if self.data is not None:
            shutil.copytree(self.data, folder / "data", dirs_exist_ok=True)
        return folder / "data"

    def _frames(self, folder: Path) -> Path | None:
        """Return the pictures; grey ones where the set has none for these videos."""
        if self.frames is None or not self.expected:
            return self.frames
        wanted = [path.relative_to(self.expected[0]) for path in sorted(self.expected[0].glob("*/*.png"))]
        if all((self.frames / path).is_file() for path in wanted):
            return self.frames
        for path in wanted:
            with Image.open(self.expected[0] / path) as picture:
                size = picture.size
            (folder / "frames" / path.parent).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, "grey").save(folder / "frames" / path)
        return folder / "frames"


def find_cases() -> list[Case]:
    """Return the cases of both sets; none where they are absent."""
    return [*_first_set(), *_second_set()]


def _first_set() -> Iterator[Case]:
    for path in sorted(INTERCHANGE.glob("*/*/case.md")):
        folder, kind = path.parent, path.parent.parent.name
        if kind in OUT_ONLY:
            continue
        if kind == "hostile":
            kind = path.read_text(encoding="utf-8").split()[1].rstrip(".")
        refusal = (folder / "expected_refusal.json").is_file()
        listed: list[dict[str, Any]] = []
        if not refusal:
            listed = json.loads((folder / "expected_classes.json").read_text(encoding="utf-8"))["classes"]
        for source in _sources(folder / "input"):
            own = source.name if len(_sources(folder / "input")) > 1 else ""
            yield Case(
                name=f"{folder.parent.name}/{folder.name}{own and f'/{own}'}",
                format=FORMAT_OF[kind],
                source=source,
                frames=INTERCHANGE / "frames",
                names=[one["name"] for one in listed],
                colors=[] if kind in NO_COLORS else [one["color"] for one in listed],
                expected=[] if refusal else [folder / "expected"],
                may_refuse=refusal,
                may_import=not refusal,
            )


def _sources(folder: Path) -> list[Path]:
    """Return what a case imports: a single file, each of task.zip and its XML, else the folder."""
    inside = sorted(folder.iterdir())
    names = [path.name for path in inside]
    if names == ["annotations.xml", "task.zip"]:
        return inside
    if "annotations.xml" in names:
        return [folder / "annotations.xml"]
    return inside if len(inside) == 1 and inside[0].is_file() else [folder]


def _second_set() -> Iterator[Case]:
    root = INTERCHANGE / "real_tools"
    for path in sorted(root.glob("*/*/case.json")):
        folder = path.parent
        told = json.loads(path.read_text(encoding="utf-8"))
        kind, config, expect = (
            told.get("format_of_input", told["format"]),
            told.get("config", {}),
            told["expect"],
        )
        suffix = config.get("seg_map_suffix", "")
        rim = 2 if kind in ("yolo_seg", "x_anylabeling", "supervisely") else 1
        others = [folder / told["also_accepted"]] if "also_accepted" in told else []
        yield Case(
            name=f"real_tools/{folder.parent.name}/{folder.name}",
            format=FORMAT_OF[kind],
            source=folder / told["input"],
            data=folder / told["data"] if "data" in told else root / "scene" / "DATA",
            names=told["classes"],
            expected=[folder / "expected", *others] if expect.startswith("maps") else [],
            may_refuse="refuse" in expect,
            may_import="maps" in expect,
            mentions=told.get("error_must_mention", []),
            tolerance=rim if told["compare"] == "tool-rasterizer" else 0,
            ambiguous=folder / told["ambiguous"] if "ambiguous" in told else None,
            options=ImportOptions(
                video=told.get("video"),
                reduce_zero_label=bool(config.get("reduce_zero_label") or told.get("reduce_labels")),
                suffix=suffix if suffix != ".png" else "",
            ),
        )


def near_borders(labels: np.ndarray, distance: int) -> np.ndarray:
    """Return the pixels that are at most so far from a pixel of another label."""
    padded = np.pad(labels, distance, mode="edge")
    h, w = labels.shape
    shifted = [padded[y : y + h, x : x + w] for y in range(2 * distance + 1) for x in range(2 * distance + 1)]
    near: np.ndarray = np.any([other != labels for other in shifted], axis=0)
    return near
