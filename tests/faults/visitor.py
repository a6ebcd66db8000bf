"""Visit the review page from a thread of the process that serves it: look, correct, accept, and end it."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_CORRECTED, _ACCEPTED = 2, 3
_COLOR = 4
_FRAMES = "/api/videos/0/frames"
_SECONDS = 60
"""How long an answer may take."""


class Visitor(threading.Thread):
    """Visits the server of this process as soon as it has printed its address, then ends it by Ctrl-C.

    Args:
        output: The file that the process prints to.

    Attributes:
        problem: What the server refused first; "" if all was answered.
    """

    def __init__(self, output: Path) -> None:
        super().__init__(daemon=True)
        self._output = output
        self.problem = ""

    def run(self) -> None:
        """Visit the page."""
        while (found := re.search(r"http://\S+:(\d+)/\?token=(\S+)", self._output.read_text())) is None:
            time.sleep(0.01)
        self._port, self._token = int(found[1]), found[2]
        try:
            self._look()
            self._correct()
            self._accept()
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def _look(self) -> None:
        self._ask("GET", "/")
        self._ask("GET", "/api/run")
        for part in ("image", "thumbnail", "labels", "confidence"):
            self._ask("GET", f"{_FRAMES}/1/{part}")

    def _correct(self) -> None:
        content, version = self._ask("GET", f"{_FRAMES}/{_CORRECTED}/labels")
        drawn = np.full((48, 64), _COLOR, np.uint8)
        if content and (np.array(Image.open(io.BytesIO(content))) == drawn).all():
            return
        file = io.BytesIO()
        Image.fromarray(drawn).save(file, "PNG")
        self._ask("PUT", f"{_FRAMES}/{_CORRECTED}/labels", file.getvalue(), {"If-Match": version})

    def _accept(self) -> None:
        columns = json.loads(self._ask("GET", _FRAMES)[0] or "{}")
        if columns and columns["decision"][_ACCEPTED] != "accepted":
            version = columns["version"][_ACCEPTED]
            body = json.dumps({"decision": "accepted", "version": version}).encode()
            self._ask("POST", f"{_FRAMES}/{_ACCEPTED}/decision", body)
        self._ask("GET", "/api/changes?since=1")

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[bytes, str]:
        """Return body and tag of an answer; nothing where there is none, which is a problem."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SECONDS)
        own = {"X-Warprefine-Token": self._token, **(headers or {})}
        try:
            connection.request(method, path, body=body, headers=own)
            answer = connection.getresponse()
            content, status = answer.read(), answer.status
        except (OSError, http.client.HTTPException) as error:
            self.problem = self.problem or f"{method} {path}: {error!r}"
            return b"", ""
        finally:
            connection.close()
        if status == http.HTTPStatus.OK:
            return content, answer.headers.get("ETag", "")
        told: Any = json.loads(content) if content.startswith(b"{") else {"error": f"status {status}"}
        self.problem = self.problem or str(told["error"])
        return b"", ""
