"""A `warprefine review` in a process of its own, for tests that attack it, or kill it."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

START_SECONDS = 120
"""How long a test waits for an answer at most; a loaded machine takes its time."""


class Server:
    """A `warprefine review` that runs."""

    def __init__(self, run: Path) -> None:
        words = [sys.executable, "-m", "warprefine", "review", str(run), "--no-browser"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        assert self.process.stdout is not None
        printed = []
        for line in self.process.stdout:
            printed.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", line):
                self.port, self.token = int(found[1]), found[2]
                break
        else:
            raise AssertionError("".join(printed))

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send a request of the page; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        own = {
            "Cookie": f"warprefine-{self.port}={self.token}",
            "Origin": f"http://127.0.0.1:{self.port}",
        }
        connection.request(method, path, body=body, headers=own | (headers or {}))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    def json(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        """Send a request of the page; return the JSON of its answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return json.loads(self.ask(method, path, body, named)[1])

    def raw(self, request: bytes) -> bytes:
        """Send bytes, and return what comes back until the server closes or says nothing more."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while part := connection.recv(1 << 16):
                received += part
        return received

    def kill(self) -> None:
        """Kill the server."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
