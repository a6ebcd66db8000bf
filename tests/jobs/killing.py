"""Run `warprefine` in processes of its own that die by SIGKILL at a moment of the caller's choice.

Reads calls from standard input and writes how they ended to standard output, both as JSON:
[[words, moment], ...] and [[exit code, peak memory], ...], where a moment is [event, text, count] or
null. A process is killed at the count-th audit event of that name (see the Python manual, "Audit
events table") one of whose arguments contains the text. "os.rename" happens when a draft lies there
complete and has not taken its place yet. Memory is in the units of the system's `ru_maxrss`.

The processes are forked from this one, which imports everything once and computes nothing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import torch._dynamo  # noqa: F401 - optimisers import it when they are made, which takes a second

from warprefine.cli import main
from warprefine.propagation import run

run._RECORD_EVERY = -1.0  # each frame is recorded alone, however quick it is: moments can be counted


def die_at(event: str, text: str, count: int) -> None:
    """Make the kernel end this process, with no chance to tidy up, at an audit event."""
    seen = 0

    def watch(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if name == event and any(text in os.fspath(a) for a in arguments if isinstance(a, str | os.PathLike)):
            seen += 1
            if seen == count:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def call(words: list[str], prepare: Callable[[], None] = lambda: None) -> tuple[int, int]:
    """Run the command line in a new process, which first calls `prepare`.

    Returns:
        Its exit code, or minus the signal that ended it, and its peak memory.
    """
    child = os.fork()
    if child:
        _, status, used = os.wait4(child, 0)
        return os.waitstatus_to_exitcode(status), used.ru_maxrss
    code: Any = None
    try:
        prepare()
        sys.argv = ["warprefine", *words]
        sys.stdout = sys.stderr
        main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        if code is None:
            traceback.print_exc()
            code = 70
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    calls = [(words, moment and partial(die_at, *moment)) for words, moment in json.load(sys.stdin)]
    sys.stdout.write(json.dumps([call(words, prepare or (lambda: None)) for words, prepare in calls]))
