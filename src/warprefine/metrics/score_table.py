"""Print scores as plain text: mIoU by method and distance, of all frames and of those between and beside."""

from __future__ import annotations

from collections.abc import Mapping

from warprefine.metrics.scores import (
    GROUPS,
    Group,
    GroupScores,
    MethodScores,
    best,
    format_percent,
    split,
    spread,
)

_MOST_COLUMNS = 10  # a table of so many distances fits into 80 characters
_HEAD = "mIoU %"


def format_table(scores: Mapping[str, MethodScores]) -> str:
    """Format mIoU by method and distance as plain text; the best of each column has a star.

    Of a long horizon ten distances are shown; the mean is still that of all. Where some frames lie between
    key frames and others beside them, a table of each follows, with a line that says so.

    Example:
        >>> import numpy as np
        >>> from warprefine.core.classes import ClassSet
        >>> classes = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))
        >>> matrices = np.array([[[6, 0, 0], [2, 2, 0], [0, 0, 0]]])
        >>> scores = MethodScores.of(matrices, classes=classes, frames_by_distance=[1])
        >>> print(format_table({"motion-only": scores}))
        mIoU %        k=1  mean
        motion-only  62.5* 62.5*
    """
    lines = _table(scores)
    for group, of_group in split(scores).items():
        lines += ["", group_line(group, scores), *_table(of_group)]
    return "\n".join(line.rstrip() for line in (*lines, *remarks(scores)))


def group_line(group: Group, scores: Mapping[str, MethodScores]) -> str:
    """Return a line that says which frames a group has, and how many.

    Args:
        group: Frames between or beside key frames, of which there are some.
        scores: The scores of each method, all on the same frames.
    """
    of_all = next(iter(scores.values()))
    frames = next(iter(split(scores)[group].values())).frames
    return f"{group} ({frames} of {of_all.frames} frames): {GROUPS[group]}"


def remarks(scores: Mapping[str, MethodScores]) -> list[str]:
    """Return what limits the meaning of the scores, a line each; empty where nothing does.

    Example:
        >>> import numpy as np
        >>> from warprefine.core.classes import ClassSet
        >>> classes = ClassSet(names=("car",), colors=((0, 0, 142),))
        >>> scores = MethodScores.of(np.array([[[2, 0], [9, 0]]]), classes=classes, frames_by_distance=[1])
        >>> scores.miou, len(remarks({"motion-only": scores}))
        (100.0, 1)
    """
    occurring = {name for one in scores.values() for name, iou in one.iou_by_class.items() if iou is not None}
    if len(occurring) != 1:
        return []
    (only,) = occurring
    where = "so labels of it cannot be wrong where the truth is VOID"
    return [f"note: {only!r} is the only class that occurs, {where}; score VOID too (--void-as-class)"]


def _table(scores: Mapping[str, GroupScores]) -> list[str]:
    horizon = max(len(s.miou_by_distance) for s in scores.values())
    columns = {
        f"k={k}": {m: s.miou_by_distance[k - 1] for m, s in scores.items()}
        for k in spread(horizon, most=_MOST_COLUMNS)
    }
    columns["mean"] = {m: s.miou for m, s in scores.items()}
    width = 1 + max(map(len, (_HEAD, *scores)))
    cell_w = {title: max(5, len(title)) for title in columns}
    lines = ["".join([f"{_HEAD:<{width}}", *(f"{title:>{cell_w[title]}} " for title in columns)])]
    winners = {title: best(values) for title, values in columns.items()}
    for method in scores:
        cells = (
            f"{format_percent(values[method]):>{cell_w[title]}}{'*' if method in winners[title] else ' '}"
            for title, values in columns.items()
        )
        lines.append("".join([f"{method:<{width}}", *cells]))
    return lines
