"""Tests of review/serve.py: a real server in a process of its own, corrected, killed, and attacked."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.review.live_server import Server
from warprefine import FinishedRun
from warprefine.jobs.corrections import due_redos

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
LABELS = "/api/videos/0/frames/5/labels"
MEND_SECONDS = 120
"""How long a test waits at most; a loaded machine takes its time."""


@pytest.fixture
def start() -> Iterator[Callable[[Path], Server]]:
    """A function that starts a server, which ends with the test."""
    started: list[Server] = []

    def one(run: Path) -> Server:
        started.append(Server(run))
        return started[-1]

    yield one
    for server in started:
        server.kill()


@pytest.fixture(scope="module")
def attacked(reviewed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that all attacks go to."""
    server = Server(shutil.copytree(reviewed, tmp_path_factory.mktemp("attacked") / "run"))
    yield server
    assert server.process.poll() is None
    server.kill()


def wait_for_mending(server: Server, serial: int) -> set[tuple[int, int]]:
    """Follow the changes until nothing is due; return the frames that changed."""
    found: set[tuple[int, int]] = set()
    until = time.monotonic() + MEND_SECONDS
    while time.monotonic() < until:
        answer = server.json("GET", f"/api/changes?since={serial}")
        found |= {(one["video"], one["frame"]) for one in answer["changes"]}
        serial = answer["serial"]
        if {(0, 4), (0, 6)} <= found and answer["redo"] is None:
            return found
    raise AssertionError(f"not mended: {found}, {answer}")


def test_a_correction_mends_its_neighbours_and_survives_a_kill(
    run: Path,
    start: Callable[[Path], Server],
    png: Callable[..., bytes],
    pixels: Callable[[bytes], np.ndarray],
) -> None:
    """Corrected over HTTP, the frames beside are labelled again; after SIGKILL everything is there."""
    server = start(run)
    serial = server.json("GET", "/api/changes?since=0")["serial"]

    saved = server.json("PUT", LABELS, png(2), If_Match='"0"')
    changed = wait_for_mending(server, serial)
    server.json("POST", "/api/videos/1/frames/2/decision", b'{"decision": "accepted", "version": 0}')
    server.kill()
    again = start(run)

    assert saved == {"version": 1, "redo": "queued"}
    assert changed <= {(0, k) for k in (4, 5, 6)}
    columns = [again.json("GET", f"/api/videos/{v}/frames") for v in (0, 1)]
    assert (columns[0]["key"][5], columns[0]["version"][5]) == (2, 1)
    assert (columns[1]["decision"][2], columns[1]["version"][2]) == ("accepted", 1)
    assert (pixels(again.ask("GET", LABELS)[1]) == 2).all()
    assert (pixels(again.ask("GET", "/api/videos/0/frames/6/labels")[1]) == 2).mean() > 0.5
    origins = {one.frame: one.key_frames for one in FinishedRun.open(run).labels("street-000")}
    assert origins == {0: (3,), 1: (3,), 2: (3,), 3: (3,), 4: (3,), 5: (5,), 6: (5,)}


def test_what_was_due_when_the_server_was_killed_is_done_by_the_next(
    run: Path, start: Callable[[Path], Server], png: Callable[..., bytes]
) -> None:
    """Killed right after a save, the server leaves a record, and its successor labels the gaps."""
    server = start(run)
    os.kill(server.process.pid, signal.SIGCONT)
    server.json("PUT", LABELS, png(2), If_Match='"0"')
    server.kill()

    again = start(run)

    until = time.monotonic() + MEND_SECONDS
    while due_redos(run) and time.monotonic() < until:
        time.sleep(0.2)
    assert due_redos(run) == ()
    assert again.json("GET", "/api/videos/0/frames")["key"][5] == 2


