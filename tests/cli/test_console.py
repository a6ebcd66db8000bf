"""Tests of cli/console.py: progress on a terminal and elsewhere, lists, logs."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest

from warprefine.cli import console as module
from warprefine.cli.console import (
    GROUPED_FROM,
    LONGEST_LIST,
    Bars,
    print_coverage,
    print_error,
    print_out_of_reach,
    print_summary,
)
from warprefine.cli.terminal import SafeConsole
from warprefine.core import progress
from warprefine.core.classes import ClassSet
from warprefine.datasets.summary import DatasetSummary, VideoSummary
from warprefine.propagation.coverage import Coverage

CLASSES = ClassSet(names=("road", "[red]"), colors=((1, 2, 3), (4, 5, 6)))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Let the console believe that it is a terminal; return what it draws."""
    drawn = io.StringIO()
    monkeypatch.setattr(module, "console", SafeConsole(file=drawn, force_terminal=True, width=120))
    return drawn


def summary(names: list[str], **more: tuple[str, ...]) -> DatasetSummary:
    videos = [
        VideoSummary(name=n, frames=21, key_frames=1, truth_frames=20, farthest=10, size=(48, 64))
        for n in names
    ]
    return DatasetSummary(
        classes=CLASSES, videos=tuple(videos), pixels=(3, 1, 0), counted=len(videos), **more
    )


def test_without_a_terminal_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first, one every twenty seconds, and the last of each task: enough for a log."""
    clock = iter([100.0, 101.0, 121.0, 122.0, 123.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    with Bars() as bars:
        for done in range(1, 4):
            bars("training", done, 4, f"loss {done}")
        bars("training", 4, 4, "loss 4")
        bars("checking", 1, 1)

    assert capsys.readouterr().out.splitlines() == [
        "training: 1 of 4 loss 1",
        "training: 3 of 4 loss 3, 10 s left",
        "training: 4 of 4 loss 4",
        "checking: 1 of 1",
    ]


def test_on_a_terminal_all_tasks_share_one_line(terminal: io.StringIO) -> None:
    """Names are shown as they are, also those with brackets; beside them is how long the job still takes."""
    with Bars() as bars:
        bars("training", 1, 4, "loss [bold]")
        bars("training", 4, 4, "loss [bold]")
        bars.forecast("first: 0:40 left · good: 4:10 left")
        bars("checking", 1, 2, "clip[/x]")

    drawn = terminal.getvalue()
    assert "clip[/x]" in drawn
    last = drawn[drawn.rindex("checking") :]
    assert "1/2" in last
    assert "first: 0:40 left · good: 4:10 left" in last
    assert drawn.count("\n") == 1


def test_an_error_is_one_line_whatever_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks of other libraries' messages are taken out, names with brackets and colons stay."""
    print_error("cannot read [b]:car:.png:\n  broken\tdata; " + "copy it again " * 30)

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: cannot read [b]:car:.png: broken data; copy it again")
    assert err.count("\n") == 1


def test_a_summary_shows_forty_videos_and_counts_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    """A data set of thousands of videos does not run off the screen."""
    print_summary(summary([f"clip-{i:03d}" for i in range(43)]))

    shown = capsys.readouterr().out
    assert "clip-039" in shown
    assert "clip-040" not in shown
    assert "... and 3 more videos" in shown
    assert "43 videos, 903 frames, 43 key frames" in shown
    assert "75.00 %" in shown
    assert "label maps" not in shown


def test_thousands_of_videos_that_are_alike_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Videos of another length, size or number of labels are a line of their own, the most frequent first."""
    many = summary([f"clip-{i:04d}" for i in range(GROUPED_FROM)])
    single = VideoSummary(name="x", frames=1, key_frames=1, truth_frames=0, farthest=0, size=(24, 32))
    broken = replace(single, size=None)
    pairs = [replace(single, frames=2, key_frames=0), replace(single, frames=2, key_frames=0)]
    print_summary(replace(many, videos=(single, *many.videos, *pairs, broken)))

    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        f"{GROUPED_FROM} videos of 21 frames (1 key frame, 20 with truth, 64 x 48)",
        "2 videos of 2 frames (0 key frames, 32 x 24)",
        "1 video of 1 frame (1 key frame, 32 x 24)",
        "1 video of 1 frame (1 key frame, unreadable)",
        f"{GROUPED_FROM + 4} videos, {21 * GROUPED_FROM + 6} frames, {GROUPED_FROM + 2} key frames",
    ]
    assert not any("clip-" in line for line in lines)


def test_coverage_of_many_videos_is_cut_and_summed(capsys: pytest.CaptureFixture[str]) -> None:
    """Before the work the videos with gaps, after it all of them, forty at most; then the sum."""
    videos = [Coverage(video=f"clip-{i}", frames=10, out_of_reach=(8, 9)) for i in range(LONGEST_LIST + 2)]
    whole = Coverage(video="whole", frames=10)

    print_out_of_reach([whole, *videos], horizon=3)
    before = capsys.readouterr().out.splitlines()
    print_coverage([whole, *videos])
    after = capsys.readouterr().out.splitlines()
    print_coverage([whole])

    assert before[0].startswith("note: 2 of 10 frames of clip-0 are farther than 3 from every key frame")
    assert (len(before), before[-1]) == (LONGEST_LIST + 1, "note: so are frames of 2 more videos")
    assert after[:2] == [
        "whole: 10 of 10 frames labelled",
        "clip-0: 8 of 10 frames labelled, 2 out of reach (8 to 9)",
    ]
    assert after[-2:] == ["... and 3 more videos", "43 videos: 346 of 430 frames labelled"]
    assert capsys.readouterr().out == "whole: 10 of 10 frames labelled\n"


def test_kinds_of_videos_are_listed_up_to_forty(capsys: pytest.CaptureFixture[str]) -> None:
    """Pictures of many sizes do not run off the screen either."""
    one = VideoSummary(name="x", frames=1, key_frames=1, truth_frames=0, farthest=0, size=(24, 32))
    sizes = [replace(one, size=(24, number)) for number in range(1, GROUPED_FROM + 1)]
    print_summary(replace(summary([]), videos=tuple(sizes)))

    lines = capsys.readouterr().out.splitlines()
    assert lines[LONGEST_LIST - 1] == "1 video of 1 frame (1 key frame, 40 x 24)"
    assert lines[LONGEST_LIST] == "... and 60 more videos of 60 other kinds"


def test_a_summary_says_what_it_rests_on_and_what_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    """Shares from a sample are marked as such, and each note of the reader is a line."""
    print_summary(replace(summary(["a", "b", "c"], notes=("no truth", "no motion")), counted=2))

    out, err = capsys.readouterr()
    assert out.splitlines()[-3:] == ["from 2 of 3 label maps", "note: no truth", "note: no motion"]
    assert err == ""


def test_names_in_a_summary_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that looks like a colour is a name."""
    print_summary(summary(["[bold]clip[/x]"], problems=("[i]broken[/i].png is broken",)))

    out, err = capsys.readouterr()
    assert "[bold]clip[/x]" in out
    assert "[red]" in out
    assert err == "error: [i]broken[/i].png is broken\n"


def test_a_video_that_cannot_be_opened_has_no_size(capsys: pytest.CaptureFixture[str]) -> None:
    """It stands in the list all the same."""
    broken = VideoSummary(name="clip", frames=3, key_frames=0, truth_frames=0, farthest=None, size=None)
    print_summary(DatasetSummary(classes=CLASSES, videos=(broken,), pixels=(0, 0, 0), counted=0))

    assert "unreadable" in capsys.readouterr().out
