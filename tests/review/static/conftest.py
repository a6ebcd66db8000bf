"""The review page in a real browser, on a real run: fixtures and a hand on pointer and keyboard."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from warprefine.datasets import open_dataset
from warprefine.datasets.street import write_street
from warprefine.jobs.autolabel import autolabel

TOKEN = "a-token-for-tests"
METHOD = "motion-only"
H, W = 96, 128
WINDOW = {"width": 1280, "height": 720}
PATIENCE = 60_000
"""Milliseconds to wait for what should be there at once, on a machine that is busy."""


@dataclass(frozen=True)
class Server:
    """A review server of one run, and what it has saved."""

    url: str

    def get(self, path: str) -> bytes:
        """Return the body of an answer."""
        request = urllib.request.Request(f"{self.url}/api/{path}", headers={"X-Warprefine-Token": TOKEN})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    def columns(self) -> dict[str, list[Any]]:
        """Return what is known of each frame of the first video."""
        return dict(json.loads(self.get(f"videos/0/frames?method={METHOD}")))

    def wait_for_errors(self) -> None:
        """Wait until the expected errors are read, which the server does on the side."""
        while True:
            columns = self.columns()
            rows = zip(columns["error"], columns["labelled"], columns["key"], strict=True)
            if all(error is not None for error, labelled, key in rows if labelled and not key):
                return
            time.sleep(0.05)

    def labels(self, frame: int) -> np.ndarray:
        """Return the label map of a frame of the first video, as it is saved now."""
        body = self.get(f"videos/0/frames/{frame}/labels?method={METHOD}")
        return np.array(Image.open(io.BytesIO(body)))


class ReviewPage:
    """A page in a window, with what people do to it."""

    H, W = H, W

    def __init__(self, window: Any) -> None:
        self.window = window

    def settle(self, frame: int | None = None) -> None:
        """Wait until a frame, with its labels, is on screen."""
        number = "" if frame is None else f'="{frame}"'
        self.window.wait_for_selector(f"#stage[data-frame{number}]", timeout=PATIENCE)

    def message(self, words: str) -> None:
        """Wait until the page says something."""
        self.window.locator("#message", has_text=words).wait_for(timeout=PATIENCE)

    @property
    def unsaved(self) -> int:
        """How many frames have strokes that are not saved, from the title of the page."""
        title = str(self.window.title())
        return int(title[1:].split(maxsplit=1)[0]) if title.startswith("(") else 0

    def press(self, *keys: str) -> None:
        """Press keys one after another."""
        for key in keys:
            self.window.keyboard.press(key)

    def go_to(self, frame: int) -> None:
        """Go to a frame by its number."""
        self.window.fill("#frame", str(frame))
        self.press("Enter")
        self.settle(frame)
        self.window.focus("#stage")

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where the centre of a pixel is in the window, while the frame is fitted to it."""
        box = self.window.locator("#pane-main canvas").bounding_box()
        scale = min(box["width"] / W, box["height"] / H)
        left = box["x"] + (box["width"] - scale * W) / 2
        top = box["y"] + (box["height"] - scale * H) / 2
        return left + scale * (x + 0.5), top + scale * (y + 0.5)

    def click(self, x: float, y: float) -> None:
        """Click on a pixel."""
        self.window.mouse.click(*self.place(x, y))

    def paint(self, y: int, x0: int, x1: int, *, kind: int) -> np.ndarray:
        """Draw a level line of a class with the mouse, seven pixels wide; return the pixels of it."""
        self.press("b", str(kind + 1))
        self.window.locator("#size").fill("7")
        self.window.mouse.move(*self.place(x0, y))
        self.window.mouse.down()
        self.window.mouse.move(*self.place(x1, y), steps=4)
        self.window.mouse.up()
        rows, columns = np.mgrid[:H, :W]
        beyond = np.maximum(np.maximum(x0 - columns, columns - x1), 0)
        return np.asarray(np.hypot(beyond, rows - y) <= 3.5)

    def save(self) -> None:
        """Save, and wait until it is done."""
        self.press("s")
        self.message("saved as a key frame")


@pytest.fixture(scope="package")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a method that trains nothing, on two short streets."""
    data = tmp_path_factory.mktemp("page") / "data"
    write_street(data, videos=2, length=9, start=4, step=9, h=H, w=W)
    out = data.parent / "run"
    autolabel(open_dataset(data), out, horizon=4, methods=(METHOD,))
    return out


@contextmanager
def serving(run: Path, *, port: int = 0, redo: bool = False) -> Iterator[Server]:
    """Serve a run in a thread, at a free port unless one is named."""
    uvicorn = pytest.importorskip("uvicorn", reason="not installed: extra [review]")
    review_app = pytest.importorskip("warprefine.review.app", reason="not installed: extra [review]")
    if port == 0:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
    app = review_app.make_app(run, token=TOKEN, redo=redo)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    app.state.is_stopping = lambda: running.should_exit
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started and thread.is_alive():
        time.sleep(0.02)
    try:
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        running.should_exit = True
        thread.join()


@pytest.fixture
def server(finished_run: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of a copy of the run, so that no test sees what another one has saved.

    Nothing is labelled again beside corrections, unless the fixture's parameter is True.
    """
    run = shutil.copytree(finished_run, tmp_path / "run")
    with serving(run, redo=getattr(request, "param", False)) as started:
        started.wait_for_errors()
        yield started


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """One browser for all tests."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: extra [dev]")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium is installed: apt install chromium")
    with api.sync_playwright() as started:
        root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's sandbox refuses root
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"] if root else [])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any, server: Server) -> Iterator[Callable[..., ReviewPage]]:
    """Open the page in a window of its own; in the end, check that it had no error and asked nobody else."""
    with pages_of(chromium, server) as opened:
        yield opened


@contextmanager
def pages_of(chromium: Any, server: Server) -> Iterator[Callable[..., ReviewPage]]:
    """Yield a function that opens the page of a server, and check its pages in the end."""
    problems: list[str] = []
    contexts = []

    def watch(window: Any) -> None:
        window.on("pageerror", lambda error: problems.append(str(error)))
        window.on("console", lambda line: "Content Security" in line.text and problems.append(line.text))
        window.on(
            "request", lambda asked: asked.url.startswith((server.url, "data:")) or problems.append(asked.url)
        )

    def opened(**options: Any) -> ReviewPage:
        contexts.append(chromium.new_context(**{"viewport": WINDOW, **options}))
        window = contexts[-1].new_page()
        watch(window)
        window.goto(f"{server.url}/?token={TOKEN}")
        page = ReviewPage(window)
        page.settle()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []
