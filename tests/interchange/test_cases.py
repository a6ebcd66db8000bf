"""Import every case of `shared/interchange`, made by the tools themselves or by their documentation."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.interchange.cases import INTERCHANGE, NEEDED, Case, find_cases, near_borders
from warprefine.cli.commands import app
from warprefine.core.errors import WarpRefineError
from warprefine.datasets import open_dataset
from warprefine.datasets.file_names import normal_form
from warprefine.io.images import read_labels

CASES = find_cases()
NO_CASES = [] if CASES else [pytest.param(None, marks=pytest.mark.skip(reason=f"no cases at {INTERCHANGE}"))]
LOOSE: set[str] = set()
"""Cases that are drawn by another rasterizer than the tool's, so that pixels beside borders differ."""


@pytest.mark.parametrize("case", [*(pytest.param(case, id=case.name) for case in CASES), *NO_CASES])
def test_an_export_gives_the_label_maps_that_its_tool_means(case: Case, tmp_path: Path) -> None:
    """Pixel by pixel; what must be refused is refused in one line that names the place."""
    _skip_what_is_missing(case)
    before = _files(case.data) if case.data else set()
    try:
        data, _ = case.run(tmp_path)
    except WarpRefineError as error:
        _check_refusal(case, str(error), tmp_path, before)
        return

    _check_import(case, data)


@pytest.mark.parametrize("case", [*(pytest.param(case, id=case.name) for case in CASES), *NO_CASES])
def test_the_command_line_imports_the_same(case: Case, tmp_path: Path) -> None:
    """It ends with 0, or with 2 and one line on stderr, and then there is nothing half-made."""
    _skip_what_is_missing(case)
    before = _files(case.data) if case.data else set()
    data, words = case.words(tmp_path)
    beside = {path.name for path in tmp_path.iterdir()} | {"data"}

    done = CliRunner().invoke(app, words, env={"COLUMNS": "9999"})

    assert {path.name for path in tmp_path.iterdir()} <= beside
    if done.exit_code == 0:
        _check_import(case, data)
        return
    assert done.exit_code == 2, done.output
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert line.startswith("error: ")
    _check_refusal(case, line.removeprefix("error: "), tmp_path, before)


def _skip_what_is_missing(case: Case) -> None:
    if find_spec(NEEDED.get(case.format, "numpy")) is None:
        pytest.skip(f"not installed: {NEEDED[case.format]}")


def _check_import(case: Case, data: Path) -> None:
    assert case.may_import, "it was imported, expected a refusal"
    dataset = open_dataset(data)
    found = {
        f"{normal_form(video.name)}/{video.stems[number]}": path
        for video in dataset.videos
        for number, path in video.labels.items()
    }
    assert any(_differences(case, found, data, folder) is None for folder in case.expected) or not (
        case.expected or found
    ), _differences(case, found, data, case.expected[0]) if case.expected else f"label maps of {[*found]}"
    for name, color in zip(case.names, case.colors, strict=False):
        if color is not None and name in dataset.classes.names:
            assert dataset.classes.colors[dataset.classes.position(name)] == tuple(color)


def _check_refusal(case: Case, message: str, folder: Path, before: set[str]) -> None:
    assert case.may_refuse, f"it was refused: {message}"
    assert "\n" not in message
    for word in case.mentions:
        assert word.lower() in message.lower(), message
    assert _files(folder / "data") == before


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _differences(case: Case, found: dict[str, Path], data: Path, expected: Path) -> str | None:
    """Return what is not as in a folder of expected label maps; None if all is."""
    classes = open_dataset(data).classes
    wanted = {f"{normal_form(path.parent.name)}/{path.stem}": path for path in expected.glob("*/*.png")}
    if found.keys() != wanted.keys():
        return f"label maps of {sorted(found)}, expected {sorted(wanted)}"
    names = [normal_form(name) for name in case.names]
    table = np.full(256, 254)
    table[255] = 255
    for position, name in enumerate(classes.names):
        if name in names:
            table[position] = names.index(name)
    for key, path in sorted(found.items()):
        labels = table[read_labels(path, classes)[0].numpy()]
        with Image.open(wanted[key]) as picture:
            truth = np.array(picture)
        different = labels != truth
        if case.tolerance and case.name in LOOSE:
            different &= ~near_borders(truth, case.tolerance)
        if case.ambiguous is not None and (case.ambiguous / f"{key}.png").is_file():
            with Image.open(case.ambiguous / f"{key}.png") as picture:
                different &= np.array(picture) != 255
        if different.any():
            y, x = np.argwhere(different)[0]
            first = f"x={x} y={y}: {labels[y, x]}, not {truth[y, x]}"
            return f"{key}: {different.sum()} pixels differ, first {first}"
    return None