def test_ctrl_c_ends_the_server_while_a_page_is_open(run: Path, start: Callable[[Path], Server]) -> None:
    """The request of a page that waits for changes is answered, and nothing looks like an error."""
    server = start(run)
    serial = server.json("GET", "/api/changes?since=0")["serial"]
    answers: list[tuple[int, bytes]] = []
    waiting = threading.Thread(
        target=lambda: answers.append(server.ask("GET", f"/api/changes?since={serial}"))
    )
    waiting.start()
    time.sleep(1)

    server.process.send_signal(signal.SIGINT)
    waiting.join()
    printed, _ = server.process.communicate(timeout=MEND_SECONDS)

    assert [status for status, _ in answers] == [200]
    assert (server.process.returncode, printed) == (0, "")


def test_a_run_is_reviewed_once_at_a_time(run: Path, start: Callable[[Path], Server]) -> None:
    """A second server of the same run says who has it."""
    start(run)

    words = [sys.executable, "-m", "warprefine", "review", str(run), "--no-browser"]
    second = subprocess.run(words, capture_output=True, text=True, check=False)

    assert second.returncode == 2
    assert "is in use by process" in second.stderr


def test_the_server_is_on_this_machine_alone(attacked: Server) -> None:
    """It listens at the loopback address and at no other."""
    addresses = {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1"}:
        with pytest.raises(OSError, match=r".*"):
            socket.create_connection((address, attacked.port), timeout=2)


PIECES = st.sampled_from(
    [
        "..",
        "%2e%2e",
        "..%2f",
        "%00",
        "\x00",
        "videos",
        "0",
        "-1",
        "9" * 400,
        "frames",
        "5",
        "labels",
        "image",
        "api",
        "etc/passwd",
        "job.json",
        "?method=",
        "?token=",
        "&",
        "=",
        "//",
        "\\",
        "%",
        "%zz",
        "ü",
        "*",
        "thumbnail",
        "changes",
        "run",
        "source",
        "?of=",
        "?since=",
        "1e9",
        "NaN",
        "decision",
        "[",
        "'",
        ";",
        "\t",
    ]
)
METHODS = st.sampled_from(
    ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", "", "G T"]
)
HEADERS = st.sampled_from(
    [
        "Content-Length: 5",
        "Content-Length: -5",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked",
        'If-Match: "0"',
        "If-Match: *",
        "Host: evil.example",
        "Origin: null",
        "Cookie: a",
        "Expect: 100-continue",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Range: bytes=0-",
        "Content-Type: application/json",
        "X: \xff",
        ":",
    ]
)


@settings(max_examples=1000)
@given(
    method=METHODS,
    pieces=st.lists(PIECES, max_size=8),
    headers=st.lists(HEADERS, max_size=4),
    body=st.binary(max_size=40),
    is_known=st.booleans(),
)
def test_no_malformed_request_breaks_the_server(
    attacked: Server, *, method: str, pieces: list[str], headers: list[str], body: bytes, is_known: bool
) -> None:
    """Of a thousand malformed requests none ends in an error of the server, or in a file."""
    own = [
        f"Host: 127.0.0.1:{attacked.port}",
        f"Origin: http://127.0.0.1:{attacked.port}",
        "Connection: close",
    ]
    if is_known:
        own.append(f"Cookie: warprefine-{attacked.port}={attacked.token}")
    path = "/" + "/".join(pieces)
    if "changes" in path:
        path = path.replace("changes", "changes?since=0&")  # does not wait
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *own, *headers])

    answer = attacked.raw(head.encode("latin-1", "replace") + b"\r\n\r\n" + body)

    assert b"root:x:" not in answer
    assert b'"reader"' not in answer  # of job.json
    status = re.match(rb"HTTP/1\.1 (\d{3})", answer)
    assert status is None or int(status[1]) < 500, answer


def test_the_server_still_answers_after_the_attack(attacked: Server) -> None:
    """The page goes on, and nothing was corrected or decided."""
    assert attacked.json("GET", "/api/run")["run"] == "run"
    columns = attacked.json("GET", "/api/videos/0/frames")
    assert columns["key"] == [0, 0, 0, 1, 0, 0, 0]
