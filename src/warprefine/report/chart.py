"""Shared style of all charts: theme, colour and marker of each method, rendering to PNG or SVG.

The colours of the paper's methods are those of Okabe and Ito (2008), which people with any form of
colour blindness can tell apart: cool for earlier work, warm for warp-inpaint and warp-refine. Markers
and direct labels carry the same information without colour.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from warprefine.metrics.scores import in_order
from warprefine.propagation.methods import ORACLE, PLUS
from warprefine.report.fonts import choose_fonts

ChartKind: TypeAlias = Literal["png", "svg"]
"""PNG looks the same everywhere; SVG stays sharp and its text can be searched and edited."""
CHART_KINDS: tuple[ChartKind, ...] = get_args(ChartKind)

_METHOD_STYLES = {
    "motion-only": ("#0072B2", "o"),
    "semantic-only": ("#56B4E9", "s"),
    "warp-inpaint": ("#E69F00", "^"),
    "warp-refine": ("#D55E00", "D"),
    PLUS: ("#009E73", "P"),
    ORACLE: ("#8C8C8C", "*"),
}
_FURTHER_STYLES = (("#882255", "v"), ("#7A5FD0", "X"), ("#999933", "<"))
_DPI = 200
_MOST_MARKERS = 60  # on a line; more would touch


@dataclass(frozen=True, kw_only=True)
class Theme:
    """The colours of a chart apart from its data: #rrggbb, or #rrggbbaa where the page shines through."""

    paper: str
    ink: str
    muted: str
    grid: str


LIGHT = Theme(paper="#ffffff", ink="#1c1e21", muted="#5f6670", grid="#e3e5e8")
DARK = Theme(paper="#1b1d21", ink="#e8e9ec", muted="#a0a6b0", grid="#34383f")


def method_color(method: str, methods: Sequence[str]) -> str:
    """Return the colour of a method, as #rrggbb; one that is not in `METHODS` gets a spare colour.

    Example:
        >>> method_color("warp-refine", ["motion-only", "warp-refine"])
        '#D55E00'
    """
    return method_style(method, methods)[0]


def method_style(method: str, methods: Sequence[str]) -> tuple[str, str]:
    """Return the colour of a method, as #rrggbb, and its matplotlib marker."""
    if method in _METHOD_STYLES:
        return _METHOD_STYLES[method]
    further = [m for m in in_order(methods) if m not in _METHOD_STYLES]
    return _FURTHER_STYLES[further.index(method) % len(_FURTHER_STYLES)]


def blank_figure(*, width: float, height: float, theme: Theme) -> Figure:
    """Create a figure, size in inches, without touching pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=theme.paper, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def canvas(*, width: float, height: float, theme: Theme) -> tuple[Figure, Axes]:
    """Create a figure with one pair of themed axes, size in inches."""
    figure = blank_figure(width=width, height=height, theme=theme)
    axes = figure.add_subplot()
    apply_theme(axes, theme)
    return figure, axes


def apply_theme(axes: Axes, theme: Theme) -> None:
    """Remove the lines of axes that carry no data, and colour the others."""
    axes.set_facecolor(theme.paper)
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(theme.muted)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=theme.muted)
    axes.xaxis.label.set(color=theme.muted, fontsize=8.5)
    axes.yaxis.label.set(color=theme.muted, fontsize=8.5)


def draw_line(
    axes: Axes, points: Sequence[tuple[int | float, float]], *, name: str, names: Sequence[str], theme: Theme
) -> None:
    """Draw a line through points (x, y) in the style of the method `name`, one of `names`."""
    color, marker = method_style(name, names)
    every = -(-len(points) // _MOST_MARKERS)
    axes.plot(
        *zip(*points, strict=True),
        color=color,
        marker=marker,
        markersize=5.5,
        markevery=every if every > 1 else None,
        linewidth=2 if every == 1 else 1,
        linestyle="--" if name == ORACLE else "-",
        markeredgecolor=theme.paper,
        markeredgewidth=0.7,
    )


def finish_lines(
    axes: Axes,
    ends: Sequence[tuple[str, str, tuple[float, float]]],
    *,
    xlabel: str,
    ylabel: str,
    theme: Theme,
) -> None:
    """Label the axes of a line chart over whole numbers, and the ends of its lines; see `label_ends`."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    axes.margins(x=0.03, y=0.08)
    label_ends(axes, ends, theme)


def label_ends(axes: Axes, ends: Sequence[tuple[str, str, tuple[float, float]]], theme: Theme) -> None:
    """Label the ends of lines, with the labels moved apart where they would overlap.

    Args:
        ends: The label's text, the line's colour, and the point (x, y) at which it ends.
    """
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    heights = move_apart([y for *_, (_, y) in ends], gap=0.062 * (high - low), low=low, high=high)
    left, right = axes.get_xlim()
    for (text, color, point), height in zip(ends, heights, strict=True):
        axes.annotate(
            text,
            xy=point,
            xytext=(right + 0.02 * (right - left), height),
            va="center",
            fontsize=8.5,
            color=theme.ink,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.8,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 5,
            },
        )


def move_apart(values: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Move values as little as keeps them `gap` apart, in their order, between `low` and `high`.

    Example:
        >>> move_apart([50.0, 52.0, 80.0], gap=10.0, low=0.0, high=100.0)
        [46.0, 56.0, 80.0]
    """
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


def render(figure: Figure, kind: ChartKind) -> bytes:
    """Return a figure as a file's bytes, equal for equal figures; text in SVG stays text."""
    choose_fonts(figure)
    content = io.BytesIO()
    # By default matplotlib adds its version, the time and random ids.
    metadata = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}[kind]
    with matplotlib.rc_context({"svg.hashsalt": "warprefine", "svg.fonttype": "none"}):
        figure.savefig(content, format=kind, facecolor=figure.get_facecolor(), metadata=metadata)
    return content.getvalue()
