"""Tests of review/static: drawing and deciding on the page, by real events of pointer and keyboard."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from PIL import Image


def test_next_worst_goes_down_the_expected_errors(open_page, server):
    """The key N shows the frame with the largest expected error, then the one below it."""
    page = open_page()
    columns = server.columns()
    free = [i for i, error in enumerate(columns["error"]) if error is not None and not columns["key"][i]]
    worst, second = sorted(free, key=lambda i: (-columns["error"][i], i))[:2]
    page.go_to(4)

    page.press("n")
    page.settle(worst)
    page.press("n")
    page.settle(second)

    assert page.window.get_attribute("#strip", "aria-valuenow") == str(second)


def test_gray_values_survive_the_browser(open_page, server, rng):
    """A label map is the same on page and server, and a PNG that the page writes is read as drawn."""
    page = open_page()
    values = rng.integers(0, 256, 31 * 17, dtype=np.uint8)
    read, written = page.window.evaluate(
        """async (values) => {
          const { labels } = await import("/api.js");
          const { encodeGray, decodeGray } = await import("/png.js");
          const blob = await encodeGray({ values: Uint8Array.from(values), width: 31, height: 17 });
          const bytes = new Uint8Array(await blob.arrayBuffer());
          const again = await decodeGray(bytes);
          if (again.values.some((value, i) => value !== values[i])) throw new Error("changed");
          return [[...(await labels(0, 2, "motion-only")).values], [...bytes]];
        }""",
        values.tolist(),
    )

    picture = Image.open(io.BytesIO(bytes(written)))
    assert picture.mode == "L"
    assert np.array_equal(np.array(picture).ravel(), values)
    assert np.array_equal(np.reshape(read, (page.H, page.W)), server.labels(2))


@pytest.mark.parametrize("filtered", [0, 1, 2, 3, 4])
def test_every_filter_of_png_is_undone(open_page, rng, filtered):
    """Whatever filter a row was written with, its values are read as they were."""
    page = open_page()
    values = rng.integers(0, 256, (6, 9), dtype=np.uint8)
    rows = filter_rows(values.astype(int), filtered)

    read = page.window.evaluate(
        """async (rows) => {
          const { decodeGray, encodeGray } = await import("/png.js");
          const picture = { values: new Uint8Array(54), width: 9, height: 6 };
          const bytes = new Uint8Array(await (await encodeGray(picture)).arrayBuffer());
          const packer = new CompressionStream("deflate");
          const packed = new Blob([Uint8Array.from(rows)]).stream().pipeThrough(packer);
          const data = new Uint8Array(await new Response(packed).arrayBuffer());
          const head = bytes.slice(0, 33); // signature and IHDR
          const chunk = new Uint8Array(12 + data.length);
          new DataView(chunk.buffer).setUint32(0, data.length);
          chunk.set([73, 68, 65, 84], 4);
          chunk.set(data, 8);
          const whole = new Uint8Array(await new Blob([head, chunk, bytes.slice(-12)]).arrayBuffer());
          return [...(await decodeGray(whole)).values];
        }""",
        rows,
    )

    assert read == values.ravel().tolist()


def filter_rows(values: np.ndarray, kind: int) -> list[int]:
    """Return rows of a PNG with one filter (ISO 15948, 9.2), the filter's number before each row."""
    padded = np.pad(values, ((1, 0), (1, 0)))
    left, up, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    estimate = left + up - corner
    to_left, to_up, to_corner = abs(estimate - left), abs(estimate - up), abs(estimate - corner)
    nearest = np.where(to_up <= to_corner, up, corner)
    paeth = np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)
    guess = [0 * values, left, up, (left + up) // 2, paeth][kind]
    return np.insert((values - guess) % 256, 0, kind, axis=1).ravel().tolist()


def test_a_brush_stroke_is_saved_and_nothing_else(open_page, server):
    """Exactly the pixels under the brush have the class in hand; the frame is a corrected one then."""
    page = open_page()
    page.go_to(2)
    before = server.labels(2)

    stroke = page.paint(60, 30, 90, kind=1)
    assert page.unsaved == 1
    page.save()

    expected = np.where(stroke, 1, before)
    assert np.array_equal(server.labels(2), expected)
    assert (expected != before).any()
    assert server.columns()["key"][2] == 2
    assert page.unsaved == 0


def begin_polygon(page):
    """Set three corners of a polygon of the third class."""
    page.press("p", "3")
    for corner in [(20, 20), (60, 20), (60, 50)]:
        page.click(*corner)


def test_a_polygon_is_filled_up_to_its_border(open_page, server):
    """Corners set by clicks, closed by a double click: all pixels inside and on the border have the class."""
    page = open_page()
    page.go_to(1)
    before = server.labels(1)
    begin_polygon(page)
    page.window.mouse.dblclick(*page.place(20, 50))
    page.save()

    expected = before.copy()
    expected[20:51, 20:61] = 2
    changed = server.labels(1)
    assert (changed[21:50, 21:60] == 2).all()
    outside = np.ones((page.H, page.W), dtype=bool)
    outside[19:52, 19:62] = False  # a click on the screen is within a pixel of the corner
    assert np.array_equal(changed[outside], expected[outside])


def test_a_polygon_that_is_not_closed_stays_with_its_frame(open_page, server):
    """Leaving the frame changes no label; the polygon is there at the return, and filled when closed."""
    page = open_page()
    page.go_to(1)
    before = server.labels(1)
    begin_polygon(page)
    page.window.locator("#standing", has_text="polygon not closed").wait_for()

    page.press("ArrowRight")
    page.settle(2)
    page.message("The polygon on frame 1 is kept open: no label has changed.")
    assert page.unsaved == 0
    assert "polygon not closed" not in page.window.inner_text("#standing")
    assert page.window.inner_text('.cell[data-frame="1"] .badge.unclosed') == "△"
    page.press("Shift+Enter")  # there is none on this frame
    assert page.unsaved == 0

    page.press("ArrowLeft")
    page.settle(1)
    page.message("The polygon of this frame is not closed yet")
    for key in ("s", "a", "r"):
        page.press(key)
        page.message("the polygon is not closed, and nothing is saved")
    assert server.columns()["decision"][1] == ""
    assert np.array_equal(server.labels(1), before)

    page.press("Shift+Enter")
    page.save()
    changed = server.labels(1)
    assert (changed[22:24, 30:58] == 2).all()
    assert np.array_equal(changed[52:], before[52:])
    assert "polygon not closed" not in page.window.inner_text("#standing")


def test_a_polygon_outlives_other_tools_and_can_be_given_up(open_page):
    """Another tool leaves it as it is; with the polygon in hand, Esc forgets it."""
    page = open_page()
    page.go_to(1)
    page.press("p")
    page.click(20, 20)

    page.press("b")
    page.message("The polygon is kept open: P takes it in hand")
    page.press("Escape")
    page.message("P takes the polygon in hand; Esc then gives it up.")
    page.press("p", "Escape")

    page.window.locator("#standing", has_not_text="polygon not closed").wait_for()
    assert page.window.locator(".badge.unclosed").count() == 0


def test_flood_fill_takes_the_connected_pixels_of_one_class(open_page, server):
    """A painted island becomes another class as a whole, and no pixel beside it."""
    page = open_page()
    page.go_to(2)
    before = server.labels(2)
    kind = next(i for i in range(9) if i not in before[34:47, 44:77])
    island = page.paint(40, 50, 70, kind=kind)
    page.press("f", "0")  # void, which is no class of this place

    page.click(60, 40)
    page.save()

    assert np.array_equal(server.labels(2), np.where(island, 255, before))


def test_regions_are_taken_from_other_labels(open_page, server):
    """A region that was painted over is taken from the saved labels again, as one connected piece."""
    page = open_page()
    page.go_to(2)
    before = server.labels(2)
    kind = next(i for i in range(9) if i not in before[34:47, 44:77])
    stroke = page.paint(40, 50, 70, kind=kind)
    page.press("t")
    page.window.select_option("#take", "saved")

    for x, y in zip(*np.nonzero(stroke.T), strict=True):
        if page.unsaved:
            page.click(int(x), int(y))

    assert page.unsaved == 0


def test_undo_and_redo_go_stroke_by_stroke(open_page, server):
    """Two strokes are undone one by one; one is redone, and that is what is saved."""
    page = open_page()
    page.go_to(2)
    before = server.labels(2)
    first = page.paint(30, 20, 40, kind=1)
    page.paint(70, 80, 100, kind=2)

    page.press("Control+z", "Control+z")
    assert page.unsaved == 0
    page.press("Control+y", "s")
    page.message("saved as a key frame")

    assert np.array_equal(server.labels(2), np.where(first, 1, before))


def test_everything_can_be_done_by_keyboard(open_page, server):
    """Find a frame, draw with brush and polygon, save and accept, without a pointer."""
    page = open_page()
    page.press("n")
    worst = int(page.window.get_attribute("#strip", "aria-valuenow"))
    page.settle(worst)
    before = server.labels(worst)

    page.press("b", "2", *["["] * 7, "Enter")  # the cursor appears in the middle; the brush is one pixel wide
    page.press("Enter", *["Control+Shift+ArrowRight"] * 5, "Enter")
    page.press(
        "p", "3", *["Shift+ArrowUp"] * 2, "Enter", "Shift+ArrowRight", "Enter", "Shift+ArrowUp", "Enter"
    )
    page.press("Shift+Enter", "s")
    page.message("saved as a key frame")
    page.press("a")
    page.message("accepted")

    expected = before.copy()
    expected[page.H // 2, page.W // 2 : page.W // 2 + 6] = 1
    for row in range(9):  # a triangle: two sides of eight pixels at a right angle
        x, y = page.W // 2 + 5, page.H // 2 - 16 - row
        expected[y, x + row : x + 9] = 2
    assert np.array_equal(server.labels(worst), expected)
    assert server.columns()["decision"][worst] == "accepted"


def test_accepting_a_frame_saves_its_strokes_and_says_so(open_page, server):
    """Nobody accepts a frame and wonders where its strokes are."""
    page = open_page()
    page.go_to(1)
    page.paint(40, 30, 60, kind=2)

    page.press("a")

    page.message("Frame 1: saved as a key frame, and accepted.")
    assert page.unsaved == 0
    assert server.columns()["decision"][1] == "accepted"


def test_a_decision_on_labels_that_changed_is_open_again(open_page, server, tmp_path):
    """The sign and the words say so, N goes there again, and accepting anew makes it a plain one."""
    page = open_page()
    page.press("n")
    frame = int(page.window.get_attribute("#strip", "aria-valuenow"))
    page.settle(frame)
    page.press("a")
    page.message(f"Frame {frame}: accepted")
    assert page.window.inner_text(f'.cell[data-frame="{frame}"] .badge.accepted') == "✓"

    run = tmp_path / "run"  # what labelling again does, in one stroke
    names = [run / "labels/motion-only/street-000" / f"{k:06d}.png" for k in (frame, 4)]
    names[0].write_bytes(names[1].read_bytes())
    with closing(sqlite3.connect(run / "manifest.sqlite")) as connection, connection:
        connection.execute("UPDATE pseudo_label SET fingerprint = 'other' WHERE frame = ?", (frame,))
    page.window.reload()
    page.settle()

    assert page.window.inner_text(f'.cell[data-frame="{frame}"] .badge.changed') == "✓≠"
    page.press("n")
    page.settle(frame)
    page.message(f"Frame {frame}, accepted before labels changed: ")
    page.window.locator("#standing", has_text="accepted before labels changed").wait_for()
    assert page.window.get_attribute('[data-command="accept"]', "aria-pressed") == "false"
    page.press("a")
    page.message(f"Frame {frame}: accepted")
    assert page.window.inner_text(f'.cell[data-frame="{frame}"] .badge.accepted') == "✓"
    columns = server.columns()
    assert (columns["decision"][frame], columns["stale"][frame]) == ("accepted", 0)


def test_confidence_that_is_not_calibrated_is_said_on_the_page(open_page):
    """The order of the bars is usable, the numbers are not."""
    page = open_page()

    line = page.window.inner_text("#uncalibrated")

    assert "Confidence is not calibrated: the order of frames is usable, the numbers are not" in line
    assert "--calibrate" in line


def test_a_decision_can_be_taken_back(open_page, server):
    """The key R rejects a frame, R again leaves it without a decision."""
    page = open_page()
    page.go_to(3)

    page.press("r")
    page.message("Frame 3: rejected")
    assert server.columns()["decision"][3] == "rejected"
    page.press("r")
    page.message("no decision any more")
    assert server.columns()["decision"][3] == ""


def test_a_correction_can_be_taken_back_and_undone(open_page, server):
    """Without its correction a frame has the labels of the method again, and undo brings the strokes back."""
    page = open_page()
    page.go_to(2)
    before = server.labels(2)
    page.paint(60, 30, 90, kind=1)
    page.save()

    page.window.click("#take-back")
    page.message("is taken back")
    assert np.array_equal(server.labels(2), before)
    page.press("Control+z")
    assert page.unsaved == 1
