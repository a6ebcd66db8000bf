"""Tests of cli/log.py: what a run did, and when, stands in its log."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from warprefine.cli import log as module
from warprefine.cli.log import TaskLog, log_to
from warprefine.core.errors import RunFolderError

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING|ERROR) warprefine\S*: (.*)")


def messages(run: Path) -> list[str]:
    """Return what the log of a run says, without times."""
    lines = (run / "log.txt").read_text(encoding="utf-8").splitlines()
    return [found[2] for line in lines if (found := LINE.fullmatch(line))]


def test_a_log_is_written_while_it_is_open(tmp_path: Path) -> None:
    """What the library logs during a run is appended to the run's log, and nothing after it."""
    logger = logging.getLogger("warprefine.somewhere")
    for number in range(2):
        with log_to(tmp_path / "run"):
            logger.info("step %d", number)
        logger.info("outside")

    said = messages(tmp_path / "run")
    assert [message for message in said if message.startswith("step")] == ["step 0", "step 1"]
    assert "outside" not in said


def test_a_log_says_which_command_ran_and_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds a run a year later learns how it was made."""
    monkeypatch.setattr("sys.argv", ["warprefine", "autolabel", "my data", "--out", "run"])

    with log_to(tmp_path / "run"):
        pass

    command, versions, end = messages(tmp_path / "run")
    assert command == "warprefine autolabel 'my data' --out run"
    assert re.fullmatch(r"warprefine \S+, Python 3\.\S+, torch \S+ with \d+ threads", versions)
    assert re.fullmatch(r"finished after \d+\.\d s", end)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyboardInterrupt(), r"stopped by hand after \d+\.\d s"),
        (RunFolderError("the disk is full"), "the disk is full"),
        (OSError(5, "Input/output error"), r"ended by an error after \d+\.\d s"),
    ],
    ids=["stopped", "mistake", "refusal"],
)
def test_a_log_says_why_a_run_ended(tmp_path: Path, error: BaseException, said: str) -> None:
    """Also where nobody looked at the screen."""
    with pytest.raises(type(error)), log_to(tmp_path / "run"):
        raise error

    assert re.fullmatch(said, messages(tmp_path / "run")[-1])


def test_a_log_has_the_beginning_and_the_end_of_each_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And how long it took; a task that was done before is one line."""
    clock = iter([0.0, 10.0, 22.5, 30.0, 30.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock, 99.0)))
    tasks = TaskLog()

    with log_to(tmp_path / "run"):
        for done in (100, 300, 400):
            tasks("training segmenter", done, 400, f"loss 1/{done}")
        tasks("checking frames", 7, 7)

    assert messages(tmp_path / "run")[2:-1] == [
        "training segmenter: begun, 100 of 400",
        "training segmenter: done, 400 of 400 in 20.0 s loss 1/400",
        "checking frames: done, 7 of 7 in 0.0 s",
    ]


def test_names_cannot_forge_a_line_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line breaks, colours and bytes in names are shown as escapes."""
    # The processes of the tests cannot tell one another what is not UTF-8.
    monkeypatch.setattr(logging.getLogger("warprefine"), "propagate", False)
    with log_to(tmp_path / "run"):
        logging.getLogger("warprefine.somewhere").error("broken: %s", "a\n2026 INFO b\x1b[2J\udcff")

    assert r"broken: a\n2026 INFO b\x1b[2J\xff" in messages(tmp_path / "run")


def test_a_log_needs_a_place(tmp_path: Path) -> None:
    """A run below a file has no log either."""
    (tmp_path / "file").touch()

    with pytest.raises(RunFolderError, match="a part of the path is a file"), log_to(tmp_path / "file/run"):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_log_that_cannot_be_closed_hides_no_error(tmp_path: Path) -> None:
    """The disk is full for the log too; what the command could not write is what counts."""
    (tmp_path / "log.txt").symlink_to("/dev/full")

    with pytest.raises(RunFolderError, match="cannot write the labels"), log_to(tmp_path):
        raise RunFolderError("cannot write the labels")
