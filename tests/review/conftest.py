"""A small run to review, and requests to its server."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from warprefine import load_recipe, open_dataset
from warprefine.jobs.labelled_data import record_labelled
from warprefine.jobs.labellers import make_job
from warprefine.jobs.networks import Networks
from warprefine.jobs.start import start
from warprefine.propagation.run import propagate

fastapi = pytest.importorskip("fastapi", reason="not installed: extra [review]")
from starlette.testclient import TestClient  # noqa: E402

from warprefine.review.app import make_app  # noqa: E402

TOKEN = "the-token-of-the-tests"
PORT = 8765


@pytest.fixture(scope="session")
def reviewed(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that labelled two streets by motion; copy it before you change it."""
    out = tmp_path_factory.mktemp("review") / "run"
    # As `autolabel` does it, without scores and a report.
    context = start(open_dataset(tiny_data), out, horizon=3, recipe=load_recipe(tiny_recipe), training=False)
    job = make_job(Networks(context), ["motion-only", "oracle"])
    propagate(job, context.run)
    record_labelled(context.run, context.dataset, job.methods, horizon=context.horizon)
    return out


@pytest.fixture
def run(reviewed: Path, tmp_path: Path) -> Path:
    """A run of one's own, to correct."""
    return shutil.copytree(reviewed, tmp_path / "run")


@pytest.fixture
def client(run: Path) -> Iterator[TestClient]:
    """A browser that has opened the page; nothing is labelled again meanwhile."""
    app = make_app(run, token=TOKEN, redo=False)
    base = f"http://127.0.0.1:{PORT}"
    with TestClient(app, base_url=base, headers={"Origin": base}) as opened:
        opened.get("/", params={"token": TOKEN}, follow_redirects=False)
        yield opened


@pytest.fixture(scope="session")
def png() -> Callable[..., bytes]:
    """A function that draws a grey PNG of one value, 48 x 64 unless another size is given."""

    def drawn(value: int = 2, *, h: int = 48, w: int = 64, mode: str = "L") -> bytes:
        file = io.BytesIO()
        Image.fromarray(np.full((h, w), value, np.uint8)).convert(mode).save(file, "PNG")
        return file.getvalue()

    return drawn


@pytest.fixture(scope="session")
def pixels() -> Callable[[bytes], np.ndarray]:
    """A function that reads the pixels of a picture."""
    return lambda content: np.array(Image.open(io.BytesIO(content)))


@pytest.fixture(scope="session")
def one_line() -> Callable[[object], bool]:
    """A function that says whether an answer is an error of one line."""
    return lambda answer: isinstance(answer, dict) and bool(re.fullmatch(r"\S[^\n]*", answer["error"]))
