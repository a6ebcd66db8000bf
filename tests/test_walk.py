"""Follow one frame from file to label, as docs/design.md and the README describe it."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch

from warprefine import autolabel, open_dataset
from warprefine.datasets.street import write_street
from warprefine.jobs import autolabel as main_job
from warprefine.recipe.recipe import Recipe, load_recipe

ROOT = Path(__file__).parent.parent
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
STEPS = [
    name
    for line in re.findall(r"^\d+\. (.*(?:\n    .*)*)", DESIGN, re.MULTILINE)
    for name in re.findall(r"`((?:datasets|io|jobs|ops|propagation)\.[\w.]+)`", line)
]
PROPAGATE = "propagation.run.propagate"


def place(name: str) -> tuple[str, str]:
    """Return the file and the qualified name of a function that the page names."""
    parts = f"warprefine.{name}".split(".")
    modules = [i for i in range(len(parts), 1, -1) if _is_module(parts[:i])]
    module = importlib.import_module(".".join(parts[: modules[0]]))
    found: Any = module
    for part in parts[modules[0] :]:
        found = getattr(found, part)
    assert callable(found)
    assert module.__file__ is not None
    return module.__file__, ".".join(parts[modules[0] :])


def _is_module(parts: list[str]) -> bool:
    path = ROOT.joinpath("src", *parts)
    return path.is_dir() or path.with_suffix(".py").is_file()


@contextmanager
def recorded(places: dict[tuple[str, str], str]) -> Iterator[list[str]]:
    """Record the functions at these places, whenever one is called."""
    calls: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            name = places.get((frame.f_code.co_filename, frame.f_code.co_qualname))
            if name is not None:
                calls.append(name)

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set folder with one video, called NAME, whose middle frame is labelled."""
    write_street(tmp_path / "DATA", videos=1, length=21, start=10, step=21, h=48, w=64)
    (video,) = (tmp_path / "DATA" / "videos").iterdir()
    video.rename(video.with_name("NAME"))
    return tmp_path / "DATA"


def test_the_walk_has_at_most_fifteen_functions() -> None:
    """The way from file to label is short enough to read."""
    assert 12 <= len(STEPS) <= 15
    assert len(re.findall(r"^\d+\. ", DESIGN, re.MULTILINE)) == 15


def test_a_frame_passes_the_functions_in_the_order_of_the_page(
    data: Path, tmp_path: Path, tiny_recipe: Path
) -> None:
    """The page is true: these functions are called, in this order, on the way of a frame."""
    with recorded({place(name): name for name in STEPS}) as calls:
        dataset = open_dataset(data)
        autolabel(
            dataset,
            tmp_path / "RUN",
            horizon=2,
            methods=["warp-refine-plus"],
            recipe=load_recipe(tiny_recipe),
        )

    begin = calls.index(PROPAGATE)
    before, after = list(dict.fromkeys(calls[:begin])), list(dict.fromkeys(calls[begin:]))
    at = STEPS.index(PROPAGATE)
    assert [name for name in before if name in STEPS[:at]] == STEPS[:at]
    assert after == STEPS[at:]


def test_the_python_of_the_readme_runs(
    data: Path, tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines of the README label a video; only the default recipe is replaced, by one for seconds."""
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    tiny = load_recipe(tiny_recipe)
    monkeypatch.setattr(main_job, "Recipe", lambda: tiny)
    monkeypatch.chdir(data.parent)

    exec(compile(blocks[0], "README.md", "exec"), {})

    printed = capsys.readouterr().out.splitlines()
    assert isinstance(tiny, Recipe)
    assert any(line.startswith("propagating: 60 of 60 NAME") for line in printed)
    assert "NAME: 21 of 21 frames labelled" in printed
    frames = printed[-21:]
    assert frames[10] == f"10 {torch.Size([1, 48, 64])} 1.0 (10,)"

    pictures = np.stack([np.roll(np.arange(48 * 64 * 3).reshape(48, 64, 3) % 251, k, 1) for k in range(41)])
    labels = np.tri(48, 64, dtype=np.uint8)
    names = {"frames": pictures.astype(np.uint8), "labels_0": labels, "labels_40": labels}
    exec(compile(blocks[1], "README.md", "exec"), names)

    assert names["result"].labels[20].shape == (48, 64)
    assert len(blocks) == 2
