"""The report's section on how far labels can be believed: calibration, expected and estimated scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from warprefine.core.names import counted
from warprefine.metrics.calibration import CalibrationScores
from warprefine.metrics.expected import ExpectedScores
from warprefine.metrics.reliability import Reliability
from warprefine.metrics.scores import format_percent, leading, spread
from warprefine.report import sections
from warprefine.report.reliability_plot import plot_reliability
from warprefine.report.tables import plain_table

_DISTANCES = 10
_WEAKEST = 8
_STALE = """<p><strong>This estimate is out of date:</strong> labels, confidence or key frames have changed
since it was made. <code>warprefine evaluate RUN --hold-out</code> makes it again.</p>
"""


@dataclass(frozen=True, kw_only=True)
class Believed:
    """How far labels can be believed, by method.

    Attributes:
        reliability: Scores of confidence against truth, where there is some.
        expected: Scores that calibrated confidence lets expect.
        estimates: What `warprefine evaluate --hold-out` has written.
        estimates_are_stale: Whether that is of other labels or key frames than the run has now.
    """

    reliability: Mapping[str, Reliability] = field(default_factory=dict)
    expected: Mapping[str, ExpectedScores] = field(default_factory=dict)
    estimates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    estimates_are_stale: bool = False


def section(believed: Believed) -> str:
    """Return the section as HTML; nothing where nothing is known."""
    estimates = _estimates(believed.estimates, are_stale=believed.estimates_are_stale)
    parts = [estimates, _expected(believed.expected), _reliability(believed.reliability)]
    if not any(parts):
        return ""
    return f"""<section>
<h2>How far labels can be believed</h2>
{"".join(parts)}</section>
"""


def _estimates(estimates: Mapping[str, Mapping[str, Any]], *, are_stale: bool) -> str:
    """Return the estimates of held-out key frames with their ranges."""
    if not estimates:
        return ""
    horizon = max(len(one["miou_by_distance"]) for one in estimates.values())
    shown = spread(horizon, most=_DISTANCES)
    alone = {method: one["unreached"] for method, one in estimates.items() if one.get("unreached")}
    head = ["method", "from", *(f"k = {k}" for k in shown), "mean", *(["out of reach"] if alone else [])]
    rows = []
    for method, one in estimates.items():
        kind = f"{counted(one['key_frames'], 'key frame')}, " + (
            "held out" if one["kind"] == "hold-out" else "cycles alone"
        )
        cells = [_with_range(one["miou_by_distance"][k - 1]) for k in shown]
        unreached = [_with_range(alone[method]["miou"]) if method in alone else "–"] if alone else []
        rows.append([method, kind, *cells, _with_range(one["miou"]), *unreached])
    weaker = any(one["kind"] != "hold-out" for one in estimates.values())
    note = (
        " Cycles alone are the weaker estimate, and too high: what motion does wrong on the way out, it "
        "undoes on the way back."
        if weaker
        else ""
    )
    if alone:
        note += " For frames out of reach, key frames were labelled by the segmenter alone, as these are."
    stale = _STALE if are_stale else ""
    return f"""<h3>Estimate from key frames that were held out</h3>
{stale}<p>mIoU in percent by distance, with the range of nine tenths of draws of key frames. Each key frame
was labelled from its neighbours by networks that have not learned from it, and confidence was calibrated on
the result.{note}</p>
{plain_table(head, rows)}
{_notes(estimates)}"""


def _notes(estimates: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how rough each estimate is, and which way it errs; those of earlier versions do not say."""
    notes = {method: one["note"] for method, one in estimates.items() if one.get("note")}
    lines = [f"<li>The estimate of {escape(m)}: {escape(note)}.</li>" for m, note in notes.items()]
    return f"<ul>\n{chr(10).join(lines)}\n</ul>\n" if lines else ""


def _expected(expected: Mapping[str, ExpectedScores]) -> str:
    """Return the scores that confidence lets expect, and the classes that are expected to be weakest."""
    if not expected:
        return ""
    chosen = expected[leading(expected)]
    rows = [[m, format_percent(one.accuracy), format_percent(one.miou)] for m, one in expected.items()]
    known = {name: v for name, v in chosen.accuracy_by_class.items() if v is not None}
    weakest = sorted(known, key=lambda name: known[name])[:_WEAKEST]
    classes = [[n, format_percent(known[n]), format_percent(chosen.iou_by_class[n])] for n in weakest]
    return f"""<h3>Expected from confidence</h3>
<p>The mean of calibrated confidence is the share of pixels that can be expected to be right. Confidence that
is not calibrated expects too much. Below, the classes of {escape(leading(expected))} whose labels are
expected to be wrong most often.</p>
{plain_table(["method", "expected accuracy", "expected mIoU"], rows)}
{plain_table(["class", "expected accuracy", "expected IoU"], classes)}
"""


def _reliability(reliability: Mapping[str, Reliability]) -> str:
    """Return the errors of confidence against truth, raw and calibrated, with a reliability diagram."""
    if not reliability:
        return ""
    rows: list[list[str]] = []
    for method, one in reliability.items():
        rows.append([method, "raw", *_cells(one.raw)])
        if one.calibrated is not None:
            rows.append([method, "calibrated", *_cells(one.calibrated)])
    chosen = leading(reliability)
    of_chosen = reliability[chosen]
    lines = {"raw": of_chosen.raw.bins}
    if of_chosen.calibrated is not None:
        lines["calibrated"] = of_chosen.calibrated.bins
    drawn = sections.chart(
        lambda theme: plot_reliability(lines, theme=theme), f"reliability diagram of {chosen}"
    )
    head = ["method", "confidence", "ECE", "Brier score", "mean confidence", "accuracy"]
    return f"""<h3>Confidence against truth</h3>
<p>On frames with ground truth, which took no part in the calibration. ECE: mean distance between confidence
and accuracy over 15 bins; Brier score: mean squared distance to 1 (right) or 0 (wrong); in percent, less is
better. The diagram shows {escape(chosen)}; on the diagonal, confidence is what it claims to be.</p>
{plain_table(head, rows)}
{drawn}
"""


def _cells(scores: CalibrationScores) -> list[str]:
    two = ["–" if v is None else f"{v:.2f}" for v in (scores.ece, scores.brier)]
    return [*two, format_percent(scores.confidence), format_percent(scores.accuracy)]


def _with_range(found: Sequence[float | None]) -> str:
    value, low, high = found
    if low is None or high is None:
        return format_percent(value)
    return f"{format_percent(value)} ({low:.1f}–{high:.1f})"
