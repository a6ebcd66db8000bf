"""Sections of the report as HTML; names and texts from outside are escaped."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape

from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.core.errors import shorten
from warprefine.core.names import counted
from warprefine.core.parallel import map_in_order, thread_count
from warprefine.metrics.boundaries import BOUNDARY_TOLERANCE
from warprefine.metrics.confidences import ConfidenceStatistics
from warprefine.metrics.score_table import group_line
from warprefine.metrics.scores import GroupScores, MethodScores, format_percent, leading, split
from warprefine.propagation.coverage import Coverage
from warprefine.report import embed, plots, tables
from warprefine.report.chart import DARK, LIGHT, Theme
from warprefine.report.gallery import View
from warprefine.report.panel import draw_panel
from warprefine.report.plots import Curve

_PANEL_QUALITY = 88
# A transparent background, and one grey that is legible on a light page and on a dark one.
_EITHER = Theme(paper="#00000000", ink="#7b818b", muted="#7b818b", grid="#7b818b")


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Numbers of videos and frames of a run."""

    videos: int
    key_frames: int
    labelled: int
    with_truth: int
    horizon: int
    coverage: Sequence[Coverage] = ()

    @property
    def gaps(self) -> list[Coverage]:
        """The videos with frames out of reach of all key frames."""
        return [one for one in self.coverage if one.out_of_reach]


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """The frames that are shown of one video; the panel has those whose numbers are `milestones`."""

    name: str
    views: Sequence[View]
    milestones: Sequence[int]


def summary(extent: Extent) -> str:
    """Return the numbers of hand-labelled and automatically labelled frames as one sentence."""
    left_out = sum(len(one.out_of_reach) for one in extent.gaps)
    gaps = f" {counted(left_out, 'frame')} out of reach." if left_out else ""
    return (
        f"{counted(extent.key_frames, 'key frame')} in {counted(extent.videos, 'video')}, "
        f"labelled by hand; {counted(extent.labelled, 'frame')} labelled automatically, "
        f"at most {counted(extent.horizon, 'frame')} from a key frame.{gaps}"
    )


def quality(scores: Mapping[str, MethodScores], classes: ClassSet, extent: Extent) -> str:
    """Return the scores: headline, by distance, over all distances, by class."""
    by_distance = {method: s.miou_by_distance for method, s in scores.items()}
    means = {method: s.miou for method, s in scores.items()}
    horizon_chart = _chart(lambda theme: plots.plot_horizon(scores, theme=theme), "mIoU by distance")
    class_chart = _chart(
        lambda theme: plots.plot_hard_classes(scores, classes, theme=theme), "IoU of the hardest classes"
    )
    return f"""{_headline(means, by_distance, extent)}
<section>
<h2>mIoU by distance</h2>
<p>Mean intersection over union (mIoU) on {counted(extent.with_truth, "frame")} with ground truth, which was
not used for labelling, by distance to the key frame in frames.</p>
{horizon_chart}
{_distances(scores)}
<h3>All distances</h3>
{tables.totals_table(scores)}
<p class="note">In percent; the best value of each column is bold. mIoU is the mean over the distances; the
other scores are computed from the pixels of all frames together, not averaged over images. Pixels without a
class in the ground truth are not scored; a pixel without a class in the prediction is an error. A class that
occurs in neither is left out of the mean. Boundary F: harmonic mean of precision and recall of the class
boundaries, matched within {100 * BOUNDARY_TOLERANCE:g} % of the image diagonal. Consistency: mIoU with the
method's own labels of the previous frame, warped by optical flow.</p>
</section>
{_between_and_beside(scores, classes)}<section>
<h2>Hardest classes</h2>
<p>The classes with the lowest IoU over all distances. They are often thin, small or rare.</p>
{class_chart}
<h3>All classes</h3>
{tables.class_table(scores, classes)}
</section>"""


