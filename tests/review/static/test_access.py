"""Tests of review/static: whoever uses it, with whatever eyes, hands and window."""

from __future__ import annotations

import re

import pytest

SMALL = {"viewport": {"width": 640, "height": 360}, "device_scale_factor": 2}
"""A window of 1280 x 720 at a zoom of 200 %."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("options", [{}, SMALL], ids=["100 %", "200 %"])
def test_axe_finds_nothing_serious(open_page, scheme, options):
    """Light or dark, large or small, with a tool, labels beside and the list of keys."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="not installed: extra [dev]")
    page = open_page(color_scheme=scheme, **options)
    page.press("b", "v", "v", "c", "a")
    page.message("accepted")

    found = axe.Axe().run(page.window).response["violations"]
    page.press("?")
    page.window.locator("#help-keys").wait_for()
    found += axe.Axe().run(page.window).response["violations"]

    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == []


@pytest.mark.parametrize("options", [{}, SMALL], ids=["100 %", "200 %"])
def test_nothing_is_cut_off_at_the_side(open_page, options):
    """The page scrolls down where it must, and never sideways; each control is inside the window's width."""
    page = open_page(**options)

    width, room = page.window.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    boxes = [box.bounding_box() for box in page.window.locator("button, select, input").all()]

    assert width <= room
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= room for box in boxes if box)


def test_tab_reaches_every_control_and_shows_where_it_is(open_page):
    """Each control that is shown gets the focus in turn, with an outline around it or its label."""
    page = open_page()
    page.window.evaluate("document.activeElement.blur()")
    wanted = page.window.evaluate(
        """() => [...document.querySelectorAll("button, select, input, [tabindex='0']")]
          .filter((one) => one.checkVisibility() && (one.type !== "radio" || one.checked)).length"""
    )
    focus = """() => {
      const one = document.activeElement;
      const shown = [one, one.nextElementSibling].filter(Boolean).map((each) => getComputedStyle(each));
      return [one.id || one.outerHTML, shown.some(({ outlineStyle }) => outlineStyle !== "none")];
    }"""

    seen = {}
    for _ in range(wanted + 1):  # one more for the browser's own controls between the last and the first
        page.press("Tab")
        if not page.window.evaluate("document.activeElement === document.body"):
            name, outlined = page.window.evaluate(focus)
            seen[name] = outlined

    assert len(seen) == wanted
    assert all(seen.values())


def test_the_keyboards_cursor_is_spoken(open_page):
    """Moved by keys, the cursor says where it rests and which class is there."""
    page = open_page()
    page.press("Shift+ArrowRight", "Shift+ArrowRight")

    page.window.wait_for_timeout(500)

    assert re.fullmatch(r"\d+, \d+: .+", page.window.inner_text("#message"))


def test_marks_of_the_filmstrip_are_not_colours_alone(open_page):
    """A key frame has a letter, a decision a sign, an expected error a height; the slider says all of it."""
    page = open_page()
    page.go_to(3)
    page.press("a")
    page.message("accepted")

    assert page.window.inner_text('.cell[data-frame="4"] .badges') == "K"
    assert page.window.inner_text('.cell[data-frame="3"] .badges') == "✓"
    assert page.window.locator('.cell[data-frame="3"] .bar').bounding_box()["height"] >= 3
    spoken = page.window.get_attribute("#strip", "aria-valuetext")
    assert re.fullmatch(r"frame 3, accepted, [\d.]+ % expected errors", spoken)


def test_keys_without_ctrl_can_be_switched_off(open_page):
    """Then a letter does nothing outside of the frame and the filmstrip (WCAG 2.1.4)."""
    page = open_page()
    page.press("?")
    page.window.uncheck("#single-keys")
    page.press("Escape")

    page.window.focus("#overlay")
    page.press("b")
    assert page.window.get_attribute("#stage", "data-tool") == "move"
    page.window.focus("#stage")
    page.press("b")
    assert page.window.get_attribute("#stage", "data-tool") == "brush"


def test_nothing_moves_for_those_who_want_no_motion(open_page):
    """With reduced motion, no style of the page has a transition or animation."""
    page = open_page(reduced_motion="reduce")

    moving = page.window.evaluate(
        """() => [...document.querySelectorAll("*")].map((one) => getComputedStyle(one))
          .filter((one) => parseFloat(one.transitionDuration) > 0 || one.animationName !== "none").length"""
    )

    assert moving == 0
