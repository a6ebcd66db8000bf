"""Tests of cluster/processes.py: a job by two processes of this machine, whatever becomes of them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cluster.words import Heavy, Homesick, Letters, about_process, by_word, divide, echo
from warprefine import autolabel, load_recipe, open_dataset
from warprefine.cluster.processes import ProcessEngine, gpu_of
from warprefine.core.errors import ClusterError, LabelError
from warprefine.core.threads import available_cores
from warprefine.io.atomic import write_text
from warprefine.propagation.methods import PLUS

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes find the modules of the tests where this one does."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def engine() -> Iterator[ProcessEngine]:
    """Two processes."""
    with ProcessEngine(workers=2) as engine:
        yield engine


def test_a_process_that_dies_costs_what_it_had_in_hand(engine: ProcessEngine, tmp_path: Path) -> None:
    """The word that it was working on is begun again; all other words arrive once."""
    words = ["ab", "cd", "e?f", "gh", "", "ij"]

    arrived = by_word(engine.stream(Letters(tmp_path, deaths=1), words))

    again = arrived.pop("e?f")
    assert arrived == {word: [*word, None] for word in words if word != "e?f"}
    assert again == ["e", "e", "?", "f", None]
    assert len([*tmp_path.glob("died-*")]) == 1


def test_work_that_kills_every_process_ends_the_job(tmp_path: Path) -> None:
    """The message has the signal that ended the last one."""
    with pytest.raises(ClusterError, match=r"4 workers have died at the same part .*killed by SIGKILL"):
        by_word(ProcessEngine(workers=1).stream(Letters(tmp_path, deaths=9), ["?"]))


def test_a_mistake_arrives_as_it_would_here(tmp_path: Path) -> None:
    """An error of the library is the one that is raised here; all others come with their traceback."""
    one = ProcessEngine(workers=1)

    with pytest.raises(LabelError, match=r"^a! is no word$"):
        by_word(one.stream(Letters(tmp_path, deaths=0), ["a!"]))
    with pytest.raises(RuntimeError, match=r"(?s)a worker has failed:.*in divide.*ZeroDivisionError"):
        [*one.stream(divide, [0])]


def test_what_cannot_be_sent_is_named(tmp_path: Path) -> None:
    """Work of a function, and work that other processes cannot build, end the job with the reason."""
    one = ProcessEngine(workers=1)

    with pytest.raises(ClusterError, match=r"cannot be sent to another process: .*lambda.*of a module"):
        [*one.stream(lambda word: iter(word + word), ["a"])]
    with pytest.raises(ClusterError, match=r"4 workers could not start.*/no/such/place.*same installation"):
        [*one.stream(Homesick(tmp_path, deaths=0), ["a"])]


def test_items_are_taken_when_a_process_is_free(tmp_path: Path) -> None:
    """While the first results arrive a process has two items at most, and one waits for each of them."""
    taken = []

    def words() -> Iterator[str]:
        for number in range(100):
            taken.append(number)
            yield f"{number}"

    results = ProcessEngine(workers=1).stream(Letters(tmp_path, deaths=0), words())
    next(results)
    results.close()

    assert taken == [0, 1, 2]


def test_processes_have_threads_gpus_and_a_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each has as many threads as this one and a GPU of its own, and logs where this process does."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")

    with caplog.at_level(logging.INFO, "warprefine"):
        found = [
            about for _, about in ProcessEngine(workers=2, gpus=2).stream(about_process, range(4)) if about
        ]

    assert {threads for _, threads, _ in found} == {torch.get_num_threads()}
    assert {gpu for _, _, gpu in found} <= {"4", "7"}
    assert os.getpid() not in {process for process, _, _ in found}
    assert [r.getMessage() for r in caplog.records if r.name == "warprefine.words"] == ["process at work"] * 4


def test_processes_are_kept_for_the_next_work_without_what_they_had_loaded() -> None:
    """The same process does three works one after the other, each of which is alone in its memory."""
    with ProcessEngine(workers=1) as engine:
        found = [
            about for name in "abc" for _, about in engine.stream(Heavy(name), range(2)) if about is not None
        ]
        processes = {process for process, _, _ in found}

    assert [(name, there) for _, name, there in found] == [(name, [name]) for name in "aabbcc"]
    assert len(processes) == 1
    assert not is_alive(*processes)


@pytest.mark.skipif(available_cores() < 2, reason="one core has one thread")
def test_a_kept_process_takes_threads_and_log_level_of_the_next_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What this process computes with, and what it logs, holds for the work that begins then."""
    before = torch.get_num_threads()
    with ProcessEngine(workers=1) as engine:
        try:
            torch.set_num_threads(1)
            [first] = [about for _, about in engine.stream(about_process, [0]) if about]
            torch.set_num_threads(2)
            with caplog.at_level(logging.ERROR, "warprefine"):
                caplog.clear()
                [second] = [about for _, about in engine.stream(about_process, [0]) if about]
        finally:
            torch.set_num_threads(before)

    assert first[0] == second[0]
    assert (first[1], second[1]) == (1, 2)
    assert [record for record in caplog.records if record.name == "warprefine.words"] == []


