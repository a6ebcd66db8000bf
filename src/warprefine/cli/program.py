"""Commands of the program: they are grouped, and say so where they are given a URL instead of a path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import typer
from typer.core import TyperCommand

from warprefine.cli.console import Commands
from warprefine.core.errors import StorageError
from warprefine.io.places import check_no_web_address, lost_url, place_of

F = TypeVar("F", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command; a path that was a URL is refused before it begins."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            StorageError: A URL was given for a path of this machine.
        """
        for parameter in self.params:
            given = ctx.params.get(parameter.name)
            for one in given if isinstance(given, list | tuple) else [given]:
                if isinstance(one, Path) and (url := lost_url(one)):
                    check_no_web_address(url)
                    _refuse(url, parameter, ctx)
        return super().invoke(ctx)


class Program(typer.Typer):
    """A group of commands.

    Args:
        about: Its help, in Markdown.
    """

    def __init__(self, about: str) -> None:
        super().__init__(
            cls=Commands,
            no_args_is_help=True,
            add_completion=False,
            rich_markup_mode="markdown",
            pretty_exceptions_enable=False,
            help=about,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        """Register a command."""
        return super().command(name, cls=Command, **settings)


def _refuse(url: str, parameter: Any, ctx: Any) -> None:
    """Raise, with the commands that take URLs in the place of this parameter's path."""
    called = f"warprefine{ctx.command_path.removeprefix(ctx.find_root().command_path)}"
    names = sorted(_taking_urls(ctx.find_root().command))
    raise StorageError(
        f"{url} is a URL, but `{called}` takes a path of this machine for {_shown(parameter)}; "
        "copy it here by the storage's own tools, or mount it as a folder. URLs are for the data and runs of "
        f"{', '.join(names)}"
    )


def _shown(parameter: Any) -> str:
    """Return what a parameter is called in the help."""
    return next((name for name in parameter.opts if name.startswith("--")), None) or str(
        parameter.metavar or parameter.name
    )


def _taking_urls(group: Any, before: str = "") -> Iterator[str]:
    """Yield the commands that take URLs."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _taking_urls(command, f"{before}{name} ")
        elif any(
            getattr(part, "parser", None) is place_of
            for hint in get_type_hints(command.callback, include_extras=True).values()
            for part in get_args(hint)
        ):
            yield before + name
