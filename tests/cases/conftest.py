"""Copy or build situations in which earlier versions went wrong, and call the command line on them."""

from __future__ import annotations

import importlib.util
import os
import runpy
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from warprefine.cli.commands import app
from warprefine.report import figures, sections

_MOTION_ONLY = ("--method=motion-only", "--motion=dis-ultrafast", "--threads=1")


class Call:
    """How a command ended, and all that it printed."""

    def __init__(self, result: Any) -> None:
        self.code: int = result.exit_code
        self.text = " ".join(f"{result.stdout} {result.stderr}".split())
        bug = result.exception
        assert bug is None or isinstance(bug, SystemExit), f"ends in a traceback: {bug!r}"
        assert "Traceback" not in self.text


def invoke(*words: object, **environment: str) -> Call:
    """Call `warprefine` with these words; it must not end in a traceback."""
    return Call(CliRunner().invoke(app, [str(word) for word in words], env=environment))


@pytest.fixture(scope="session")
def warprefine() -> Callable[..., Call]:
    """The command line as a function."""
    return invoke


@pytest.fixture(scope="session")
def motion_only() -> Callable[..., Call]:
    """`autolabel` with the quickest of methods, as a function of data, run folder and further words."""

    def labelled(data: Path | str, out: Path | str, *words: object) -> Call:
        return invoke("autolabel", data, "--out", out, *_MOTION_ONLY, *words)

    return labelled


@pytest.fixture(autouse=True)
def _reports_without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take most of the time of a small run, and have tests of their own."""
    monkeypatch.setattr(sections, "_chart", lambda draw, alt: "")
    monkeypatch.setattr(figures, "plot_horizon", lambda scores, kind: b"")
    monkeypatch.setattr(figures, "plot_hard_classes", lambda scores, classes, kind: b"")


@pytest.fixture(scope="session")
def cases(shared: Path) -> Path:
    """The folder of cases; tests that need it are skipped where it is absent."""
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}; say where the shared folder is with WARPREFINE_SHARED")
    return folder


@pytest.fixture
def case(cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A function that copies a case into the test's folder, and goes there."""

    def copied(name: str) -> Path:
        source, target = cases / name, tmp_path / "cases" / name
        shutil.copytree(source, target, copy_function=shutil.copyfile)
        for beside in source.parent.glob("*.*"):
            if beside.is_file():
                shutil.copyfile(beside, target.parent / beside.name)
        monkeypatch.chdir(target)
        return target

    return copied


@pytest.fixture
def made(
    case: Callable[[str], Path], tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """A function that copies a case, makes its data with its own `make.py`, and goes there."""

    def built(name: str, *words: object) -> Path:
        folder = case(name)
        shutil.rmtree(folder / "data", ignore_errors=True)
        script = folder / "make.py"
        monkeypatch.setenv("TINY", str(tiny_recipe))
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, words)])
        monkeypatch.setattr(sys, "path", [str(folder.parent), *sys.path])
        for module in ("lib", "scene"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        if (helpers := folder.parent / "lib.py").exists():
            monkeypatch.setitem(sys.modules, "lib", _library(helpers))
        with warnings.catch_warnings(action="ignore"):
            runpy.run_path(str(script), run_name="__main__")
        os.chdir(folder)  # the script may have gone elsewhere
        for module in ("lib", "scene"):
            sys.modules.pop(module, None)
        return folder

    return built


def _library(path: Path) -> Any:
    """Load what the scripts import, with an encoder that needs no program beside Python."""
    spec = importlib.util.spec_from_file_location("lib", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.encode = encode  # type: ignore[attr-defined]
    return module


def encode(frames: Sequence[np.ndarray], out: Path, options: str) -> None:
    """Encode frames as `ffmpeg OPTIONS OUT` does, for the options that the scripts use."""
    words = options.split()
    given = dict(zip(words[::2], words[1::2], strict=True))
    codec = given.get("-c:v", "libx264")
    private = {name: given[f"-{name}"] for name in ("x265-params", "crf") if f"-{name}" in given}
    draft = Path(tempfile.mkdtemp(dir=out.parent)) / out.name
    with av.open(str(draft), "w", format=given.get("-f")) as container:
        if "-metadata" in given:
            name, _, value = given["-metadata"].partition("=")
            container.metadata[name] = value
        stream: Any = container.add_stream(codec, rate=25, options=private)
        h, w = frames[0].shape[:2]
        stream.width, stream.height = map(int, given.get("-s", f"{w}x{h}").split("x"))
        stream.pix_fmt = given.get("-pix_fmt", "yuv420p")
        stream.gop_size = int(given.get("-g", 12))
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture.reformat(stream.width, stream.height)))
        container.mux(stream.encode())
    draft.replace(out)
    draft.parent.rmdir()
