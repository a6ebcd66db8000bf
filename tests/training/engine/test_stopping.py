"""Tests of training/engine/stopping.py: Ctrl-C and SIGTERM do not cost the steps since the last state."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from warprefine.core.errors import TrainingStopped
from warprefine.recipe.optimisation import Optimisation
from warprefine.training.engine import stopping
from warprefine.training.engine.loop import train

FEW = Optimisation(steps=6, learning_rate=0.05, warmup=0, mixed_precision=False)


@pytest.fixture(autouse=True)
def usual_handlers() -> Iterator[None]:
    """Start as a program does, and see that what was changed is put back."""
    before = {number: signal.signal(number, usual) for number, usual in stopping._USUAL.items()}
    yield
    after = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert after == stopping._USUAL


def trained(path: Path, **further: Any) -> dict[str, Tensor]:
    """Train a small network, and return its weights."""
    torch.manual_seed(3)
    made = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    train(
        made,
        FEW,
        batch_at=lambda number: torch.randn(4, 3, generator=torch.Generator().manual_seed(number)),
        loss_of=lambda batch: made(batch).square().mean(),
        state_path=path,
        task="training a student",
        **further,
    )
    return made.state_dict()


def signal_at(step: int, number: int, *, times: int = 1) -> Callable[..., None]:
    """Return a progress that sends signals to this process after a step."""

    def send(task: str, done: int, total: int, note: str = "") -> None:
        if done == step:
            for _ in range(times):
                signal.raise_signal(number)

    return send


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 3, 6])
def test_the_state_is_saved_before_a_training_stops(tmp_path: Path, step: int, number: int) -> None:
    """However far the next state would be, no step is lost, and the end has the same bits; it says so."""
    calm = trained(tmp_path / "calm")

    with pytest.raises(
        TrainingStopped,
        match=rf"^stopped training a student after step {step} of 6; state saved in .*a\.state; run "
        r"the same command again, it continues from there$",
    ) as stop:
        trained(tmp_path / "a.state", progress=signal_at(step, number))
    done: list[int] = []
    resumed = trained(tmp_path / "a.state", progress=lambda task, n, total, note="": done.append(n))

    assert stop.value.signal == number
    assert done == list(range(step + 1, 7))
    assert all(torch.equal(value, calm[key]) for key, value in resumed.items())


def test_a_stop_that_is_passed_on_twice_is_one(tmp_path: Path) -> None:
    """Of a Ctrl-C under torchrun a process gets two signals, and still saves its state."""
    with pytest.raises(TrainingStopped):
        trained(tmp_path / "a", progress=signal_at(2, signal.SIGINT, times=2))

    assert (tmp_path / "a").exists()


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not want to wait for the end of the step presses again."""
    monkeypatch.setattr(stopping, "SAME_STOP", -1.0)

    with pytest.raises(KeyboardInterrupt) as stop:
        trained(tmp_path / "a", progress=signal_at(2, signal.SIGINT, times=2))

    assert not isinstance(stop.value, TrainingStopped)
    assert not (tmp_path / "a").exists()


def test_what_a_program_does_with_signals_is_left_to_it(tmp_path: Path) -> None:
    """An ignored signal stays ignored (nohup), and a handler of the program's own is called."""
    received: list[int] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))

    trained(tmp_path / "a", progress=signal_at(2, signal.SIGINT))
    trained(tmp_path / "b", progress=signal_at(2, signal.SIGTERM))

    assert received == [signal.SIGTERM]
    for number, usual in stopping._USUAL.items():
        signal.signal(number, usual)


def test_a_signal_after_the_last_look_is_not_lost() -> None:
    """A block that ends without having looked at the request is stopped at its end."""
    with pytest.raises(KeyboardInterrupt), stopping.deferred_stop():
        signal.raise_signal(signal.SIGINT)


def test_other_threads_train_as_ever(tmp_path: Path) -> None:
    """Only the main thread may handle signals; a training in another one does without."""
    found: list[dict[str, Tensor]] = []
    thread = Thread(target=lambda: found.append(trained(tmp_path / "a")))
    thread.start()
    thread.join()

    assert all(torch.equal(value, trained(tmp_path / "b")[key]) for key, value in found[0].items())
