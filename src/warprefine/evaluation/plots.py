"""Draw scores as charts: PNG, legible at a glance, one colour per method everywhere.

The colours of the paper's methods are those of Okabe and Ito (2008), which people with any form of
colour blindness can tell apart: cool for earlier work, warm for warp-inpaint and warp-refine. Markers
and direct labels say the same again without colour.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from warprefine.core.classes import ClassSet
from warprefine.evaluation.scores import MethodScores, hardest_classes, in_order
from warprefine.propagation.methods import ORACLE

_METHOD_STYLES = {
    "motion-only": ("#0072B2", "o"),
    "semantic-only": ("#56B4E9", "s"),
    "warp-inpaint": ("#E69F00", "^"),
    "warp-refine": ("#D55E00", "D"),
    ORACLE: ("#8C8C8C", "*"),
}
_FURTHER_STYLES = (("#009E73", "v"), ("#882255", "P"), ("#7A5FD0", "X"))
_DPI = 200

Curve: TypeAlias = Sequence[tuple[int | float, float]]
"""Points (step, value) of a training curve."""


@dataclass(frozen=True, kw_only=True)
class Theme:
    """The colours of a chart apart from its data."""

    paper: str
    ink: str
    muted: str
    grid: str


LIGHT = Theme(paper="#ffffff", ink="#1c1e21", muted="#5f6670", grid="#e3e5e8")
DARK = Theme(paper="#1b1d21", ink="#e8e9ec", muted="#a0a6b0", grid="#34383f")


def method_color(method: str, methods: Sequence[str]) -> str:
    """Return the colour of a method, as #rrggbb; one that is not the paper's gets a spare colour."""
    return _style(method, methods)[0]


def plot_horizon(scores: Mapping[str, MethodScores], *, theme: Theme = LIGHT) -> bytes:
    """Draw mIoU against the distance to the key frame, a line per method (the paper's figure 1)."""
    lines = {method: s.miou_by_distance for method, s in scores.items()}
    return _plot_by_distance(lines, ylabel="mIoU (%)", theme=theme)


def plot_confidence(confidences: Mapping[str, Sequence[float | None]], *, theme: Theme = LIGHT) -> bytes:
    """Draw mean confidence against the distance to the key frame, a line per method."""
    return _plot_by_distance(confidences, ylabel="mean confidence (%)", theme=theme)


def plot_hard_classes(
    scores: Mapping[str, MethodScores], classes: ClassSet, *, hardest: int = 6, theme: Theme = LIGHT
) -> bytes:
    """Draw the IoU of the hardest classes, of Ignore and the mIoU, a bar per method (figure 5).

    The hardest classes are those with the lowest mean IoU over the methods. What occurs in neither
    truth nor labels is left out.
    """
    methods = in_order(scores)
    groups = {
        name: [scores[m].iou_by_class[name] for m in methods]
        for name in hardest_classes(scores, classes, most=hardest)
    }
    if any(scores[m].ignore_iou is not None for m in methods):
        groups["Ignore"] = [scores[m].ignore_iou for m in methods]
    groups["mIoU"] = [scores[m].miou for m in methods]

    figure, axes = _canvas(width=max(6.0, 1.3 + 1.15 * len(groups)), height=3.6, theme=theme)
    lefts = np.arange(len(groups)) + np.eye(len(groups))[-1] * 0.25  # the mean stands apart
    width = 0.84 / len(methods)
    for i, method in enumerate(methods):
        centers = lefts + (i - (len(methods) - 1) / 2) * width
        bars = [(x, values[i]) for x, values in zip(centers, groups.values(), strict=True)]
        _draw_bars(
            axes, bars, width=0.9 * width, label=method, color=method_color(method, methods), theme=theme
        )
    axes.set_xticks(lefts, [fill(name, 14) for name in groups])
    axes.tick_params(axis="x", labelcolor=theme.ink)
    axes.set_ylabel("IoU (%)")
    axes.set_ylim(0, 105)
    spacing = {"borderaxespad": 0.3, "handlelength": 1, "handleheight": 1, "columnspacing": 1.6}
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(methods),
        frameon=False,
        labelcolor=theme.ink,
        **spacing,
    )
    return _to_png(figure)


