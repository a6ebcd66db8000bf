"""URLs on the command line: what takes them, and what refuses them before anything is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from warprefine.cli.run import _check_urls
from warprefine.core.errors import StorageError
from warprefine.io.places import place_of
from warprefine.io.storage import Storage
from warprefine.training.engine.distributed import World


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder in memory; mirrors lie in a folder of the test."""
    monkeypatch.setenv("WARPREFINE_MIRRORS", str(tmp_path / "mirrors"))
    return f"memory://{tmp_path}"


def test_data_by_url_are_inspected(warprefine: Any, url: str, tiny_data: Path) -> None:
    """A data set in a storage is listed and checked as one on the disk is."""
    names = {path.relative_to(tiny_data).as_posix(): path for path in tiny_data.rglob("*") if path.is_file()}
    Storage(f"{url}/data").upload(names)

    found, here = warprefine("inspect", f"{url}/data", "--check"), warprefine("inspect", tiny_data, "--check")

    assert found.exit_code == 0
    assert found.stdout == here.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "DATA holds no files; see to the names of bucket and folder"),
        (["--format", "coco"], "DATA is a URL, and --format imports into a folder of this machine"),
    ],
)
def test_a_mistake_in_a_url_is_one_line(warprefine: Any, url: str, options: list[str], told: str) -> None:
    """A wrong name, or an export by URL, ends the command with the URL that was given, and writes no run."""
    result = warprefine("autolabel", f"{url}/none", "--out", f"{url}/run", *options)

    assert result.exit_code == 2
    assert told.replace("DATA", f"{url}/none") in result.stderr
    assert Storage(f"{url}/run").files() == {}


def test_commands_that_take_folders_make_none_of_a_url(
    warprefine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A demo cannot go to a storage, and does not go into a folder that is named as one."""
    monkeypatch.chdir(tmp_path)

    result = warprefine("demo", "--out", "s3://bucket/run")

    assert result.exit_code == 2
    assert "s3://bucket/run is a URL, but `warprefine demo` takes a path of this machine" in result.stderr
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["student", "s3://bucket/run", "--out", "student"], "RUN"),
        (["student", "run", "--out", "gs://bucket/run"], "--out"),
        (["autolabel", "data", "--out", "run", "--cache", "s3://bucket/run"], "--cache"),
        (["convert", "camvid32", "s3://bucket/run", "--out", "data"], "root"),
    ],
)
def test_what_takes_no_url_says_what_does(warprefine: Any, words: list[str], what: str) -> None:
    """The URL is shown as it was given, and the commands that take one are named."""
    result = warprefine(*words)

    assert result.exit_code == 2
    assert f"://bucket/run is a URL, but `warprefine {words[0]}" in result.stderr
    assert f"takes a path of this machine for {what};" in result.stderr
    assert (
        "URLs are for the data and runs of autolabel, evaluate, export, inspect, propagate," in result.stderr
    )


@pytest.mark.parametrize("words", [["inspect"], ["autolabel", "data", "--out"], ["demo", "--out"]])
def test_a_web_address_is_no_storage(warprefine: Any, words: list[str]) -> None:
    """A web server lists no folders; what to do is said by all commands alike."""
    result = warprefine(*words, "https://example.org/data")

    assert result.exit_code == 2
    assert "https://example.org/data is a web address, which can only be read" in result.stderr
    assert "download it first" in result.stderr


def test_processes_of_torchrun_take_no_url(url: str) -> None:
    """Several processes cannot share a run by URL, and say so before they begin."""
    with pytest.raises(StorageError, match="which processes of torchrun cannot share"):
        _check_urls({"data": place_of(f"{url}/data"), "out": Path("run")}, World(rank=0, size=2))
