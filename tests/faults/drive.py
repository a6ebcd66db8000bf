"""Run commands in which the operating system refuses an operation, or kills them at it; then run them again.

    python -m tests.faults.drive FOLDER < jobs

A job is a line of JSON, [command, fault], or [command, null], which asks how many operations can be struck;
so is each answer on standard output. This process has to be started with the shim preloaded; its children run
the commands, and it computes nothing itself.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from numba.core.registry import cpu_target
from PIL import Image

from tests.faults.commands import COMMANDS, KINDS, Fault
from tests.faults.visitor import Visitor
from tests.jobs import killing
from warprefine.cli.commands import app
from warprefine.jobs import demo
from warprefine.recipe.recipe import load_recipe
from warprefine.report import figures, sections
from warprefine.review import serve  # noqa: F401 - it is imported once here
from warprefine.review.redo import RedoProcess

PRIVATE = {"cache", "log.txt", "tensorboard"}
"""Parts of run folders whose bytes need not be the same in two runs."""


@dataclass(kw_only=True)
class Outcome:
    """What came of a fault: the operation that was struck, how the command ended, and what is wrong."""

    struck: str
    code: int
    wrong: list[str]
    output: str


class Bench:
    """A folder in which commands run, always the same, and their undisturbed outputs beside it."""

    def __init__(self, root: Path) -> None:
        self.work, self.states, self.output = root / "work", root / "states", root / "output.txt"
        self.whole: dict[str, tuple[dict[str, str], dict[str, int]]] = {}
        self.repaired: dict[tuple[str, ...], list[str]] = {}
        """What was wrong when a command ran again, by the command and the files that it found."""
        self.shim = ctypes.CDLL(None)
        self.shim.faults_struck.restype = ctypes.c_char_p
        self.shim.faults_seen.restype = ctypes.c_long
        child = os.fork()  # numba starts threads, which this process must not have
        if not child:
            from tests.faults.inputs import write_inputs

            write_inputs(self.states / "inputs")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    def run(self, name: str, fault: Fault) -> Outcome:
        """Run a command with a fault, check how it ends, and run it again without."""
        whole = self.undisturbed(name)[0]
        self._restore(COMMANDS[name].after)
        done = self._call(name, fault)
        if (done.struck and done.code == 0) or (not done.struck and fault.at):  # it claims that all is well
            done.wrong += [one for one in self._differences(whole) if ".warprefine-draft-" not in one]
        if done.struck:
            state = name, *_state(self.work)
            if state not in self.repaired:
                self.repaired[state] = self._again(name, whole)
            done.wrong += self.repaired[state]
        return done

    def _again(self, name: str, whole: dict[str, str]) -> list[str]:
        """Run a command again, without a fault, and say what is wrong then."""
        done = self._call(name, Fault())
        wrong = [*done.wrong, *self._differences(whole)]
        if done.code:
            wrong.append(f"ends with {done.code}: {done.output}")
        return [f"again: {one}" for one in wrong]

    def undisturbed(self, name: str) -> tuple[dict[str, str], dict[str, int]]:
        """Return the hashes of what a command leaves, and how many operations each kind of fault can strike.

        What it leaves is kept for the commands after it.
        """
        if name not in self.whole:
            self._restore(COMMANDS[name].after)
            done = self._call(name, Fault())
            assert done.code == 0, done
            shutil.copytree(self.work, self.states / name)
            counts = {kind: self.shim.faults_seen(what) for kind, what in KINDS.items()}
            self.whole[name] = dict(_hashes(self.work)), counts
        return self.whole[name]

    def _restore(self, name: str) -> None:
        if name:
            self.undisturbed(name)
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.states / (name or "inputs"), self.work)

    def _call(self, name: str, fault: Fault) -> Outcome:
        error = getattr(errno, {"SIGKILL": "", "ASKED": "EIO"}.get(fault.kind, fault.kind), 0)
        self.shim.faults_plan(
            str(self.work).encode(),
            ctypes.c_long(fault.at),
            *(error, int(fault.lasting), fault.death, KINDS[fault.kind]),
        )

        def prepare() -> None:
            file = os.open(self.output, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(file, 1)
            os.dup2(file, 2)
            if COMMANDS[name].is_visited:
                killing.main = _visited(killing.main, self.output)
            self.shim.faults_arm()

        code, _ = killing.call([word.replace("@", str(self.work)) for word in COMMANDS[name].words], prepare)
        done = Outcome(
            struck=self.shim.faults_struck().decode(),
            code=code,
            wrong=[],
            output=self.output.read_text(errors="replace"),
        )
        done.wrong += self._complaints(done)
        return done

    def _complaints(self, done: Outcome) -> Iterator[str]:
        """Say what is wrong with how a command ended."""
        if "Traceback" in done.output:
            yield "traceback"
        if done.code not in {0, 1, 2, -signal.SIGKILL}:
            yield f"ended with {done.code}"
        errors = [line for line in done.output.splitlines() if line.startswith("error:")]
        if done.code in {1, 2} and not any(str(self.work) in line for line in errors):
            yield "no line names a file"
        if done.code == 2 and len(errors) != 1:
            yield f"{len(errors)} lines of errors"

    def _differences(self, whole: dict[str, str]) -> Iterator[str]:
        """Say how the files differ from those of an undisturbed run."""
        found = dict(_hashes(self.work))
        for verb, names in (
            ("missing", whole.keys() - found.keys()),
            ("left over", found.keys() - whole.keys()),
            ("differing", {name for name in whole.keys() & found.keys() if whole[name] != found[name]}),
        ):
            if names:
                yield f"{verb}: {', '.join(sorted(names)[:5])} ({len(names)})"
        drafts = [path for path in self.work.rglob("*") if "draft" in path.name]
        if drafts:
            yield f"drafts: {drafts}"


def _state(root: Path) -> Iterator[str]:
    """Yield all that another run of a command depends on; drafts have random names."""
    for path in sorted(root.rglob("*")):
        name = re.sub(r"draft-\w+", "draft", str(path.relative_to(root)))
        unread = path.is_dir() or path.name in {"log.txt", ".warprefine-lock"}
        yield name if unread else f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _hashes(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each file that must be the same in two runs, with a hash of its content."""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if path.name == "manifest.sqlite":
            with closing(sqlite3.connect(path)) as connection:
                rows = connection.execute("SELECT * FROM pseudo_label ORDER BY 1, 2, 3").fetchall()
            yield str(name), str(rows)
        elif path.name == "review.sqlite":
            with closing(sqlite3.connect(path)) as connection:
                rows = connection.execute("SELECT video, frame, version, decision FROM frame").fetchall()
            yield str(name), str(sorted(rows))
        elif path.parent.name == "redo":  # named by time; one that is recorded twice is no harm
            yield f"{name.parent}/{path.read_text()}", ""
        elif path.name == "trained_on.json":  # has times of files
            yield str(name), re.sub(r"\[\s*\d+,\s*\d+,", "[", path.read_text())
        elif path.name == ".warprefine-lock":  # whether it still names its last holder
            yield str(name), ""
        elif path.is_file() and not PRIVATE & {*name.parts}:
            yield str(name), hashlib.sha256(path.read_bytes()).hexdigest()


