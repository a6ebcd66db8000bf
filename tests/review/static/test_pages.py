"""Tests of review/static: several pages at once, a server that is away, and videos of any length."""

from __future__ import annotations

import json

import numpy as np
import pytest


def two_pages_on_frame_2(open_page, server):
    """Return two pages that show frame 2, and its labels."""
    ours, other = open_page(), open_page()
    for page in (ours, other):
        page.go_to(2)
    return ours, other, server.labels(2)


def test_a_conflict_loses_no_stroke_and_overwrites_nothing(open_page, server):
    """Of two pages that draw on one frame, the second one to save is asked; both have what they drew."""
    ours, other, before = two_pages_on_frame_2(open_page, server)
    mine = ours.paint(60, 30, 90, kind=1)
    theirs = other.paint(30, 30, 90, kind=2)
    other.save()
    saved = np.where(theirs, 2, before)

    ours.message("Your strokes are kept")
    ours.press("s")
    ours.window.locator("#conflict").wait_for(timeout=60_000)

    assert np.array_equal(server.labels(2), saved)
    assert ours.unsaved == 1
    ours.window.click("[data-choice=theirs]")
    ours.message("saved elsewhere")
    assert ours.unsaved == 0
    ours.press("Control+z")  # the strokes come back, drawn over the labels that they began from
    ours.save()
    assert np.array_equal(server.labels(2), np.where(mine, 1, before))


def test_after_a_conflict_mine_can_be_saved_over_theirs(open_page, server):
    """Asked for by name, the strokes of this page replace what the other one saved."""
    ours, other, before = two_pages_on_frame_2(open_page, server)
    mine = ours.paint(60, 30, 90, kind=1)
    other.paint(30, 30, 90, kind=2)
    other.save()
    ours.message("Your strokes are kept")
    ours.press("s")

    ours.window.click("[data-choice=mine]")
    ours.message("saved as a key frame")

    assert np.array_equal(server.labels(2), np.where(mine, 1, before))
    assert ours.window.locator("#conflict").is_hidden()


def test_a_decision_elsewhere_is_no_conflict_of_labels(open_page, server):
    """A frame that is accepted in one page can be saved from another without a question."""
    ours, other, before = two_pages_on_frame_2(open_page, server)
    mine = ours.paint(60, 30, 90, kind=1)
    other.press("a")
    ours.message("Your strokes are kept")

    ours.save()

    assert np.array_equal(server.labels(2), np.where(mine, 1, before))
    assert server.columns()["key"][2] == 2


def test_what_one_page_saves_the_other_one_shows(open_page):
    """A page without strokes shows the new labels of its frame by itself."""
    ours, other = open_page(), open_page()
    for page in (ours, other):
        page.go_to(2)
    other.paint(60, 30, 90, kind=1)
    other.save()

    ours.message("has new labels")

    assert "corrected" in ours.window.inner_text("#standing")


def test_news_do_not_undo_what_is_being_typed(open_page):
    """A decision of another page arrives while a frame number is typed: Enter goes to that frame."""
    ours, other = open_page(), open_page()
    ours.go_to(2)
    other.go_to(2)
    ours.window.fill("#frame", "7")

    other.press("a")
    ours.window.locator("#standing", has_text="accepted").wait_for()
    ours.press("Enter")

    ours.settle(7)


def test_strokes_outlive_a_server_that_is_away(open_page, server):
    """While nobody answers, saving fails with a message; afterwards the same strokes are saved."""
    page = open_page()
    page.go_to(2)
    before = server.labels(2)
    mine = page.paint(60, 30, 90, kind=1)

    page.window.context.set_offline(True)
    page.press("s")
    page.message("the server does not answer")
    assert page.unsaved == 1
    page.window.context.set_offline(False)
    page.save()

    assert np.array_equal(server.labels(2), np.where(mine, 1, before))


def test_strokes_stay_when_another_frame_is_shown(open_page, server):
    """Strokes on two frames are kept side by side, and each is saved to its own."""
    page = open_page()
    before = [server.labels(i) for i in range(4)]
    page.go_to(2)
    on_two = page.paint(60, 30, 90, kind=1)
    page.go_to(3)
    on_three = page.paint(30, 30, 90, kind=2)
    assert page.unsaved == 2

    page.save()
    page.go_to(2)
    page.press("s")
    page.message("Frame 2 is saved")

    assert np.array_equal(server.labels(2), np.where(on_two, 1, before[2]))
    assert np.array_equal(server.labels(3), np.where(on_three, 2, before[3]))


def test_neighbours_are_there_before_they_are_asked_for(open_page):
    """Going to the next frame fetches neither its picture nor its labels: they came ahead."""
    page = open_page()
    page.go_to(1)
    page.window.wait_for_load_state("load")
    asked: list[str] = []
    fetched = "performance.getEntriesByType('resource').map((entry) => entry.name)"
    while not any("frames/4/labels" in name for name in page.window.evaluate(fetched)):
        page.window.wait_for_timeout(50)
    page.window.on("request", lambda request: asked.append(request.url))

    page.press("ArrowRight")
    page.settle(2)

    assert [url for url in asked if "/frames/2/image" in url or "/frames/2/labels" in url] == []


def test_ten_thousand_frames_make_few_elements(open_page):
    """The filmstrip holds the frames in sight alone, wherever in a long video that is."""
    page = open_page()
    count = 10_000
    run = json.loads(page.window.evaluate("fetch('/api/run').then((answer) => answer.text())"))
    run["videos"][0] |= {"frames": count, "cuts": [5000], "key_frames": [4]}
    columns = {
        "error": [0.05] * count,
        "labelled": [0] * count,
        "key": [0] * count,
        "decision": [""] * count,
        "version": [1] * count,
    }
    page.window.route("**/api/run", lambda route: route.fulfill(json=run))
    page.window.route("**/api/videos/0/frames?*", lambda route: route.fulfill(json=columns))
    page.window.reload()
    page.settle()

    page.press("End")
    page.window.wait_for_selector('.cell[data-frame="9999"]')
    assert page.window.locator(".cell").count() < 40
    page.window.fill("#frame", "5000")
    page.press("Enter")
    page.window.wait_for_selector('.cell.cut[data-frame="5000"]')
    assert page.window.locator(".cell").count() < 40


@pytest.mark.parametrize("server", [True], indirect=True)
def test_neighbours_of_a_correction_are_mended_on_screen(open_page, server):
    """While a neighbour is looked at, it gets the labels that follow from the correction."""
    page = open_page()
    before = server.labels(2)
    page.go_to(1)
    page.paint(60, 30, 90, kind=5)
    page.save()
    page.go_to(2)

    page.window.locator("#message", has_text="Frame 2 has new labels").wait_for(timeout=240_000)

    assert (server.labels(2) != before).any()
