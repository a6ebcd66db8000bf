"""Check that the documents and the help tell the truth: each command, option and file in them exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from warprefine.cli import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield a command and all commands below it, each with the words that call it."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


COMMANDS = dict(walk(typer.main.get_command(app)))
LEAVES = [path for path, command in COMMANDS.items() if not hasattr(command, "commands")]


def calls(text: str) -> list[str]:
    """Return the lines that call `make` or `warprefine`, continued lines joined."""
    return re.findall(r"^\s*(?:\$ )?((?:make|warprefine)\b.*)$", text.replace("\\\n", " "), re.MULTILINE)


def code(text: str) -> str:
    """Return what stands between the fences of a Markdown text."""
    return "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def strays(call: str) -> list[str]:
    """Return the words of a call that name a command, option or target which does not exist."""
    program, *words = shlex.split(call, comments=True)
    if program == "make":
        return [word for word in words if "=" not in word and word not in TARGETS]
    path: tuple[str, ...] = ()
    while (*path, *words[:1]) in COMMANDS and words:
        path = (*path, words.pop(0))
    known = {name for option in COMMANDS[path].params for name in (*option.opts, *option.secondary_opts)}
    options = [word for word in words if re.match("--?[a-z]", word)]
    missing = words[:1] if path not in LEAVES and words[:1] != options[:1] else []
    return missing + [option for option in options if option.partition("=")[0] not in {*known, "--help"}]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help(path):
    """A user who asks a command for help gets it."""
    result = CliRunner().invoke(app, [*path, "--help"])

    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_shows_an_example(path):
    """The help of a command holds a call of it, with options that it has."""
    quoted = re.findall(r"`(warprefine\b[^`]*)`", COMMANDS[path].help)
    examples = [" ".join(call.split()) for call in quoted]

    assert "Example" in CliRunner().invoke(app, [*path, "--help"]).output
    assert [example for example in examples if example.split()[1 : len(path) + 1] == list(path)]
    assert {example: strays(example) for example in examples if strays(example)} == {}


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_shows_words_as_they_are_typed(path):
    """No `:train:` of an example turns into a picture of a train."""
    shown = CliRunner().invoke(app, [*path, "--help"]).output

    assert re.findall(r"[\U0001F000-\U0001FFFF]", shown) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_the_documents_exist(document):
    """Every command and option that a document tells its reader to type is there."""
    found = calls(code(document.read_text(encoding="utf-8")))

    assert {call: strays(call) for call in found if strays(call)} == {}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_the_documents_link_to_exist(document):
    """Every file that a document links to is there."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8"))

    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_readme_begins_with_the_two_commands():
    """The README tells a newcomer how to see it work and how to check it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert {"make demo", "make test"} <= {call.partition("#")[0].strip() for call in calls(code(readme))}
