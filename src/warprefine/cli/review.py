"""The command that opens the review page of a run."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from warprefine.cli import options
from warprefine.cli.console import console
from warprefine.core.errors import WarpRefineError


def review(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    cache: options.Cache = None,
) -> None:
    """Look at the labels of a run in the browser; accept, reject and correct frames.

    The page is served on this machine alone, to whoever has the address that is printed. A corrected frame
    becomes a key frame of the run, and the frames beside it are labelled again at once; the data set is not
    altered (`warprefine corrections RUN --copy-to DATA`). Ctrl-C ends it; all that was saved stays.

    Example: `warprefine review runs/mine`
    """
    if not all(find_spec(name) for name in ("fastapi", "uvicorn")):
        raise WarpRefineError(
            "the review page needs FastAPI and uvicorn, which are not installed; run "
            "`pip install -e '.[review]'` in a clone of the repository"
        )
    from warprefine.review.serve import serve

    def say(address: str) -> None:
        console.print("the review page is open until Ctrl-C:")
        typer.echo(address)

    with suppress(KeyboardInterrupt):  # the usual end
        serve(run, port=port, browser=browser, cache=cache, say=say)