def _visited(main: Callable[[], None], output: Path) -> Callable[[], None]:
    """Return a command whose page is visited; what the visitor was refused is its error."""

    def visited() -> None:
        visitor = Visitor(output)
        visitor.start()
        try:
            main()
        except SystemExit as end:
            if end.code or not visitor.problem:
                raise
        if visitor.problem:
            sys.stderr.write(f"error: {visitor.problem}\n")
            raise SystemExit(2)

    return visited


def _make_quick() -> None:
    """Do once what each child would do again; leave out charts and labelling again, and shrink the demo."""
    killing.main = typer.main.get_command(app)
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    Image.init()
    gc.freeze()
    sections._chart = lambda draw, alt: ""
    figures.plot_horizon = lambda scores, kind: b""
    figures.plot_hard_classes = lambda scores, classes, kind: b""
    RedoProcess.wake = lambda process: None
    demo.VIDEOS, demo.LENGTH, demo.KEY_FRAME, demo.HORIZON = 2, 3, 1, 1
    demo.HEIGHT, demo.WIDTH = 48, 64
    demo.SMALL = load_recipe(Path(__file__).parents[1] / "tiny.toml")


def main() -> None:
    """Answer jobs."""
    _make_quick()
    bench = Bench(Path(sys.argv[1]).resolve())
    for line in sys.stdin:
        name, fault = json.loads(line)
        answer = asdict(bench.run(name, Fault(**fault))) if fault else bench.undisturbed(name)[1]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
