"""Serve the review page on this machine alone."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from warprefine.core.errors import RunFolderError
from warprefine.io.atomic import remove_unsaved
from warprefine.io.locks import locked
from warprefine.review.app import make_app

HOST = "127.0.0.1"


def serve(
    run: Path,
    *,
    port: int = 0,
    browser: bool = True,
    cache: Path | None = None,
    say: Callable[[str], None],
) -> None:
    """Serve the review page of a run until it is stopped.

    Args:
        run: The run folder.
        port: The port; 0 takes a free one.
        browser: Open the page in the browser.
        cache: The folder that the run's cache lies in; None is the one in the run.
        say: Called with the address of the page, which lets whoever has it in.

    Raises:
        RunFolderError: It is no finished run, another review of it is open, or the port is in use.

    Example:
        >>> serve(Path("RUN"), say=print)  # doctest: +SKIP
    """
    token = secrets.token_urlsafe(32)
    if not (run / "job.json").exists():
        make_app(run, token=token)  # raises: it is no run, and no folder is made in it
    with locked(run / "review"), _listening(port) as listener:
        remove_unsaved(run / "corrections")
        remove_unsaved(run / "redo")
        app = make_app(run, token=token, cache=cache)
        address = f"http://{HOST}:{listener.getsockname()[1]}/?token={token}"
        say(address)
        if browser:
            webbrowser.open(address)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            timeout_keep_alive=30,
            ws="none",
        )
        server = uvicorn.Server(config)
        app.state.is_stopping = lambda: server.should_exit
        server.run(sockets=[listener])


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()  # the address is told of before the server takes over: whoever is quick waits
    except (OSError, OverflowError) as error:
        listener.close()
        raise RunFolderError(
            f"port {port} of {HOST} cannot be used ({error}); choose another --port, or 0 for a free one"
        ) from error
    return listener
