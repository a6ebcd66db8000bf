"""Tests of ops/compiled.py: compiled code lies where its user can write."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from warprefine.ops import compiled


def test_compiled_code_lies_in_the_cache_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written beside the source, which may belong to somebody else."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert compiled.cache_folder() == tmp_path / "warprefine/compiled"
    assert compiled.cache_folder().is_dir()


def test_it_runs_without_a_home_and_beside_a_source_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container there may be neither a home nor a writable installation: a temporary folder serves."""
    nowhere = tmp_path / "file"
    nowhere.touch()  # nobody, not even root, can write below a file
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere / "cache"))
    monkeypatch.setattr(compiled, "__file__", str(nowhere / "compiled.py"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    folder = compiled.cache_folder()

    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0, "what lies there is run: nobody else may write"
