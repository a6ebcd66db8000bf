"""Tests of cli/overview.py and of the package: what is shown before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import warprefine as package
from warprefine.cli.commands import app
from warprefine.cli.overview import COMMANDS, print_overview


def test_the_overview_is_the_help_of_the_commands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names every command, with the first sentence of its help, in the same order and form."""
    monkeypatch.setattr(sys, "argv", ["warprefine", "--help"])
    with pytest.raises(SystemExit):
        print_overview()
    overview = capsys.readouterr().out

    whole = CliRunner().invoke(app, ["--help"]).output

    assert overview.split() == whole.replace("root", "warprefine").split()
    assert all(name in overview for name in COMMANDS)


def test_help_comes_without_importing_torch() -> None:
    """Whoever asks for the list of commands need not wait for it; nor does `import warprefine`."""
    script = (
        "import sys; sys.argv = ['warprefine', '--help']\n"
        "import warprefine\n"
        "from warprefine.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'numba', 'matplotlib', 'av'} & sys.modules.keys())"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "autolabel" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("name", package.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Names are looked up when they are first used, and listed before."""
    assert name in dir(package)
    assert getattr(package, name) is not None


def test_other_names_are_refused_as_by_any_module() -> None:
    """So that a misspelt name is told, and `hasattr` works."""
    assert package.ops.__name__ == "warprefine.ops"
    with pytest.raises(AttributeError, match="module 'warprefine' has no attribute 'autolable'"):
        _ = package.autolable
