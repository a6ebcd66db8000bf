"""Check that the report is one file with everything in it, and that it says what it should."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from warprefine.core.errors import RunFolderError
from warprefine.io.images import write_labels
from warprefine.metrics.confidences import measure_confidence
from warprefine.metrics.label_quality import evaluate
from warprefine.report.chart import DARK, LIGHT
from warprefine.report.report import write_report


class Page(HTMLParser):
    """The page's text and attributes; complains about elements that are closed in another order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source, self.text, self.attributes, self._open = source, "", [], []
        self.feed(source)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in ("meta", "img", "input", "source"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] not in (["script"], ["style"]):
            self.text += data

    def viewer(self):
        return json.loads(re.search(r'id="viewer-data">(.*?)</script>', self.source)[1])


@pytest.fixture
def report(run, world):
    """Write a report and read it back."""

    def written(dataset, **changes):
        settings = {
            "scores": None,
            "facts": {},
            "recipe_toml": "",
            "methods": world.methods,
            "horizon": world.horizon,
        }
        write_report(run.report_path, dataset=dataset, run=run, **{**settings, **changes})
        return Page(run.report_path.read_text(encoding="utf-8"))

    return written


@pytest.fixture
def scores(run, dataset, world):
    return evaluate(run, dataset, methods=world.methods, horizon=world.horizon)


def test_the_report_needs_no_other_file_and_no_network(report, dataset, scores):
    """Every picture is inside; nothing points anywhere else."""
    page = report(dataset, scores=scores, curves={"loss": [(0, 1.0), (9, 0.5)]})

    words = re.sub(r"data:image/\w+;base64,[\w+/=]*", "", page.source)
    assert not re.search(r"https?:|//\w+\.|@import|url\(|fetch\(|import\(", words)
    linked = [value for name, value in page.attributes if name in ("src", "srcset", "href", "data", "poster")]
    assert linked
    assert {value.split(";")[0] for value in linked} == {"data:image/png", "data:image/webp"}


def test_the_report_says_how_good_the_labels_are(report, dataset, scores):
    """Headline, table by distance, totals and classes, in percent with one decimal."""
    page = report(dataset, scores=scores)

    assert (
        "2 key frames in 2 videos, labelled by hand; "
        "12 frames labelled automatically, at most 4 frames from a key frame." in page.text
    )
    assert f"+{100 - scores['motion-only'].miou:.1f}percentage points compared with motion-only" in page.text
    assert "100.0 %mIoU of warp-refine, mean over all distances" in page.text
    assert "methodk = 1k = 2k = 3k = 4mean" in page.text
    assert f"{scores['motion-only'].miou_by_distance[3]:.1f}" in page.text
    assert f"{scores['motion-only'].iou_by_class['car']:.1f}" in page.text
    assert "on 10 frames with ground truth" in page.text
    assert "methodmIoUboundary Fpixel accuracy" in page.text
    assert f"{scores['motion-only'].boundary_f:.1f}" in page.text
    assert "0.75 % of the image diagonal" in page.text
    assert page.source.count('<td class="best') > 0
    assert "without a class in the prediction is an error" in page.text


def test_without_truth_the_report_shows_confidence_and_no_scores(report, blind, run):
    """How sure the methods are stands where the scores would, and is not sold as quality: none is best."""
    shutil.copytree(run.root / "confidence" / "warp-refine", run.root / "confidence" / "motion-only")

    page = report(blind)

    found = measure_confidence(run, blind, methods=["warp-refine"], horizon=4)["warp-refine"]
    by_class = {name: value for name, value in found.by_class.items() if value is not None}
    worst, common = min(by_class, key=by_class.get), max(found.shares, key=found.shares.get)
    assert f"{found.mean_of_classes:.1f} %confidence of warp-refine, mean over the classes" in page.text
    assert f"75.0 %mean over the pixels, of which {found.shares[common]:.0f} % are {common}" in page.text
    assert f"{by_class[worst]:.1f} %on {worst}, the least confident class" in page.text
    assert "in no label" not in page.text  # birds are not in the key labels either
    assert "classmotion-onlywarp-refineshare by handshare in warp-refine" in page.text
    assert "the labels cannot be scored" in page.text
    assert "mIoU" not in page.text
    assert "compared with" not in page.text
    assert '<td class="best' not in page.source
    (frame, *_) = page.viewer()["clips"][0]["frames"]
    assert frame["errors"] == {}


def test_classes_that_the_labels_miss_are_in_the_headline(report, blind, run, world):
    """Labels that are certain of everything but show no car at all are not praised."""
    for path in (run.root / "labels" / "warp-refine").rglob("*.png"):
        write_labels(path, torch.zeros((1, world.h, world.w), dtype=torch.uint8), world.classes)

    page = report(blind)

    assert "1 classin no label: car" in page.text
    assert "mean over the pixels, of which 100 % are road" in page.text


def test_frames_out_of_reach_are_counted_for_each_video(report, dataset):
    """In the first sentence together, in the settings one by one."""
    page = report(dataset)

    assert "at most 4 frames from a key frame. 2 frames out of reach." in page.text
    assert "Out of reach in near7 of 8 frames labelled, 1 out of reach (7)" in page.text


