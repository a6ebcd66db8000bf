"""Charts of experiment results with the spread of repeated runs: the paper's table 1 and figure 8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

from matplotlib.axes import Axes

from warprefine.report.chart import (
    LIGHT,
    ChartKind,
    Theme,
    canvas,
    draw_line,
    finish_lines,
    method_color,
    render,
)
from warprefine.report.result_table import Spread

_ROOM = 0.35  # of the range of the values, kept free below and above it


def plot_bars(
    values: Mapping[str, Spread | None],
    *,
    ylabel: str,
    baseline: str | None = None,
    kind: ChartKind = "png",
    theme: Theme = LIGHT,
) -> bytes:
    """Draw a bar for each measured value, with its spread and its number above.

    The axis starts near the lowest value, not at 0, to make small differences visible; compare the ends
    of bars, not their lengths.

    Args:
        values: By name, in the order of the bars; None leaves a gap.
        baseline: Name of the bar to compare with: it is grey, and a dashed line marks its height.
    """
    figure, axes = canvas(width=max(3.6, 1.0 + 1.15 * len(values)), height=3.4, theme=theme)
    measured = {name: spread for name, spread in values.items() if spread is not None}
    low, high = _range(list(measured.values()))
    axes.set_ylim(low, high)
    names = list(values)
    others = [name for name in names if name != baseline]
    for name, spread in measured.items():
        color = theme.muted if name == baseline else method_color(name, others)
        _draw_bar(axes, names.index(name), spread, color=color, height=high - low, theme=theme)
    if baseline is not None and (compared := values[baseline]) is not None:
        axes.axhline(compared.mean, color=theme.muted, linewidth=1, linestyle=(0, (4, 3)), zorder=0.9)
    axes.set_xticks(range(len(names)), [fill(name, 14) for name in names])
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="x", labelcolor=theme.ink)
    axes.set_ylabel(ylabel)
    return render(figure, kind)


def plot_lines(
    lines: Mapping[str, Sequence[tuple[int | float, Spread]]],
    *,
    xlabel: str,
    ylabel: str,
    kind: ChartKind = "png",
    theme: Theme = LIGHT,
) -> bytes:
    """Draw a line of means for each name, in a band of plus and minus one standard deviation.

    Args:
        lines: By name, points (x, value) in the order of x; a line without points is left out.
    """
    figure, axes = canvas(width=7.2, height=3.8, theme=theme)
    ends = []
    for name, points in lines.items():
        if not points:
            continue
        color = method_color(name, list(lines))
        places, means = [x for x, _ in points], [spread.mean for _, spread in points]
        deviations = [spread.deviation or 0.0 for _, spread in points]
        axes.fill_between(
            places,
            [mean - deviation for mean, deviation in zip(means, deviations, strict=True)],
            [mean + deviation for mean, deviation in zip(means, deviations, strict=True)],
            color=color,
            alpha=0.18,
            linewidth=0,
        )
        draw_line(axes, list(zip(places, means, strict=True)), name=name, names=list(lines), theme=theme)
        ends.append((f"{name}  {means[-1]:.2f}", color, (float(places[-1]), means[-1])))
    finish_lines(axes, ends, xlabel=xlabel, ylabel=ylabel, theme=theme)
    return render(figure, kind)


def _range(spreads: Sequence[Spread]) -> tuple[float, float]:
    """Return the limits of the axis: the range of the values and their spreads, with room for text above."""
    lowest = min((s.mean - (s.deviation or 0) for s in spreads), default=0.0)
    highest = max((s.mean + (s.deviation or 0) for s in spreads), default=1.0)
    room = _ROOM * ((highest - lowest) or 1.0)
    return lowest - min(room, lowest if lowest >= 0 else room), highest + room


def _draw_bar(axes: Axes, x: int, spread: Spread, *, color: str, height: float, theme: Theme) -> None:
    axes.bar([x], [spread.mean], width=0.62, color=color)
    top = spread.mean
    if spread.deviation is not None:
        axes.errorbar(
            [x],
            [spread.mean],
            yerr=[spread.deviation],
            fmt="none",
            ecolor=theme.ink,
            elinewidth=1.1,
            capsize=3.5,
        )
        top += spread.deviation
    text = f"{spread.mean:.2f}" + ("" if spread.deviation is None else f"\n± {spread.deviation:.2f}")
    axes.text(
        x,
        top + 0.02 * height,
        text,
        ha="center",
        va="bottom",
        fontsize=7.5,
        color=theme.ink,
        bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 0.6},  # no line may cross the text
    )
