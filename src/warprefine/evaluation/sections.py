"""Set the sections of the report as HTML; everything that comes from outside is escaped."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.evaluation import embed, plots, tables
from warprefine.evaluation.boundaries import TOLERANCE
from warprefine.evaluation.chart import DARK, LIGHT, Theme
from warprefine.evaluation.gallery import View
from warprefine.evaluation.panel import draw_panel
from warprefine.evaluation.plots import Curve
from warprefine.evaluation.scores import MethodScores, format_percent, leading, mean

_PANEL_QUALITY = 88
# Paper that the page shines through, and one grey that is legible on a light page and on a dark one.
_EITHER = Theme(paper="#00000000", ink="#7b818b", muted="#7b818b", grid="#7b818b")


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much was labelled: numbers of videos and frames."""

    videos: int
    key_frames: int
    labelled: int
    with_truth: int
    horizon: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """The frames that are shown of one video; the panel has those whose numbers are `milestones`."""

    name: str
    views: Sequence[View]
    milestones: Sequence[int]


def summary(extent: Extent) -> str:
    """Say in one sentence what was made of what."""
    return (
        f"{_counted(extent.key_frames, 'frame')} of {_counted(extent.videos, 'video')} labelled by hand; "
        f"{extent.labelled} more labelled from them, at most {_counted(extent.horizon, 'frame')} away."
    )


def quality(
    scores: Mapping[str, MethodScores], classes: ClassSet, extent: Extent, *, void_as_class: bool
) -> str:
    """Show how good the labels are: headline, by distance, by class."""
    by_distance = {method: s.miou_by_distance for method, s in scores.items()}
    means = {method: s.miou for method, s in scores.items()}
    horizon_chart = _chart(lambda theme: plots.plot_horizon(scores, theme=theme), "mIoU by distance")
    class_chart = _chart(
        lambda theme: plots.plot_hard_classes(scores, classes, theme=theme), "IoU of the hardest classes"
    )
    rule = (
        "Void counts as a class of its own."
        if void_as_class
        else "Pixels that the truth leaves void do not count; a pixel that a method leaves void is a miss."
    )
    return f"""{_headline(means, by_distance, extent, measure="mIoU", compare=True)}
<section>
<h2>Quality by distance</h2>
<p>Mean intersection over union with {_counted(extent.with_truth, "frame")} of truth that no method has seen,
by the number of frames to the key frame.</p>
{horizon_chart}
{tables.distance_table(by_distance, means, mark_best=True)}
<h3>All distances together</h3>
{tables.totals_table(scores)}
<p class="note">Percent; the best is bold. One confusion matrix over all frames, never a mean over images.
{rule} A class that occurs in neither truth nor prediction has no part in the mean. Boundary F: how much of
the class boundaries is found within {100 * TOLERANCE:g} % of the diagonal, and how much of what is found is
true. Consistency: mIoU with the method's own labels of the frame before, carried along by optical flow.</p>
</section>
<section>
<h2>The hardest classes</h2>
<p>What is thin, small or rare is lost first. IoU over all distances.</p>
{class_chart}
<h3>Every class</h3>
{tables.class_table(scores, classes)}
</section>"""


def confidence(confidences: Mapping[str, Sequence[float | None]], extent: Extent) -> str:
    """Show how sure the methods are of labels that there is no truth for."""
    means = {method: mean(values) for method, values in confidences.items()}
    measured = {method: values for method, values in confidences.items() if means[method] is not None}
    if not measured:
        return ""
    chart = _chart(lambda theme: plots.plot_confidence(measured, theme=theme), "mean confidence by distance")
    return f"""{_headline(means, measured, extent, measure="confidence", compare=False)}
<section>
<h2>Confidence by distance</h2>
<p>There is no truth to compare with, so this is not a measure of quality: it is how sure each method is of
its labels. Hold some labelled frames back to learn how good they are.</p>
{chart}
{tables.distance_table(measured, {m: means[m] for m in measured}, mark_best=False)}
</section>"""


