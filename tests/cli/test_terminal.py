"""Tests of cli/terminal.py: terminals of any encoding, and names that would command them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from warprefine.cli.terminal import SafeConsole, shown


def printed(encoding: str, *things: object) -> str:
    """Return what a console of an encoding prints."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="")
    console = SafeConsole(file=file, width=80)
    for thing in things:
        console.print(thing)
    file.flush()
    return file.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_can_print_any_name(encoding: str) -> None:
    """Letters that are missing become question marks, bars number signs; nothing ends in an error."""
    table = Table("class", "share", box=None)
    table.add_row("車両", "██")

    out = printed(encoding, "straße 車 – 84.5 ± 0.2", table)

    assert ("車両" in out) == (encoding == "utf-8")
    assert ("██" if encoding == "utf-8" else "##") in out
    assert "84.5" in out


def test_ascii_replaces_what_the_program_itself_prints() -> None:
    """Dashes and signs have stand-ins; an unknown letter has a question mark."""
    assert shown("mIoU – 84.5 ± 0.2 … 車", "ascii") == "mIoU - 84.5 +- 0.2 ... ?"
    assert shown("mIoU – 84.5 ± 0.2", "utf-8") == "mIoU – 84.5 ± 0.2"


def test_names_do_not_command_the_terminal() -> None:
    """Neither in a line nor in a table: colours, titles and cleared screens of a name are only shown."""
    name = "clip\x1b[2J\x1b]0;title\x07\x9b31m\u202egpj.exe"
    table = Table("video", box=None)
    table.add_row(name)

    out = printed("utf-8", name, table)

    assert not set(out) & set("\x1b\x07\x9b\u202e")
    assert out.count(r"clip\x1b[2J\x1b]0;title\x07\x9b31m\u202egpj.exe") == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_command_does_not_end_because_of_the_terminal(tiny_data: Path, encoding: str) -> None:
    """A terminal without UTF-8 gets the help and the list of videos."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1"}
    for words in (["inspect", tiny_data], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "warprefine", *words], capture_output=True, env=environment, check=False
        )

        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.decode(encoding)
