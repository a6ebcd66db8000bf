"""Charts of a run's scores and training curves, as PNG or SVG, with one colour per method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes

from warprefine.core.classes import ClassSet
from warprefine.metrics.scores import Group, MethodScores, hardest_classes, in_order
from warprefine.report.chart import (
    LIGHT,
    ChartKind,
    Theme,
    apply_theme,
    blank_figure,
    canvas,
    draw_line,
    finish_lines,
    method_color,
    render,
)
from warprefine.report.fonts import legible_names

Curve: TypeAlias = Sequence[tuple[int | float, float]]
"""Points (step, value) of a training curve."""


def plot_horizon(
    scores: Mapping[str, MethodScores], *, kind: ChartKind = "png", theme: Theme = LIGHT
) -> bytes:
    """Draw mIoU against the distance to the key frame, a line per method (the paper's figure 1)."""
    lines = {method: s.miou_by_distance for method, s in scores.items()}
    return _plot_by_distance(lines, ylabel="mIoU (%)", kind=kind, theme=theme)


def plot_groups(
    lines: Mapping[Group, Sequence[float | None]], *, kind: ChartKind = "png", theme: Theme = LIGHT
) -> bytes:
    """Draw a method's mIoU against the distance, a line for each group of frames: between and beside."""
    by_name: dict[str, Sequence[float | None]] = {f"{group} key frames": of for group, of in lines.items()}
    return _plot_by_distance(by_name, ylabel="mIoU (%)", kind=kind, theme=theme)


def plot_confidence(
    confidences: Mapping[str, Sequence[float | None]], *, kind: ChartKind = "png", theme: Theme = LIGHT
) -> bytes:
    """Draw mean confidence against the distance to the key frame, a line per method."""
    return _plot_by_distance(confidences, ylabel="mean confidence (%)", kind=kind, theme=theme)


def plot_hard_classes(
    scores: Mapping[str, MethodScores],
    classes: ClassSet,
    *,
    hardest: int = 6,
    names: Sequence[str] = (),
    kind: ChartKind = "png",
    theme: Theme = LIGHT,
) -> bytes:
    """Draw the IoU of the hardest classes, of Ignore and the mIoU, a bar per method (figure 5).

    The hardest classes are those with the lowest mean IoU over the methods. Classes in neither truth
    nor predictions are left out.

    Args:
        scores: By method.
        classes: The classes.
        hardest: How many classes are drawn.
        names: Classes to draw instead.
        kind: PNG or SVG.
        theme: Colours.
    """
    methods = in_order(scores)
    shown = legible_names(classes)
    groups = {
        shown[name]: [scores[m].iou_by_class[name] for m in methods]
        for name in names or hardest_classes(scores, classes, most=hardest)
    }
    if any(scores[m].ignore_iou is not None for m in methods):
        groups["Ignore"] = [scores[m].ignore_iou for m in methods]
    groups["mIoU"] = [scores[m].miou for m in methods]

    figure, axes = canvas(width=max(6.0, 1.3 + 1.15 * len(groups)), height=3.6, theme=theme)
    lefts = np.arange(len(groups)) + np.eye(len(groups))[-1] * 0.25  # set the mean apart
    width = 0.84 / len(methods)
    for i, method in enumerate(methods):
        centers = lefts + (i - (len(methods) - 1) / 2) * width
        bars = [(x, values[i]) for x, values in zip(centers, groups.values(), strict=True)]
        _draw_bars(
            axes, bars, width=0.9 * width, label=method, color=method_color(method, methods), theme=theme
        )
    # A dollar sign would begin a formula.
    axes.set_xticks(lefts, [fill(name, 14).replace("$", r"\$") for name in groups])
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
    return render(figure, kind)


def plot_curves(curves: Mapping[str, Curve], *, kind: ChartKind = "png", theme: Theme = LIGHT) -> bytes:
    """Draw training curves side by side, one small chart each: name -> (step, value) pairs."""
    figure = blank_figure(width=3.1 * len(curves), height=2.3, theme=theme)
    for i, (name, points) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(1, len(curves), i)
        apply_theme(axes, theme)
        axes.plot(*zip(*points, strict=True), color="#0072B2", linewidth=1.3)
        axes.set_title(name, loc="left", fontsize=8.5, color=theme.ink)
    return render(figure, kind)


def _plot_by_distance(
    lines: Mapping[str, Sequence[float | None]], *, ylabel: str, kind: ChartKind, theme: Theme
) -> bytes:
    figure, axes = canvas(width=7.2, height=3.8, theme=theme)
    methods = in_order(lines)
    ends = []
    for method in methods:
        points = [(float(k), value) for k, value in enumerate(lines[method], start=1) if value is not None]
        if not points:
            continue
        draw_line(axes, points, name=method, names=methods, theme=theme)
        ends.append((f"{method}  {points[-1][1]:.1f}", method_color(method, methods), points[-1]))
    finish_lines(axes, ends, xlabel="frames from the key frame", ylabel=ylabel, theme=theme)
    return render(figure, kind)


def _draw_bars(
    axes: Axes,
    bars: Sequence[tuple[float, float | None]],
    *,
    width: float,
    label: str,
    color: str,
    theme: Theme,
) -> None:
    """Draw bars, (centre, height), with their rounded heights above them; None leaves a gap."""
    measured = [(x, height) for x, height in bars if height is not None]
    axes.bar([x for x, _ in measured], [y for _, y in measured], width=width, color=color, label=label)
    for x, y in measured:
        axes.text(x, y + 1, f"{y:.0f}", ha="center", va="bottom", fontsize=6.5, color=theme.muted)
