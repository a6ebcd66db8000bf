"""Tests of review/static: several pages at once, a server that is away, and videos of any length."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from tests.review.static.conftest import METHOD, TOKEN, WINDOW, H, ReviewPage, W, pages_of, serving
from warprefine.datasets import open_dataset
from warprefine.datasets.street import write_street
from warprefine.jobs.autolabel import autolabel
from warprefine.review.encoding import as_gray_png
from warprefine.review.reviewed import ReviewedRun


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


def test_a_correction_that_was_not_looked_at_is_not_taken_back(open_page, server):
    """A page with strokes does not show what another one has saved, and so cannot take it back."""
    ours, other, _ = two_pages_on_frame_2(open_page, server)
    ours.paint(60, 30, 90, kind=1)
    ours.save()
    other.message("has new labels")
    ours.paint(70, 30, 90, kind=1)
    other.paint(30, 30, 90, kind=2)
    other.save()
    ours.message("Your strokes are kept")
    theirs = server.labels(2)

    ours.window.click("#take-back")
    ours.message("was changed elsewhere meanwhile")

    assert server.columns()["key"][2] == 2
    assert np.array_equal(server.labels(2), theirs)


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
        "stem": [f"drive_{k}" for k in range(count)],
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
    page.window.locator("#standing", has_text="named drive_5000").wait_for()
    assert page.window.locator(".cell").count() < 40


def test_the_frame_box_gives_the_keyboard_back(open_page):
    """After Enter or Escape the next key is a command; a number beyond the end is told, and nothing moves."""
    page = open_page()
    page.window.fill("#frame", "2")
    page.press("Enter")
    assert page.window.evaluate("document.activeElement.id") == "stage"

    page.window.fill("#frame", "4711")
    page.press("Enter")
    page.window.get_by_text("There is no frame 4711; the last is").wait_for()
    assert page.window.input_value("#frame") == "2"

    page.window.fill("#frame", "1")
    page.press("Escape")
    assert page.window.evaluate("document.activeElement.id") == "stage"
    assert page.window.input_value("#frame") == "2"


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


def port_of(server):
    """Return the port of a server."""
    return int(server.url.rpartition(":")[2])


def test_strokes_are_not_saved_into_another_run(chromium, finished_run, tmp_path):
    """A page that is still open when another run is served at its port is refused, and keeps its strokes."""
    mine, other = (shutil.copytree(finished_run, tmp_path / name) for name in ("mine", "other"))
    with serving(mine) as server:
        port = port_of(server)
        window = chromium.new_context(viewport=WINDOW).new_page()
        window.goto(f"{server.url}/?token={TOKEN}")
        page = ReviewPage(window)
        page.settle()
        page.go_to(2)
        before = server.labels(2)
        drawn = np.where(page.paint(60, 30, 90, kind=1), 1, before)

    with serving(other, port=port) as server:
        with window.expect_response("**/labels?*") as answer:
            page.press("s")
        assert answer.value.status == 410
        page.message("the page shows another run than this server")
        assert np.array_equal(server.labels(2), before)
    with serving(mine, port=port) as server:
        page.message("The server answers again")
        page.save()
        assert np.array_equal(server.labels(2), drawn)
    window.context.close()


def test_what_changed_while_the_server_was_away_is_shown(chromium, finished_run, tmp_path):
    """Labels that were saved before the page found the new server are what the page draws on."""
    run = shutil.copytree(finished_run, tmp_path / "run")
    with serving(run) as server:
        port = port_of(server)
        window = chromium.new_context(viewport=WINDOW).new_page()
        window.goto(f"{server.url}/?token={TOKEN}")
        page = ReviewPage(window)
        page.settle()
        page.go_to(2)
    content = np.full((H, W), 3, np.uint8)
    reviewed = ReviewedRun(run)
    reviewed.correct(0, 2, as_gray_png(content), version=0)
    reviewed.close()

    with serving(run, port=port) as server:
        page.message("The server answers again")
        window.locator("#standing", has_text="corrected").wait_for(timeout=60_000)
        mine = page.paint(60, 30, 90, kind=1)
        page.save()

        assert window.locator("#conflict").is_hidden()
        assert np.array_equal(server.labels(2), np.where(mine, 1, content))
    window.context.close()


def test_keys_while_a_video_opens_go_nowhere(open_page):
    """Until the frames of another video are known, there is none to go to."""
    page = open_page()
    page.go_to(3)
    waiting = []

    def hold(route):
        waiting.append(route)

    page.window.route("**/api/videos/1/frames?*", hold)
    page.window.select_option("#video", "1")
    while not waiting:
        page.window.wait_for_timeout(20)

    page.window.focus("#stage")
    page.press("ArrowRight", "a")
    waiting.pop().continue_()

    page.window.locator("#standing", has_text="of 0–8").wait_for()
    page.settle(0)
    assert "Problem" not in page.window.inner_text("#message")


def test_labels_that_take_seconds_hold_nobody_up(open_page):
    """Whoever turns pages with the segmenter's labels beside waits for one frame, and then for the last."""
    page = open_page()
    asked = []

    def hold(route):
        asked.append(route)

    page.window.route("**/source?*", hold)
    page.window.select_option("#beside", "segmenter")
    page.window.focus("#stage")
    for frame in range(1, 9):
        page.press("ArrowRight")
        page.settle(frame)

    assert len(asked) == 1
    asked[0].fulfill(status=404, json={"error": "none"})
    while len(asked) < 2:
        page.window.wait_for_timeout(20)
    assert "/frames/8/source" in asked[1].request.url
    asked[1].fulfill(status=404, json={"error": "none for frame 8"})
    page.message("none for frame 8")


def test_a_frame_out_of_reach_loses_its_correction(chromium, tmp_path):
    """Without its correction it has no labels any more; undo brings them back as strokes."""
    write_street(tmp_path / "data", videos=1, length=5, start=4, step=5, h=H, w=W)
    autolabel(open_dataset(tmp_path / "data"), tmp_path / "run", horizon=1, methods=(METHOD,))
    with serving(tmp_path / "run") as server, pages_of(chromium, server) as open_page:
        page = open_page()
        page.go_to(1)
        page.paint(60, 30, 90, kind=1)
        page.save()

        page.window.click("#take-back")
        page.message("is taken back")
        page.window.locator("#standing", has_text="no labels").wait_for()
        page.press("Control+z")

        assert page.unsaved == 1
