"""Score what one key frame alone must label: `warprefine autolabel` of a clip of CamVid, by group of frames.

For each recipe, and for the frames between two key frames and beside them apart: mIoU by distance and the IoU
of the classes whose things enter the picture, with the means over all distances and over the farther half.

Example: python benchmarks/beside.py data/camvid --keyframes 10::21 --recipe default --recipe mine.toml
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from camvid_clip import label, parser_of, runs

from warprefine.metrics.scores import GROUPS, format_percent, mean

_ENTERING = ("Car", "SignSymbol", "Pole")


def rows_of(scores: Mapping[str, Any], classes: Sequence[str]) -> dict[str, list[float | None]]:
    """Return mIoU by distance of all frames and of each group that has some, and the IoU of its classes."""
    rows: dict[str, list[float | None]] = {"all frames": scores["miou_by_distance"]}
    for group in (name for name in GROUPS if name in scores):
        rows[group] = scores[group]["miou_by_distance"]
        by_class = scores[group]["iou_by_class_and_distance"]
        rows |= {f"  {name}, {group}": by_class[name] for name in classes}
    return rows


def table(rows: Mapping[str, Sequence[float | None]]) -> str:
    """Return a line for each row: its values by distance, their mean, and the mean of the farther half."""
    horizon = max(len(values) for values in rows.values())
    half = horizon // 2
    heads = [*(f"k={k}" for k in range(1, horizon + 1)), "mean", f"k>{half}"]
    width = max(map(len, rows))
    lines = [f"{'IoU %':<{width}}" + "".join(f"{head:>7}" for head in heads)]
    for name, values in rows.items():
        cells = [*values, mean(values), mean(values[half:])]
        lines.append(f"{name:<{width}}" + "".join(f"{format_percent(cell):>7}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    """Label with each recipe and print a table for each."""
    parser = parser_of(__doc__)
    parser.add_argument("--classes", nargs="+", default=_ENTERING, help="classes to name")
    options = parser.parse_args()
    for recipe, out in runs(options, "default"):
        scores = label(recipe, options, out)
        print(f"\n{recipe}", *(f"{group}: {what}" for group, what in GROUPS.items()), sep="\n")
        print(table(rows_of(scores, options.classes)))


if __name__ == "__main__":
    main()