def _between_and_beside(scores: Mapping[str, MethodScores], classes: ClassSet) -> str:
    """Return the scores of the frames between and beside key frames apart; nothing without both."""
    groups = split(scores)
    if not groups:
        return ""
    chosen = leading(scores)
    lines = {group: of_group[chosen].miou_by_distance for group, of_group in groups.items()}
    chart = _chart(
        lambda theme: plots.plot_groups(lines, theme=theme), f"mIoU of {chosen} between and beside key frames"
    )
    parts = "".join(
        f"""<h3>{group.capitalize()} key frames</h3>
<p>{escape(group_line(group, scores))}.</p>
{_distances(of_group)}
{tables.class_table(of_group, classes)}
"""
        for group, of_group in groups.items()
    )
    return f"""<section>
<h2>Between and beside key frames</h2>
<p>A frame between two key frames can be labelled from both, and one of them has most of what it shows. Beside
them there are key frames on one side only: what enters the picture is in none of them and must be recognised.
The chart shows {escape(chosen)}.</p>
{chart}
{parts}</section>
"""


def _distances(scores: Mapping[str, GroupScores]) -> str:
    by_distance = {method: s.miou_by_distance for method, s in scores.items()}
    means = {method: s.miou for method, s in scores.items()}
    return tables.distance_table(by_distance, means, mark_best=True)


def confidence(
    measured: Mapping[str, ConfidenceStatistics],
    classes: ClassSet,
    extent: Extent,
    *,
    by_hand: Mapping[str, float],
) -> str:
    """Return the mean confidence of each method, for data without truth: headline, by distance, by class.

    Args:
        measured: By method; methods without confidence are left out.
        by_hand: The share of each class in the key labels, in percent.
    """
    if not measured:
        return ""
    means = {method: of_method.mean for method, of_method in measured.items()}
    by_distance = {method: of_method.by_distance for method, of_method in measured.items()}
    chart = _chart(
        lambda theme: plots.plot_confidence(by_distance, theme=theme), "mean confidence by distance"
    )
    return f"""{_confidence_headline(measured, extent, by_hand=by_hand)}
<section>
<h2>Confidence by class</h2>
<p>No frame has ground truth, so the labels cannot be scored. Confidence is each method's own estimate for its
labels; it does not measure their quality, and a mean over pixels is that of the most common classes. A class
that has far fewer pixels in the labels than by hand is probably missed. To measure quality, hold back some
labelled frames as ground truth; <code>warprefine evaluate RUN --hold-out</code> estimates it without any.</p>
{tables.confidence_table(measured, classes, by_hand=by_hand)}
<p class="note">Mean confidence of the pixels that have the label of a class, and the shares of the class in
all pixels of the key frames and of the labels, in percent.</p>
</section>
<section>
<h2>Confidence by distance</h2>
<p>Mean over all pixels, by distance to the key frame in frames.</p>
{chart}
{tables.distance_table(by_distance, means, mark_best=False)}
</section>"""


def pictures(
    clips: Sequence[Clip], classes: ClassSet, *, methods: Sequence[str], left_out: int, viewer: str
) -> str:
    """Return the label maps: the frame viewer's HTML, and a panel for each clip."""
    if not clips:
        return ""
    drawn = map_in_order(partial(_panel, classes, methods), clips, threads=thread_count())
    panels = "".join(
        f'<figure class="panel"><figcaption>{escape(clip.name)}</figcaption>{panel}</figure>\n'
        for clip, panel in zip(clips, drawn, strict=True)
    )
    more = f" {counted(left_out, 'further video')} not shown." if left_out else ""
    scored = any(view.truth is not None and view.distance for clip in clips for view in clip.views)
    shown = "Errors and confidence are those" if scored else "Confidence is that"
    return f"""<section class="screen">
<h2>Frame viewer</h2>
<p>Labels, errors or confidence over the frame, pixel for pixel. Point at a pixel to read its class.
The frames are those around every key frame, spread over the video if there are many.</p>
{viewer}
{tables.legend(classes)}
</section>
<section>
<h2>Side by side</h2>
<p>Frames near, halfway and far from the key frame. {shown} of {escape(leading(methods))}.
Click a picture to view it at full size.{more}</p>
</section>
{panels}"""


def settings(facts: Mapping[str, str], recipe_toml: str, curves: Mapping[str, Curve]) -> str:
    """Return the settings of the run: facts, training curves, recipe."""
    chart = ""
    if curves:
        drawn = _chart(lambda theme: plots.plot_curves(curves, theme=theme), "training curves")
        chart = f"<h3>Training curves</h3>{drawn}"
    recipe = (
        f"<details><summary>Recipe</summary><pre>{escape(recipe_toml)}</pre></details>" if recipe_toml else ""
    )
    return f"""<section>
<h2>Settings</h2>
{tables.facts_list(facts)}
{chart}
{recipe}
</section>"""