def test_without_truth_and_confidence_pictures_remain(report, blind, run):
    """There is always something to look at."""
    for path in (run.root / "confidence").rglob("*.png"):
        path.unlink()

    page = report(blind)

    assert "onfidence of" not in page.text
    assert len(page.viewer()["clips"]) == 2


def test_the_oracle_is_not_shown_beside_the_truth_that_it_is(report, dataset, scores):
    """The oracle has labels only where there is truth, and they are the truth."""
    page = report(
        dataset,
        scores={**scores, "oracle": scores["warp-refine"]},
        methods=["motion-only", "warp-refine", "oracle"],
    )

    assert "oracle" not in page.text.replace(str(dataset.root), "")
    assert page.viewer()["methods"] == ["motion-only", "warp-refine"]


def test_a_run_of_the_oracle_alone_has_facts_but_no_pictures(report, dataset):
    """Nothing was propagated, and the page still opens."""
    page = report(dataset, methods=["oracle"])

    assert page.viewer()["clips"] == []
    assert "Settings" in page.text


def test_the_report_tells_how_the_labels_were_made(report, dataset, scores):
    """Facts, recipe and training curves are there to be read again in a year."""
    page = report(
        dataset,
        scores=scores,
        facts={"Chosen τ": "0.118"},
        recipe_toml="[refiner]\nsteps = 500\n",
        curves={"refiner loss": [(0, 1.0), (9, 0.5)]},
    )

    assert "Chosen τ0.118" in page.text
    assert "[refiner]\nsteps = 500\n" in page.text
    assert ("alt", "training curves") in page.attributes


def test_what_comes_from_outside_is_escaped(report, dataset):
    """Names and recipes are text, whatever characters they hold."""
    page = report(dataset, facts={"<b>": "a & b"}, recipe_toml="# <script>alert(1)</script>")

    assert "<b>a & b" in page.text
    assert "# <script>alert(1)</script>" in page.text
    assert "<script>alert" not in page.source


def test_six_clips_are_shown_and_the_rest_counted(report, dataset, run):
    """A data set of a hundred videos has a report of the same size."""
    (video, _) = dataset.videos
    many = replace(dataset, videos=tuple(replace(video, name=f"clip {i}") for i in range(8)))
    for folder in ("labels/motion-only", "labels/warp-refine"):
        for other in many.videos:
            (run.root / folder / other.name).symlink_to(run.root / folder / video.name)

    page = report(many)

    assert [clip["name"] for clip in page.viewer()["clips"]] == [f"clip {i}" for i in range(6)]
    assert page.source.count('<figure class="panel">') == 6
    assert "2 further videos not shown." in page.text


def test_clips_show_the_frames_around_a_key_frame(report, dataset):
    """Every frame of a short clip, in order, the key frame among them."""
    (clip, _) = report(dataset).viewer()["clips"]

    assert [frame["number"] for frame in clip["frames"]] == [0, 1, 2, 3, 4, 5, 6]
    assert [frame["distance"] for frame in clip["frames"]] == [2, 1, 0, 1, 2, 3, 4]


def test_a_missing_label_map_is_named(report, dataset, run):
    """A report of an unfinished run says what to do."""
    run.labels_path("warp-refine", "near", "003").unlink()

    with pytest.raises(RunFolderError, match=r"no label map .*warp-refine/near/003\.png.*again"):
        report(dataset)


def test_the_same_run_gives_the_same_report(report, dataset):
    """Byte for byte, so that a resumed run cannot be told from an undisturbed one."""
    assert report(dataset).source == report(dataset).source


def test_charts_lie_on_the_page_without_a_box(report, dataset):
    """The page and the charts share their colours, by day and by night."""
    style = report(dataset).source.split("</style>")[0]

    for theme in (LIGHT, DARK):
        assert f"--paper: {theme.paper};" in style
        assert f"--ink: {theme.ink};" in style


@pytest.fixture
def grouped(scores):
    """The scores as they would be if frames lay between and beside key frames; cars are worse beside."""
    worse = {**scores["warp-refine"].iou_by_class, "car": 12.3}
    return {
        method: replace(
            one, between=one, beside=replace(one, iou_by_class=worse, frames_by_distance=[3, 0, 0, 0])
        )
        for method, one in scores.items()
    }


def test_frames_between_and_beside_key_frames_have_a_section(report, dataset, grouped):
    """With a chart, and for each of the two a sentence, a table by distance and one by class."""
    page = report(dataset, scores=grouped)

    assert page.text.count("methodk = 1k = 2k = 3k = 4mean") == 3
    assert "Between key frames" in page.text
    assert "between (10 of 10 frames): a key frame before it and one after it." in page.text
    assert "beside (3 of 10 frames): key frames on one side only, which alone must label it." in page.text
    assert page.text.count("12.3") == 2  # one per method
    assert page.source.count("mIoU of warp-refine between and beside key frames") == 1


def test_frames_in_one_group_have_no_section_of_their_own(report, dataset, scores):
    """A single key frame has nothing between, and its table is the table of all frames."""
    page = report(dataset, scores=scores)

    assert scores["warp-refine"].beside is not None
    assert "beside" not in page.text
