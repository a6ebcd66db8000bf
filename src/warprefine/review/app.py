"""The application behind the review page: addresses, and what each answers."""

from __future__ import annotations

import asyncio
import json
import mimetypes
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, FastAPI, Query, Request
from fastapi import Path as Place
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from warprefine.core.errors import (
    ConflictError,
    FrameError,
    KeyFrameError,
    LabelError,
    RecipeError,
    RunFolderError,
    WarpRefineError,
)
from warprefine.io.foreign import reason
from warprefine.jobs.decisions import as_decision
from warprefine.jobs.source_labels import Source
from warprefine.review.guard import Guard
from warprefine.review.redo import RedoProcess
from warprefine.review.reviewed import ReviewedRun

POLL_SECONDS = 25.0
_STEP_SECONDS = 0.1
_LARGEST_DECISION = 1 << 12
_STATUS: tuple[tuple[type[WarpRefineError], int], ...] = (
    (ConflictError, 409),
    (KeyFrameError, 404),
    (RunFolderError, 404),
    (RecipeError, 422),
    (LabelError, 422),
    (FrameError, 422),
)
Number: TypeAlias = Annotated[int, Place(ge=0, le=10**9)]
Method: TypeAlias = Annotated[str | None, Query(max_length=100)]
_KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_KINDS[".html"] = "text/html; charset=utf-8"
_UNCHANGING = {"Cache-Control": "private, max-age=3600"}