def _headline(
    means: Mapping[str, float | None], by_distance: Mapping[str, Sequence[float | None]], extent: Extent
) -> str:
    """Return the most important scores in large type, with the lead over the best other method."""
    chosen = leading(by_distance)
    ends = [(k, value) for k, value in enumerate(by_distance[chosen], start=1) if value is not None]
    figures = [(f"{format_percent(means[chosen])} %", f"mIoU of {chosen}, mean over all distances")]
    rivals = {m: v for m, v in means.items() if v is not None and m != chosen}
    own = means[chosen]
    if rivals and own is not None:
        rival = max(rivals, key=lambda method: rivals[method])
        lead = f"{own - rivals[rival]:+.1f}".replace("-", "−")
        figures.append((lead, f"percentage points compared with {rival}, the best other method"))
    if ends:
        k, value = ends[-1]
        distance = f"{counted(k, 'frame')} from the key frame, the farthest"
        figures.append((f"{format_percent(value)} %", f"mIoU of {chosen} {distance}"))
    return _large([*figures, *_gain(extent)])


def _confidence_headline(
    measured: Mapping[str, ConfidenceStatistics], extent: Extent, *, by_hand: Mapping[str, float]
) -> str:
    """Return what the confidences are worth in large type: over pixels, over classes, the worst class."""
    chosen = leading(measured)
    found = measured[chosen]
    common = max(found.shares, key=lambda name: found.shares[name])
    figures = [
        (f"{format_percent(found.mean_of_classes)} %", f"confidence of {chosen}, mean over the classes"),
        (
            f"{format_percent(found.mean)} %",
            f"mean over the pixels, of which {found.shares[common]:.0f} % are {common}",
        ),
    ]
    known = {name: value for name, value in found.by_class.items() if value is not None}
    missed = [name for name, share in by_hand.items() if share and found.by_class[name] is None]
    if missed:
        figures.append((counted(len(missed), "class", "classes"), f"in no label: {shorten(missed)}"))
    elif known:
        worst = min(known, key=lambda name: known[name])
        figures.append((f"{format_percent(known[worst])} %", f"on {worst}, the least confident class"))
    return _large([*figures, *_gain(extent)])


def _gain(extent: Extent) -> list[tuple[str, str]]:
    if not extent.key_frames:
        return []
    times = f"× {extent.labelled / extent.key_frames:.0f}"
    return [(times, "automatically labelled frames per key frame")]


def _large(figures: Sequence[tuple[str, str]]) -> str:
    entries = "".join(f"<div><b>{escape(b)}</b><span>{escape(text)}</span></div>" for b, text in figures)
    return f'<section class="headline">{entries}</section>'


def _panel(classes: ClassSet, methods: Sequence[str], clip: Clip) -> str:
    views = [view for view in clip.views if view.number in clip.milestones]
    views.sort(key=lambda view: view.distance)
    picture = draw_panel(views, classes, methods=methods, theme=_EITHER)
    alt = escape(f"{clip.name}: frame, labels of each method, errors and confidence")
    return _image(embed.photo(picture, quality=_PANEL_QUALITY), size=picture.size, alt=alt)


def chart(draw: Callable[[Theme], bytes], alt: str) -> str:
    """Return a chart in a light and a dark version as HTML."""
    return _chart(draw, alt)


def _chart(draw: Callable[[Theme], bytes], alt: str) -> str:
    """Return a chart in a light and a dark version, chosen by the browser's colour scheme."""
    light, dark = draw(LIGHT), draw(DARK)
    w, h = Image.open(io.BytesIO(light)).size
    # Drawn with twice the pixels of its size on the page, for sharp screens and print.
    image = _image(embed.data_uri(light, "png"), size=(w // 2, h // 2), alt=alt)
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{embed.data_uri(dark, "png")}">'
    return f"<figure><picture>{source}{image}</picture></figure>"


def _image(uri: str, *, size: tuple[int, int], alt: str) -> str:
    w, h = size
    return f'<img src="{uri}" width="{w}" height="{h}" alt="{alt}">'