def pictures(
    clips: Sequence[Clip], classes: ClassSet, *, methods: Sequence[str], left_out: int, viewer: str
) -> str:
    """Show the labels themselves: the viewer's HTML, and a panel for each clip."""
    if not clips:
        return ""
    panels = "".join(
        f'<figure class="panel"><figcaption>{escape(clip.name)}</figcaption>'
        f"{_panel(clip, classes, methods)}</figure>\n"
        for clip in clips
    )
    more = f" {_counted(left_out, 'further video')} not shown." if left_out else ""
    known = any(view.truth is not None and view.distance for clip in clips for view in clip.views)
    judged = "errors and confidence are those" if known else "confidence is that"
    return f"""<section class="screen">
<h2>See for yourself</h2>
<p>Every layer lies over the frame, pixel for pixel. Point at something to read its class.</p>
{viewer}
{tables.legend(classes)}
</section>
<section>
<h2>Side by side</h2>
<p>Near, halfway and far from the key frame; {judged} of {escape(leading(methods))}.
Click a picture to see it at full size.{more}</p>
</section>
{panels}"""


def making(facts: Mapping[str, str], recipe_toml: str, curves: Mapping[str, Curve]) -> str:
    """Show how the labels were made: facts, training curves, recipe."""
    chart = ""
    if curves:
        drawn = _chart(lambda theme: plots.plot_curves(curves, theme=theme), "training curves")
        chart = f"<h3>Training</h3>{drawn}"
    recipe = (
        f"<details><summary>Recipe</summary><pre>{escape(recipe_toml)}</pre></details>" if recipe_toml else ""
    )
    return f"""<section>
<h2>How it was made</h2>
{tables.facts_list(facts)}
{chart}
{recipe}
</section>"""


def _headline(
    means: Mapping[str, float | None],
    by_distance: Mapping[str, Sequence[float | None]],
    extent: Extent,
    *,
    measure: str,
    compare: bool,
) -> str:
    """Set the few numbers that matter most in large type; `compare` with the best of the other methods."""
    chosen = leading(by_distance)
    ends = [(k, value) for k, value in enumerate(by_distance[chosen], start=1) if value is not None]
    figures = [(f"{format_percent(means[chosen])} %", f"{measure} of {chosen}, mean over all distances")]
    rivals = {m: v for m, v in means.items() if v is not None and m != chosen}
    own = means[chosen]
    if compare and rivals and own is not None:
        rival = max(rivals, key=lambda method: rivals[method])
        lead = f"{own - rivals[rival]:+.1f}".replace("-", "−")
        figures.append((lead, f"points compared with {rival}, the best of the other methods"))
    if ends:
        k, value = ends[-1]
        figures.append(
            (f"{format_percent(value)} %", f"{measure} of {chosen} at {_counted(k, 'frame')}, the farthest")
        )
    if extent.key_frames:
        times = f"× {extent.labelled / extent.key_frames:.0f}"
        figures.append((times, "frames labelled for each one labelled by hand"))
    entries = "".join(f"<div><b>{escape(b)}</b><span>{escape(text)}</span></div>" for b, text in figures)
    return f'<section class="headline">{entries}</section>'


def _panel(clip: Clip, classes: ClassSet, methods: Sequence[str]) -> str:
    views = [view for view in clip.views if view.number in clip.milestones]
    views.sort(key=lambda view: view.distance)
    picture = draw_panel(views, classes, methods=methods, theme=_EITHER)
    alt = escape(f"{clip.name}: frame, labels of each method, errors and confidence")
    return _image(embed.photo(picture, quality=_PANEL_QUALITY), size=picture.size, alt=alt)


def _chart(draw: Callable[[Theme], bytes], alt: str) -> str:
    """Set a chart that follows the reader's choice of light or dark."""
    light, dark = draw(LIGHT), draw(DARK)
    w, h = Image.open(io.BytesIO(light)).size
    # Drawn with twice the pixels of its size on the page, for sharp screens and print.
    image = _image(embed.address(light, "png"), size=(w // 2, h // 2), alt=alt)
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{embed.address(dark, "png")}">'
    return f"<figure><picture>{source}{image}</picture></figure>"


def _image(address: str, *, size: tuple[int, int], alt: str) -> str:
    w, h = size
    return f'<img src="{address}" width="{w}" height="{h}" alt="{alt}">'


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
