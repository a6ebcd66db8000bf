"""Write the figures of a report as separate files, for a paper or another page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from warprefine.core.parallel import map_in_order, thread_count
from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import write_bytes
from warprefine.io.run import RunFolder
from warprefine.metrics.scores import MethodScores, in_order
from warprefine.propagation.methods import ORACLE
from warprefine.report.chart import CHART_KINDS
from warprefine.report.embed import png
from warprefine.report.gallery import milestones, read_views, showcase
from warprefine.report.panel import draw_panel
from warprefine.report.plots import plot_hard_classes, plot_horizon

_MOST_CLIPS = 20
_WIDEST = 480  # pixels of a frame in a panel


def write_figures(
    folder: Path,
    *,
    run: RunFolder,
    dataset: Dataset,
    scores: Mapping[str, MethodScores],
    methods: Sequence[str],
    horizon: int,
) -> None:
    """Write mIoU against distance, the hardest classes, and a panel of each clip (of 20 at most).

    The first two are figures 1 and 5 of the paper, as PNG and as SVG, and need scores; the panels are
    its figure 6, as PNG. The oracle is left out: it is right by definition.
    """
    shown = [method for method in in_order(methods) if method != ORACLE]
    if not shown:
        return
    measured = {method: scores[method] for method in shown if method in scores}
    for kind in CHART_KINDS if measured else ():
        write_bytes(folder / f"miou-by-distance.{kind}", plot_horizon(measured, kind=kind))
        write_bytes(folder / f"hard-classes.{kind}", plot_hard_classes(measured, dataset.classes, kind=kind))

    def panel(video: Video) -> bytes | None:
        unit = showcase(video, horizon)
        if unit is None:
            return None
        frames = milestones(video, unit, horizon)
        views = read_views(run, dataset, video, frames=frames, methods=shown, most_w=_WIDEST)
        return png(draw_panel(views, dataset.classes, methods=shown))

    clips = dataset.videos[:_MOST_CLIPS]
    for video, picture in zip(clips, map_in_order(panel, clips, threads=thread_count()), strict=True):
        if picture is not None:
            write_bytes(folder / f"{video.name}.png", picture)
