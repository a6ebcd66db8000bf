"""Tests of cli/options.py: the help of the long commands begins with what most people need."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from warprefine.cli.commands import app

TWO_SCREENS = 80
PANELS = {
    "autolabel": ["Options", "Advanced", "Cluster", "Storage", "Export of an annotation tool"],
    "propagate": ["Options", "Advanced", "Cluster", "Storage"],
    "train": ["Options", "Advanced", "Storage"],
    "evaluate": ["Options", "Advanced"],
    "student": ["Options", "Advanced", "Cluster"],
    "experiment": ["Options", "Plan", "Advanced", "Cluster"],
}


def help_of(command: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the help of a command, on a terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 100)
    return CliRunner().invoke(app, [command, "--help"]).output.splitlines()


@pytest.mark.parametrize("command", PANELS)
def test_the_common_options_come_first(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of clusters, storage and other tools follow in panels of their own."""
    lines = help_of(command, monkeypatch)

    titles = [match[1] for line in lines if (match := re.match("╭─ (.*?) ─+╮", line))]
    assert titles == ["Arguments", *PANELS[command]]


@pytest.mark.parametrize("command", PANELS)
def test_the_common_options_fit_on_two_screens(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command does, examples, and the options that most people need."""
    lines = help_of(command, monkeypatch)

    ends = [number for number, line in enumerate(lines) if line.startswith("╰")]
    assert ends[1] <= TWO_SCREENS
    assert len(lines) <= 1.6 * TWO_SCREENS
    assert max(map(len, lines)) <= 100