class _Refused(Exception):  # noqa: N818 - no error of ours: a request that is answered with a status
    """A request that is refused with a status and a line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def make_app(run: Path, *, token: str, cache: Path | None = None, redo: bool = True) -> FastAPI:
    """Return the application that reviews a run; one at a time may be open on a run.

    Pages wait for changes. Whoever serves the application sets `app.state.is_stopping` to a function that
    returns whether the server is to stop, so that it does not wait for them.

    Args:
        run: The run folder.
        token: What requests must bear, see `Guard`.
        cache: The folder that the run's cache lies in; None is the one in the run.
        redo: Label the gaps beside corrections again, in a process of its own.

    Raises:
        RunFolderError: It is no finished run.

    Example:
        >>> app = make_app(Path("RUN"), token="secret")  # doctest: +SKIP
    """
    reviewed = ReviewedRun(run, cache=cache)
    process = RedoProcess(run, cache=cache, mended=reviewed.mended)

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        if redo:
            process.wake()
        yield
        await run_in_threadpool(process.close)
        await run_in_threadpool(reviewed.close)

    async def of_this_run(run: Annotated[str, Query(max_length=100)] = "") -> None:
        if run and run != reviewed.identity:
            raise _Refused(
                410,
                "the page shows another run than this server, or its classes, videos or frames have changed; "
                "open the address that `warprefine review` printed",
            )

    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=living,
        redirect_slashes=False,
        dependencies=[Depends(of_this_run)],
    )
    app.state.is_stopping = lambda: False
    app.add_middleware(Guard, token=token)
    _answer_errors(app, run)
    _show(app, reviewed)
    _change(app, reviewed, process if redo else None)
    _poll(app, reviewed, process)
    _pages(app)
    return app


def _show(app: FastAPI, reviewed: ReviewedRun) -> None:
    """Add the addresses that show a run."""

    @app.get("/api/run")
    def about() -> dict[str, Any]:
        return reviewed.about()

    @app.get("/api/videos/{v}/frames")
    def columns(v: Number, method: Method = None) -> dict[str, list[Any]]:
        return reviewed.columns(v, reviewed.check_method(method))

    @app.get("/api/videos/{v}/frames/{f}/image")
    def image(v: Number, f: Number) -> Response:
        return Response(reviewed.image(v, f), media_type="image/jpeg", headers=_UNCHANGING)

    @app.get("/api/videos/{v}/frames/{f}/thumbnail")
    def thumbnail(v: Number, f: Number) -> Response:
        return Response(reviewed.thumbnail(v, f), media_type="image/jpeg", headers=_UNCHANGING)

    @app.get("/api/videos/{v}/frames/{f}/labels")
    def labels(v: Number, f: Number, method: Method = None) -> Response:
        content, version = reviewed.labels(v, f, reviewed.check_method(method))
        return Response(content, media_type="image/png", headers={"ETag": f'"{version}"'})

    @app.get("/api/videos/{v}/frames/{f}/confidence")
    def confidence(v: Number, f: Number, method: Method = None) -> Response:
        content = reviewed.confidence(v, f, reviewed.check_method(method))
        return Response(content, media_type="image/png")

    @app.get("/api/videos/{v}/frames/{f}/source")
    def source(v: Number, f: Number, of: Source) -> Response:
        return Response(reviewed.source(v, f, of), media_type="image/png")


def _change(app: FastAPI, reviewed: ReviewedRun, process: RedoProcess | None) -> None:
    """Add the addresses that change a run."""

    def wake() -> None:
        if process is not None:
            process.wake()

    @app.put("/api/videos/{v}/frames/{f}/labels")
    async def correct(v: Number, f: Number, request: Request) -> dict[str, Any]:
        version = _version(request)
        h, w = await run_in_threadpool(reviewed.size, v)
        content = await _body(request, most=2 * h * w + (1 << 16))
        new = await run_in_threadpool(reviewed.correct, v, f, content, version=version)
        await run_in_threadpool(wake)
        return {"version": new, "redo": "queued"}

    @app.delete("/api/videos/{v}/frames/{f}/labels")
    def take_back(v: Number, f: Number, request: Request) -> dict[str, Any]:
        new = reviewed.correct(v, f, None, version=_version(request))
        wake()
        return {"version": new, "redo": "queued"}

    @app.post("/api/videos/{v}/frames/{f}/decision")
    async def decide(v: Number, f: Number, request: Request) -> dict[str, int]:
        try:
            given = json.loads(await _body(request, most=_LARGEST_DECISION))
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict) or type(given.get("version")) is not int:
            raise _Refused(400, 'the body is no JSON such as {"decision": "accepted", "version": 0}')
        decision = as_decision(given.get("decision"))
        new = await run_in_threadpool(reviewed.decide, v, f, decision, version=given["version"])
        return {"version": new}


def _poll(app: FastAPI, reviewed: ReviewedRun, process: RedoProcess) -> None:
    """Add the address that tells of changes."""

    def redo() -> dict[str, Any] | None:
        found = process.progress
        names = [video.name for video in reviewed.finished.dataset.videos]
        return found and {**found, "video": names.index(found["video"])}

    @app.get("/api/changes")
    async def changes(request: Request, since: Annotated[int, Query(ge=0, le=2**62)] = 0) -> dict[str, Any]:
        until, before = time.monotonic() + POLL_SECONDS, (process.progress, process.problem)
        # A number that this server has not given is of another one, which may have had a clock ahead.
        reset = since > 0 and not reviewed.first_serial <= since <= reviewed.serial
        while not reset and since >= reviewed.serial and time.monotonic() < until:
            if (process.progress, process.problem) != before or request.app.state.is_stopping():
                break
            if await request.is_disconnected():
                break
            await asyncio.sleep(_STEP_SECONDS)
        serial = reviewed.serial  # before the changes are read: what comes in between is told of twice
        found = [] if reset else await run_in_threadpool(reviewed.changes, since)
        return {
            "serial": serial,
            "changes": found,
            "redo": redo(),
            "problem": process.problem,
            "reset": reset,
        }


def _pages(app: FastAPI) -> None:
    """Add the files of the page, each by its own address: no path is made of what is asked for."""
    static = resources.files("warprefine.review") / "static"
    files = dict(_files(static, "") if static.is_dir() else ())

    def serve(address: str, content: bytes, kind: str) -> None:
        @app.get(address, name=address)
        def page() -> Response:
            return Response(content, media_type=kind)

    for name, content in files.items():
        kind = _KINDS.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        serve("/" if name == "index.html" else f"/{name}", content, kind)


def _files(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            found += _files(entry, f"{prefix}{entry.name}/")
        elif Path(entry.name).suffix in {*_KINDS, ".svg", ".png"}:
            found.append((f"{prefix}{entry.name}", entry.read_bytes()))
    return found


def _version(request: Request) -> int:
    """Return the version that a change is based on.

    Raises:
        _Refused: The header names none.
    """
    text = request.headers.get("if-match", "").removeprefix("W/")
    number = text[1:-1]
    if not (text == f'"{number}"' and number.isascii() and number.isdecimal() and len(number) <= 15):
        raise _Refused(428, 'the version that the change is based on is missing; expected If-Match: "0"')
    return int(number)


async def _body(request: Request, *, most: int) -> bytes:
    """Return the body of a request.

    Raises:
        _Refused: It is longer than `most` bytes.
    """
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            raise _Refused(413, f"the body is too large; expected at most {most} bytes")
    return bytes(content)


def _answer_errors(app: FastAPI, root: Path) -> None:
    """Answer errors as JSON of one line, those of the disk of the run folder too."""

    def answer(status: int, message: str, **more: Any) -> JSONResponse:
        line = " ".join(message.split()).encode("utf-8", "replace").decode()
        return JSONResponse({"error": line, **more}, status_code=status)

    @app.exception_handler(WarpRefineError)
    def ours(_: Request, error: Exception) -> JSONResponse:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 422)
        more = {"version": error.version} if isinstance(error, ConflictError) else {}
        return answer(status, str(error), **more)

    @app.exception_handler(OSError)
    @app.exception_handler(sqlite3.OperationalError)
    def of_the_system(_: Request, error: Exception) -> JSONResponse:
        place = getattr(error, "filename", None) or root
        line = f"the operating system refused: {reason(error)} ({place}); see to that and try again"
        return answer(500, line)

    @app.exception_handler(_Refused)
    def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, _Refused)
        return answer(error.status, str(error))

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        return answer(422, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(HTTPException)
    def unknown(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return answer(error.status_code, error.detail)

    @app.exception_handler(ClientDisconnect)
    def gone(_: Request, error: Exception) -> JSONResponse:
        return answer(400, "the body ended too early")
