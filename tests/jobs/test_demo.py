"""Tests of jobs/demo.py: the demo in small, from an empty folder to a report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from warprefine import Dataset, FinishedRun, Recipe, load_recipe
from warprefine.cluster.processes import ProcessEngine
from warprefine.core.engine import HERE
from warprefine.core.errors import DeviceError, RunFolderError
from warprefine.core.forecast import ESTIMATING
from warprefine.io.run import RunFolder
from warprefine.jobs import demo
from warprefine.propagation.methods import METHODS


@pytest.fixture(autouse=True)
def _in_small(monkeypatch: pytest.MonkeyPatch, tiny_recipe: Path) -> None:
    """Make the street small and the training short."""
    monkeypatch.setattr(demo, "SMALL", load_recipe(tiny_recipe))
    for name, value in {
        "VIDEOS": 1,
        "LENGTH": 5,
        "KEY_FRAME": 2,
        "HORIZON": 2,
        "HEIGHT": 48,
        "WIDTH": 64,
    }.items():
        monkeypatch.setattr(demo, name, value)


@pytest.fixture
def labelled(monkeypatch: pytest.MonkeyPatch) -> list[Dataset]:
    """Collect what would be labelled, and label nothing."""
    datasets: list[Dataset] = []

    def start(dataset: Dataset, out: Path, **_: Any) -> Path:
        datasets.append(dataset)
        return out

    def pretend(out: Path, methods: Any) -> FinishedRun:
        return FinishedRun(run=RunFolder(out), dataset=datasets[-1], horizon=2, recipe=Recipe(), methods=())

    monkeypatch.setattr(demo, "start", start)
    monkeypatch.setattr(demo, "Networks", lambda out: out)
    monkeypatch.setattr(demo, "label", pretend)
    return datasets


class Told:
    """Progress that keeps what it was told about the time that is left."""

    def __init__(self) -> None:
        self.forecasts: list[str] = []

    def forecast(self, text: str) -> None:
        self.forecasts.append(text)

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Take a report; only forecasts are kept."""


def test_the_demo_shows_every_method_with_scores(tmp_path: Path) -> None:
    """One command makes a data set, labels it and scores the labels; it says how long that still takes."""
    told = Told()
    finished = demo.run_demo(tmp_path, progress=told)

    assert list(finished.scores) == list(METHODS)
    assert finished.scores["oracle"].miou == 100
    assert sorted(path.name for path in (tmp_path / "data/videos").iterdir()) == ["street-000"]
    assert (tmp_path / "report.html").is_file()
    *during, at_the_end = told.forecasts
    begin = [text for text in during if text == ESTIMATING]
    assert begin == during[: len(begin)] != []  # nothing is said before a few units are measured
    assert all(re.fullmatch(r"\d+:\d\d left", text) for text in during[len(begin) :] if text)  # no stages
    assert len(set(during)) > 2, "a forecast that does not move"
    assert at_the_end == ""


def test_several_processes_show_the_same(tmp_path: Path) -> None:
    """Networks are trained and videos labelled by processes, as the command does with several cores."""
    here, together = (
        demo.run_demo(tmp_path / name, engine=engine)
        for name, engine in {"here": HERE, "together": ProcessEngine(workers=2)}.items()
    )

    assert together.scores == here.scores


@pytest.mark.usefixtures("labelled")
def test_the_street_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time, the data set is there already, also if another seed is asked for."""
    demo.run_demo(tmp_path)
    monkeypatch.setattr(demo, "write_street", None)

    demo.run_demo(tmp_path)
    demo.run_demo(tmp_path, seed=1)


def test_a_street_that_is_half_made_is_made_whole(tmp_path: Path, labelled: list[Dataset]) -> None:
    """What a killed demo left is not taken for a data set."""
    demo.run_demo(tmp_path / "whole", seed=3)
    half = tmp_path / "half/.data/videos/street-000/frames/000001.jpg"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")

    demo.run_demo(tmp_path / "half", seed=3)

    whole, half_made = ([path.read_bytes() for path in d.videos[0].frame_paths] for d in labelled)
    assert half_made == whole
    assert not (tmp_path / "half/.data").exists()


def test_another_seed_wants_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set and the labels of one seed are not mixed with those of another."""
    monkeypatch.setattr(demo, "METHODS", ("motion-only",))
    demo.run_demo(tmp_path)

    with pytest.raises(
        RunFolderError, match="holds a run with seed = 0, but this command says 1; choose another"
    ):
        demo.run_demo(tmp_path, seed=1)


def test_a_device_that_is_not_there_makes_no_street(tmp_path: Path) -> None:
    """The demo looks before it leaps, too."""
    with pytest.raises(DeviceError, match="device 'quantum' cannot be used here"):
        demo.run_demo(tmp_path, device="quantum")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_run_is_left_alone(tmp_path: Path) -> None:
    """Nothing is rendered into it."""
    (tmp_path / "job.json").write_text("{}")

    with pytest.raises(RunFolderError, match="holds a run that is not the demo's; expected an empty folder"):
        demo.run_demo(tmp_path)

    assert not (tmp_path / "data").exists()
    assert not (tmp_path / ".data").exists()