def test_a_kept_process_that_has_died_is_replaced() -> None:
    """The next work does not count it as one that could not start."""
    with ProcessEngine(workers=1) as engine:
        for _ in range(2):
            [about] = [about for _, about in engine.stream(about_process, [0]) if about]
            os.kill(about[0], signal.SIGKILL)
            while about[0] in {child.pid for child in multiprocessing.active_children()}:
                time.sleep(0.01)
        [(process, _, _)] = [about for _, about in engine.stream(about_process, [0]) if about]

    assert process != about[0]


@pytest.mark.parametrize("how", ["mistake", "left early"])
def test_no_process_is_kept_when_work_ends_early(engine: ProcessEngine, tmp_path: Path, how: str) -> None:
    """Whoever stops may never come back: all processes end, those that had nothing to do as well."""
    found = {about[0] for _, about in engine.stream(about_process, range(4)) if about}
    results = engine.stream(Letters(tmp_path, deaths=0), {"mistake": ["!"], "left early": ["abc"]}[how])

    if how == "mistake":
        with pytest.raises(LabelError):
            next(results)
    else:
        next(results)
        results.close()

    assert [process for process in found if is_alive(process)] == []


def test_gpus_are_shared_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that this process sees are meant; without a number of GPUs nothing is chosen."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [gpu_of(number, gpus=2) for number in range(3)] == ["0", "1", "0"]
    assert gpu_of(1, gpus=0) is None

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    assert [gpu_of(number, gpus=2) for number in range(3)] == ["GPU-a", "GPU-b", "GPU-a"]


def test_large_items_do_not_block(engine: ProcessEngine) -> None:
    """Items and results that no pipe has room for pass each other, tensors among them."""
    items = [torch.full((2**20,), number, dtype=torch.uint8) for number in range(6)]

    sums = [int(result.sum()) for _, result in engine.stream(echo, items) if result is not None]

    assert sorted(sums) == [2**20 * number for number in range(6)]


WORKING = """
import signal
from pathlib import Path
from tests.cluster.words import wait_for
from warprefine.cluster.processes import ProcessEngine

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what it puts behind
    try:
        for _, process in ProcessEngine(workers=2).stream(wait_for, [Path("no-a"), Path("no-b")]):
            print(process, flush=True)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""
IDLE = """
import signal
from tests.cluster.words import Heavy
from warprefine.cluster.processes import ProcessEngine

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what it puts behind
    try:
        engine = ProcessEngine(workers=2)
        for _, about in engine.stream(Heavy("a"), range(2)):
            if about is not None:
                print(about[0], flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("source", [WORKING, IDLE], ids=["working", "idle"])
def test_processes_end_with_the_one_that_they_work_for(
    tmp_path: Path, source: str, number: signal.Signals
) -> None:
    """Ctrl-C, which a terminal sends to all, is told by one alone; a killed command leaves no process."""
    script = tmp_path / "script.py"
    write_text(script, source)
    command = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert command.stdout is not None
    working = [int(command.stdout.readline()) for _ in range(2)]

    if number == signal.SIGINT:
        os.killpg(command.pid, number)
    else:
        command.kill()
    out, err = command.communicate(timeout=60)

    deadline = time.monotonic() + 30
    while any(is_alive(process) for process in working) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [process for process in working if is_alive(process)] == []
    assert (out, err) == ("stopped\n" * (number == signal.SIGINT), "")


def test_networks_and_labels_are_those_of_one_process(
    engine: ProcessEngine, tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """Trained at the same time and labelled in any order, a run has the same files, byte for byte."""
    settings: dict[str, Any] = {
        "horizon": 3,
        "methods": ("motion-only", PLUS),
        "recipe": load_recipe(tiny_recipe),
    }

    for name, further in (("one", {}), ("two", {"engine": engine})):
        autolabel(open_dataset(tiny_data), tmp_path / name, **settings, **further)

    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for folder in ("labels", "confidence", "checkpoints")
            for path in (tmp_path / name / folder).rglob("*.*")
        }
        for name in ("one", "two")
    )
    assert len(one) > 20
    assert one == two
