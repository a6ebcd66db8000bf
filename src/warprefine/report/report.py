"""Write the report of a run: one HTML file with every number and picture in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from warprefine.core.names import counted
from warprefine.core.parallel import map_in_order, thread_count
from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import write_text
from warprefine.io.run import RunFolder
from warprefine.metrics.confidences import key_frame_shares, measure_confidence
from warprefine.metrics.scores import MethodScores, in_order
from warprefine.propagation.coverage import coverage
from warprefine.propagation.methods import ORACLE
from warprefine.propagation.units import Unit, stepwise_units
from warprefine.report import sections, trust
from warprefine.report.coverage_strips import coverage_section
from warprefine.report.gallery import milestones, read_views, showcase, surroundings
from warprefine.report.plots import Curve
from warprefine.report.sections import Clip, Extent
from warprefine.report.trust import Believed
from warprefine.report.viewer import viewer_data

_MOST_CLIPS = 6
_MOST_GAPS = 40  # videos with frames out of reach that are listed
# Together these keep the report of large videos below 15 MB.
_MOST_FRAMES = 48
_MOST_FRAME_W = 720


def write_report(
    path: Path,
    *,
    dataset: Dataset,
    run: RunFolder,
    scores: Mapping[str, MethodScores] | None,
    facts: Mapping[str, str],
    recipe_toml: str,
    methods: Sequence[str],
    horizon: int,
    curves: Mapping[str, Curve] | None = None,
    believed: Believed | None = None,
) -> None:
    """Write a self-contained HTML page: scores, label maps and the settings of the run.

    Args:
        scores: The result of `evaluate` with its default rules; None where there is no truth, which shows
            confidence instead.
        facts: Further lines for the table of settings, such as the chosen tau; name -> value.
        recipe_toml: The resolved recipe, shown as it is; may be empty.
        methods: The methods to show; their labels are read from `run`. The oracle, which is the truth
            itself, is left out.
        curves: Training curves; name -> points.
        believed: How far labels can be believed; None leaves that out.

    Raises:
        RunFolderError: A frame to be shown has no labels yet, or the page cannot be written.
    """
    methods = [method for method in in_order(methods) if method != ORACLE]
    extent = _extent(dataset, horizon)
    competing = {method: s for method, s in (scores or {}).items() if method != ORACLE}
    if competing:
        quality = sections.quality(competing, dataset.classes, extent)
    else:
        measured = measure_confidence(run, dataset, methods=methods, horizon=horizon)
        quality = sections.confidence(measured, dataset.classes, extent, by_hand=key_frame_shares(dataset))
    units = [(video, unit) for video in dataset.videos if (unit := showcase(video, horizon)) is not None]
    clips = _clips(run, dataset, units[:_MOST_CLIPS], methods=methods, horizon=horizon) if methods else []
    left_out = len(units) - len(clips)
    viewer = _static("viewer.html")
    body = [
        quality,
        trust.section(believed or Believed()),
        coverage_section(dataset.videos, horizon),
        sections.pictures(clips, dataset.classes, methods=methods, left_out=left_out, viewer=viewer),
        sections.settings({**_facts(dataset, methods, extent), **facts}, recipe_toml, curves or {}),
    ]
    page = Template(_static("report.html")).substitute(
        title=escape(dataset.root.resolve().name),
        summary=escape(sections.summary(extent)),
        css=_static("report.css"),
        script=_static("viewer.js"),
        body="\n".join(body),
        viewer_data=viewer_data([(c.name, c.views) for c in clips], dataset.classes, methods=methods),
    )
    write_text(path, page)


def _extent(dataset: Dataset, horizon: int) -> Extent:
    labelled = [(v, k) for v in dataset.videos for unit in stepwise_units(v, horizon) for k in unit.frames]
    return Extent(
        videos=len(dataset.videos),
        key_frames=sum(len(video.key_frames) for video in dataset.videos),
        labelled=len(labelled),
        with_truth=sum(frame in video.truth for video, frame in labelled),
        horizon=horizon,
        coverage=tuple(coverage(video, horizon) for video in dataset.videos),
    )


def _facts(dataset: Dataset, methods: Sequence[str], extent: Extent) -> dict[str, str]:
    return {
        "Data set": str(dataset.root),
        "Classes": str(len(dataset.classes)),
        "Horizon": f"{counted(extent.horizon, 'frame')} before and after a key frame",
        "Frames with ground truth": str(extent.with_truth),
        "Methods": ", ".join(methods),
        **{f"Out of reach in {one.video}": str(one) for one in extent.gaps[:_MOST_GAPS]},
    }


def _clips(
    run: RunFolder,
    dataset: Dataset,
    units: Sequence[tuple[Video, Unit]],
    *,
    methods: Sequence[str],
    horizon: int,
) -> list[Clip]:
    """Read what is shown of each video: a walk from a key frame in its panel, all of it in the viewer."""

    def clip_of(shown: tuple[Video, Unit]) -> Clip:
        video, unit = shown
        marked = milestones(video, unit, horizon)
        around = surroundings(video, horizon, most=_MOST_FRAMES // len(units))
        frames = sorted({*around, *marked})
        views = read_views(run, dataset, video, frames=frames, methods=methods, most_w=_MOST_FRAME_W)
        return Clip(name=video.name, views=views, milestones=marked)

    return [*map_in_order(clip_of, units, threads=thread_count())]


def _static(name: str) -> str:
    return (files("warprefine.report") / "static" / name).read_text(encoding="utf-8").rstrip("\n")
