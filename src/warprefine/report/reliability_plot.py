"""The reliability diagram: how often labels of a confidence are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from warprefine.metrics.calibration import ReliabilityBin
from warprefine.report.chart import LIGHT, ChartKind, Theme, canvas, render

_COLOURS = ("#D55E00", "#0072B2")


def plot_reliability(
    lines: Mapping[str, Sequence[ReliabilityBin]], *, kind: ChartKind = "png", theme: Theme = LIGHT
) -> bytes:
    """Draw accuracy against confidence in percent, a line by name; a dot is as large as its share of pixels.

    Args:
        lines: The bins of up to two confidences, such as raw and calibrated.
        kind: The kind of picture.
        theme: Its colours.
    """
    figure, axes = canvas(width=4.6, height=4.2, theme=theme)
    axes.plot((0, 100), (0, 100), color=theme.muted, linewidth=0.8, linestyle="--")
    for (name, bins), color in zip(lines.items(), _COLOURS, strict=False):
        x, y = [100 * one.confidence for one in bins], [100 * one.accuracy for one in bins]
        sizes = [8 + 120 * one.share for one in bins]
        axes.plot(x, y, color=color, linewidth=1.3, label=name)
        axes.scatter(x, y, s=sizes, color=color)
    axes.set_xlim(0, 102)
    axes.set_ylim(0, 102)
    axes.set_xlabel("confidence (%)")
    axes.set_ylabel("right labels (%)")
    axes.legend(loc="upper left", frameon=False, labelcolor=theme.ink)
    return render(figure, kind)
