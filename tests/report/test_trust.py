"""Tests of report/trust.py and report/reliability_plot.py: how far labels can be believed, in the report."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.metrics.calibration import score_confidence
from warprefine.metrics.expected import expected_scores
from warprefine.metrics.reliability import Reliability
from warprefine.ops.calibration import LEVELS
from warprefine.report.reliability_plot import plot_reliability
from warprefine.report.trust import Believed, section

CLASSES = ClassSet(names=("road", "<car>"), colors=((128, 64, 128), (0, 0, 142)))
ESTIMATE = {
    "kind": "hold-out",
    "key_frames": 3,
    "miou": [80.0, 75.0, 84.0],
    "miou_by_distance": [[81.0, 76.0, 85.0], [79.0, None, None]],
}


def scores(wrong: int) -> Reliability:
    """Return the scores of sure labels of which so many in 100 are wrong."""
    hits = np.zeros((3, LEVELS, 2), np.int64)
    hits[0, 255] = wrong, 100 - wrong
    return Reliability(raw=score_confidence(hits), calibrated=score_confidence(hits))


def test_the_section_has_all_that_is_known() -> None:
    """Estimates with ranges, expected scores with the weakest class, and errors of confidence."""
    sums = np.array([[[100, 25_500], [100, 12_750], [0, 0]]])
    expected = expected_scores(sums, np.zeros((3, 3), np.int64), CLASSES)

    html = section(
        Believed(
            reliability={"motion-only": scores(20)},
            expected={"motion-only": expected},
            estimates={"motion-only": ESTIMATE},
        )
    )

    assert "80.0 (75.0–84.0)" in html
    assert "3 key frames, held out" in html
    assert "&lt;car&gt;" in html
    assert "<car>" not in html
    assert "<td>20.00</td>" in html
    assert "weaker" not in html


def test_frames_out_of_reach_have_a_column_where_they_have_an_estimate() -> None:
    """A method that labels none of them has a dash there; reports of earlier versions had no such entry."""
    of_segmenter = {**ESTIMATE, "unreached": {**ESTIMATE, "miou": [61.0, 52.0, 70.0]}}

    html = section(Believed(estimates={"a": {**ESTIMATE, "unreached": None}, "b": of_segmenter}))

    assert ">out of reach</th>" in html
    assert "61.0 (52.0–70.0)" in html
    assert "by the segmenter alone" in html
    assert "out of reach" not in section(Believed(estimates={"a": ESTIMATE}))


def test_cycles_alone_are_marked_as_weaker() -> None:
    """The reader is told which way they are wrong."""
    html = section(Believed(estimates={"motion-only": {**ESTIMATE, "kind": "cycle"}}))

    assert "cycles alone" in html
    assert "weaker estimate, and too high" in html


def test_an_estimate_of_older_labels_says_so() -> None:
    """With the command that makes it again; one of the labels that are there does not."""
    stale = section(Believed(estimates={"motion-only": ESTIMATE}, estimates_are_stale=True))

    assert "This estimate is out of date" in stale
    assert "<code>warprefine evaluate RUN --hold-out</code> makes it again" in stale
    assert "out of date" not in section(Believed(estimates={"motion-only": ESTIMATE}))


def test_a_rough_estimate_says_which_way_it_errs() -> None:
    """The line is the one that is printed; estimates of earlier versions have none."""
    html = section(Believed(estimates={"a": {**ESTIMATE, "note": "it is rough <so>"}, "b": ESTIMATE}))

    assert "<li>The estimate of a: it is rough &lt;so&gt;.</li>" in html
    assert "The estimate of b" not in html


def test_nothing_known_is_no_section() -> None:
    """The report is then as it was."""
    assert section(Believed()) == ""


def test_the_diagram_is_a_picture() -> None:
    """It is drawn for raw and calibrated confidence."""
    found = scores(20)

    picture = Image.open(io.BytesIO(plot_reliability({"raw": found.raw.bins, "calibrated": found.raw.bins})))

    assert picture.format == "PNG"
    assert len(np.unique(np.asarray(picture.convert("L")))) > 10
