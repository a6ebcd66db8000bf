"""The whole loop as an annotator goes through it: a real server, a real browser, a crash, an export."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.review.live_server import Server as LiveServer
from tests.review.static.conftest import METHOD, WINDOW, ReviewPage
from warprefine import FinishedRun
from warprefine.core.tensors import VOID
from warprefine.io.images import read_labels

pytest.importorskip("uvicorn", reason="not installed: extra [review]")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
KEY, BUILDING, CAR = 4, 1, 5
COLUMNS = f"/api/videos/0/frames?method={METHOD}"


def settled_errors(live: LiveServer) -> list[float]:
    """Return the expected errors of the first video once all are read; 0 where there are none."""
    while True:
        columns = live.json("GET", COLUMNS)
        rows = zip(columns["error"], columns["labelled"], columns["key"], strict=True)
        if all(error is not None for error, labelled, key in rows if labelled and not key):
            return [error or 0.0 for error in columns["error"]]
        time.sleep(0.05)


def exported(run: Path, to: Path, form: str) -> Path:
    """Export the frames labelled by hand and by correction with the command; return the folder."""
    words = [sys.executable, "-m", "warprefine", "export", form, str(run), str(to), "--frames", "key"]
    subprocess.run(words, check=True, capture_output=True)
    return to


def corrected_in_browser(chromium: Any, run: Path) -> tuple[int, int, np.ndarray]:
    """Correct the worst frame by brush and polygon, accept its neighbour once it is mended, kill the server.

    Returns:
        The corrected frame, its neighbour, and the pixels of the brush.
    """
    live = LiveServer(run)
    window = chromium.new_context(viewport=WINDOW).new_page()
    window.goto(f"http://127.0.0.1:{live.port}/?token={live.token}")
    page = ReviewPage(window)
    page.settle()

    errors = settled_errors(live)
    frame = max(range(len(errors)), key=lambda k: errors[k])
    page.go_to(KEY)
    page.press("n")
    page.settle(frame)
    painted = page.paint(60, 30, 90, kind=CAR)
    page.press("p", str(BUILDING + 1))
    for x, y in ((20, 10), (60, 10), (60, 30)):
        page.click(x, y)
    window.mouse.dblclick(*page.place(20, 30))
    page.save()
    neighbour = frame - 1 if frame > KEY else frame + 1
    page.go_to(neighbour)
    window.locator("#message", has_text=f"Frame {neighbour} has new labels").wait_for(timeout=240_000)
    page.press("a")
    page.message("accepted")
    window.context.close()
    live.kill()
    return frame, neighbour, painted


def test_the_worst_frame_is_corrected_and_the_rest_follows(chromium, finished_run, tmp_path) -> None:
    """Find, correct by brush and polygon, see neighbours mended, accept; killed and started, all is there."""
    coco = pytest.importorskip("pycocotools.coco", reason="not installed: extra [formats]")
    run = shutil.copytree(finished_run, tmp_path / "run")
    frame, neighbour, painted = corrected_in_browser(chromium, run)

    again = LiveServer(run)
    try:
        columns = again.json("GET", COLUMNS)
        assert columns["key"][frame] == 2
        assert columns["decision"][neighbour] == "accepted"
    finally:
        again.kill()

    finished = FinishedRun.open(run)
    classes, name = finished.dataset.classes, finished.dataset.videos[0].name
    labels = read_labels(run / "corrections" / name / f"{frame:06d}.png", classes)[0].numpy()
    assert (labels[painted] == CAR).mean() > 0.9
    assert (labels[12:28, 24:56] == BUILDING).all()
    assert _by_coco(coco, exported(run, tmp_path / "coco", "coco"), name, frame, labels.shape) == {
        int(value) for value in np.unique(labels[labels != VOID])
    }
    back = tmp_path / "back"
    exported(run, tmp_path / "cvat", "cvat-images")
    pictures = tmp_path / "pictures"
    for one in finished.dataset.videos:
        shutil.copytree(one.frame_paths[0].parent, pictures / one.name)
    words = ["import", "cvat-images", str(tmp_path / "cvat"), str(back), "--frames", str(pictures)]
    subprocess.run([sys.executable, "-m", "warprefine", *words], check=True, capture_output=True)
    (again_labels,) = back.rglob(f"{name}/labels/{frame:06d}.png")
    assert np.array_equal(read_labels(again_labels, classes)[0].numpy(), labels)


def _by_coco(coco, folder: Path, name: str, frame: int, size: tuple[int, ...]) -> set[int]:
    """Read an export with pycocotools; return the classes of a frame, each mask of the frame's size."""
    (path,) = folder.rglob("*.json")
    api = coco.COCO(str(path))
    images = [one for one in api.imgs.values() if name in one["file_name"]]
    (image,) = (one for one in images if f"{frame:06d}" in one["file_name"])
    annotations = api.loadAnns(api.getAnnIds(imgIds=[image["id"]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own
        assert all(api.annToMask(one).shape == size for one in annotations)
    names = [one["name"] for one in sorted(api.cats.values(), key=lambda one: one["id"])]
    return {names.index(api.cats[one["category_id"]]["name"]) for one in annotations}