def plot_curves(curves: Mapping[str, Curve], *, theme: Theme = LIGHT) -> bytes:
    """Draw training curves side by side, one small chart each: name -> (step, value) pairs."""
    figure = Figure(figsize=(3.1 * len(curves), 2.3), dpi=_DPI, facecolor=theme.paper, layout="constrained")
    FigureCanvasAgg(figure)
    for i, (name, points) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(1, len(curves), i)
        _dress(axes, theme)
        axes.plot(*zip(*points, strict=True), color="#0072B2", linewidth=1.3)
        axes.set_title(name, loc="left", fontsize=8.5, color=theme.ink)
    return _to_png(figure)


def _plot_by_distance(lines: Mapping[str, Sequence[float | None]], *, ylabel: str, theme: Theme) -> bytes:
    figure, axes = _canvas(width=7.2, height=3.8, theme=theme)
    methods = in_order(lines)
    ends = {}
    for method in methods:
        points = [(float(k), value) for k, value in enumerate(lines[method], start=1) if value is not None]
        if not points:
            continue
        color, marker = _style(method, methods)
        axes.plot(
            *zip(*points, strict=True),
            color=color,
            marker=marker,
            markersize=5.5,
            linewidth=2,
            linestyle="--" if method == ORACLE else "-",
            markeredgecolor=theme.paper,
            markeredgewidth=0.7,
        )
        ends[method] = points[-1]
    axes.set_xlabel("frames from the key frame")
    axes.set_ylabel(ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    axes.margins(x=0.03, y=0.08)
    _label_ends(axes, ends, methods, theme)
    return _to_png(figure)


def _draw_bars(
    axes: Axes,
    bars: Sequence[tuple[float, float | None]],
    *,
    width: float,
    label: str,
    color: str,
    theme: Theme,
) -> None:
    """Draw bars, (centre, height), with their rounded heights above them; none where nothing was measured."""
    measured = [(x, height) for x, height in bars if height is not None]
    axes.bar([x for x, _ in measured], [y for _, y in measured], width=width, color=color, label=label)
    for x, y in measured:
        axes.text(x, y + 1, f"{y:.0f}", ha="center", va="bottom", fontsize=6.5, color=theme.muted)


def _label_ends(
    axes: Axes, ends: Mapping[str, tuple[float, float]], methods: Sequence[str], theme: Theme
) -> None:
    """Write each method's name and last value at the end of its line, moved apart where they would touch."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    heights = move_apart([y for _, y in ends.values()], gap=0.062 * (high - low), low=low, high=high)
    right = axes.get_xlim()[1]
    for (method, (x, y)), height in zip(ends.items(), heights, strict=True):
        axes.annotate(
            f"{method}  {y:.1f}",
            xy=(x, y),
            xytext=(right + 0.02 * (right - axes.get_xlim()[0]), height),
            va="center",
            fontsize=8.5,
            color=theme.ink,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": method_color(method, methods),
                "linewidth": 0.8,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 5,
            },
        )


def move_apart(values: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Move values up or down as little as keeps them `gap` apart, in their order, between low and high."""
    order = np.argsort(values, kind="stable")
    offsets = gap * np.arange(len(values))
    # After taking i * gap from the i-th value, "at least gap apart" means "ascending": the nearest
    # ascending sequence in the least-squares sense is found by pooling neighbours that violate it.
    blocks: list[list[float]] = []
    for value in np.asarray(values, dtype=float)[order] - offsets:
        blocks.append([float(value)])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    ascending = (
        np.concatenate([np.full(len(block), np.mean(block)) for block in blocks]) if blocks else offsets
    )
    placed = np.empty(len(values))
    placed[order] = np.clip(ascending, low, max(low, high - gap * (len(values) - 1))) + offsets
    return [float(value) for value in placed]


def _style(method: str, methods: Sequence[str]) -> tuple[str, str]:
    if method in _METHOD_STYLES:
        return _METHOD_STYLES[method]
    further = [m for m in in_order(methods) if m not in _METHOD_STYLES]
    return _FURTHER_STYLES[further.index(method) % len(_FURTHER_STYLES)]


def _canvas(*, width: float, height: float, theme: Theme) -> tuple[Figure, Axes]:
    """Make a figure of its own, in inches; pyplot's global state stays untouched."""
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=theme.paper, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _dress(axes, theme)
    return figure, axes


def _dress(axes: Axes, theme: Theme) -> None:
    axes.set_facecolor(theme.paper)
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(theme.muted)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=theme.muted)
    axes.xaxis.label.set(color=theme.muted, fontsize=8.5)
    axes.yaxis.label.set(color=theme.muted, fontsize=8.5)


def _to_png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None})
    return picture.getvalue()
