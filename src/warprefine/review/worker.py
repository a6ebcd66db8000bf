"""The process that labels gaps again, beside the server: the page stays quick, and each can be killed.

It writes a line of JSON for each frame, and reads a line for each new correction; where its input ends, the
server has ended, and so does it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from warprefine.core.errors import WarpRefineError
from warprefine.jobs.relabel import Relabeller

_NICENESS = 5
"""The server answers first where cores are few."""
_RETRY_SECONDS = 3.0
"""Between attempts after an error, such as that another process is writing the run."""


def main(root: Path, cache: Path | None = None) -> None:
    """Label what is due until the input ends."""
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    woken = threading.Event()
    threading.Thread(target=_listen, args=(woken,), daemon=True).start()
    relabeller = Relabeller(root, cache=cache)
    try:
        relabeller.prepare()
    except WarpRefineError as error:
        _tell({"error": str(error)})
    while True:
        pause = None
        try:
            for one in relabeller.run():
                _tell(asdict(one))
            _tell({"idle": True})
        except WarpRefineError as error:
            _tell({"error": " ".join(str(error).split())})
            pause = _RETRY_SECONDS
        woken.wait(pause)
        woken.clear()


def _listen(woken: threading.Event) -> None:
    for _ in sys.stdin.buffer:
        woken.set()
    os._exit(0)  # wherever labelling is: what is recorded is whole, as after any kill


def _tell(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
