"""Measure the review page in a real browser: opening, turning pages, mending neighbours, memory.

Needs Linux, Chromium and the extra `dev`. With a folder of a finished run, a copy of it is measured; without
one, a run of 10,000 small frames is made first, which takes minutes.

Example: python benchmarks/review_page.py
Example: python benchmarks/review_page.py runs/clip --correct 5
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from warprefine import autolabel, open_dataset
from warprefine.datasets.street import write_street

_FRAMES, _EVERY = 10_000, 20
_TURNS = 40


def make_run(folder: Path, frames: int) -> Path:
    """Label a long video, one street again and again, by motion alone; return the run folder."""
    write_street(folder / "data", videos=1, length=100, start=0, step=_EVERY, h=90, w=160)
    video = folder / "data" / "videos" / "street-000"
    shutil.rmtree(video / "truth")
    for kind, ending in (("frames", "jpg"), ("labels", "png")):
        for path in sorted((video / kind).iterdir()):
            for number in range(int(path.stem) + 100, frames, 100):
                (video / kind / f"{number:06d}.{ending}").hardlink_to(path)
    run = folder / "run"
    autolabel(open_dataset(folder / "data"), run, horizon=_EVERY, methods=("motion-only",))
    return run


@contextmanager
def served(run: Path) -> Iterator[tuple[str, int]]:
    """Start `warprefine review`; yield the address that it prints, and its process number."""
    words = [sys.executable, "-u", "-m", "warprefine", "review", str(run), "--no-browser"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        found = None
        while found is None:
            found = re.search(r"http://\S+token=\S+", process.stdout.readline())
        yield found[0], process.pid
    finally:
        process.terminate()
        process.wait()


def resident(pid: int) -> float:
    """Return the memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def shown(page: Page, frame: int | None = None) -> None:
    """Wait until a frame is on screen with its labels."""
    number = "" if frame is None else f'="{frame}"'
    page.wait_for_selector(f"#stage[data-frame{number}]", timeout=60_000)


def turn(page: Page, frame: int) -> float:
    """Go to the next frame; return how long it takes until it is shown, in milliseconds."""
    begin = time.monotonic()
    page.keyboard.press("ArrowRight")
    shown(page, frame)
    return 1000 * (time.monotonic() - begin)


def correct(page: Page, frame: int) -> float:
    """Draw a line into a frame, save it, look at its neighbour; return the seconds until that is mended."""
    page.fill("#frame", str(frame))
    page.keyboard.press("Enter")
    shown(page, frame)
    page.focus("#stage")
    box: Any = page.locator("#pane-main canvas").bounding_box()
    page.keyboard.press("b")
    page.keyboard.press("2")
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.6 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.6 * box["height"], steps=5)
    page.mouse.up()
    page.keyboard.press("s")
    begin = time.monotonic()
    page.locator("#message", has_text="saved as a key frame").wait_for(timeout=60_000)
    page.fill("#frame", str(frame + 1))
    page.keyboard.press("Enter")
    page.locator("#message", has_text=f"Frame {frame + 1} has new labels").wait_for(timeout=240_000)
    return time.monotonic() - begin


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", type=Path, help="a finished run")
    parser.add_argument("--frames", type=int, default=_FRAMES, help="of the run that is made")
    parser.add_argument("--correct", type=int, help="correct this frame, and time its neighbour")
    parser.add_argument("--screenshot", type=Path, help="write the page as PNG, at last")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="warprefine-review_page-") as folder:
        copy = Path(folder) / "run"
        run = shutil.copytree(options.run, copy) if options.run else make_run(Path(folder), options.frames)
        with served(run) as (address, server), sync_playwright() as started:
            program = shutil.which("chromium") or shutil.which("google-chrome")
            browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            begin = time.monotonic()
            page.goto(address)
            shown(page)
            print(f"opened in {time.monotonic() - begin:.2f} s", flush=True)
            page.focus("#stage")
            before = resident(server)
            times = [turn(page, frame) for frame in range(1, _TURNS + 1)]
            print(f"a change of frame: median {statistics.median(times):.0f} ms, longest {max(times):.0f} ms")
            print(f"memory of the server: {before:.0f} MiB, then {resident(server):.0f} MiB")
            if options.correct is not None:
                print(f"neighbour mended {correct(page, options.correct):.1f} s after saving", flush=True)
            if options.screenshot:
                page.screenshot(path=options.screenshot)
            browser.close()


if __name__ == "__main__":
    main()
