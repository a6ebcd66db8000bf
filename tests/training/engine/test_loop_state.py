"""Tests of the state that training/engine/loop.py keeps on disk, which no other training resumes from."""

from __future__ import annotations

import contextlib
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from warprefine.core.errors import CheckpointError, RunFolderError
from warprefine.recipe.optimisation import Optimisation
from warprefine.training.engine import loop
from warprefine.training.engine.loop import train

FEW = Optimisation(steps=6, optimiser="sgd", checkpoint_every=2)


class Trap:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def trained(path: Path, *, recipe: Optimisation = FEW, inputs: int = 3, **further: Any) -> None:
    """Train one layer towards an output of zero."""
    network = nn.Linear(inputs, 1)
    train(
        network,
        recipe,
        batch_at=lambda step: torch.ones(2, inputs),
        loss_of=lambda batch: network(batch).square().mean(),
        state_path=path,
        **further,
    )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """What a training leaves behind that was killed at its fifth step of six."""

    def kill(task: str, done: int, total: int, note: str = "") -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "a.state", progress=kill)
    return tmp_path / "a.state"


@pytest.mark.parametrize(
    "other",
    [
        {"recipe": FEW.model_copy(update={"steps": 10})},
        {"recipe": FEW.model_copy(update={"optimiser": "adamw"})},
        {"seed": 1},
        {"inputs": 4},
    ],
    ids=["steps", "optimiser", "seed", "network"],
)
def test_the_state_of_another_training_is_refused(state: Path, other: dict[str, Any]) -> None:
    """A state belongs to one network, recipe and seed; the message names the remedy."""
    with pytest.raises(
        CheckpointError,
        match=r"a\.state does not hold the state of this training; expected one saved with the same network, "
        r"recipe and seed; delete the file to start again",
    ):
        trained(state, **other)
    trained(state)


@pytest.mark.parametrize("kept", [0, 1, 100, 2000, -1])
def test_a_damaged_state_is_told(state: Path, kept: int) -> None:
    """A state file that was cut short is not gone on from."""
    state.write_bytes(state.read_bytes()[:kept])

    with pytest.raises(CheckpointError, match=r"a\.state does not hold the state of this training"):
        trained(state)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_damage_to_a_state_ends_in_another_error(state: Path) -> None:
    """Bytes that are changed where a state describes itself are told like one that was cut off."""
    whole = np.frombuffer(state.read_bytes(), np.uint8)
    rng = np.random.default_rng(3)
    for _ in range(60):
        damaged = whole.copy()
        damaged[rng.integers(64, 700, size=4)] = rng.integers(256, size=4)
        state.write_bytes(damaged.tobytes())
        with contextlib.suppress(CheckpointError):
            trained(state)


def test_a_state_does_not_run_code(tmp_path: Path) -> None:
    """Nothing but tensors and plain values is read from a state file."""
    (tmp_path / "raw").write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=2))
    torch.save({"made_with": Trap(tmp_path / "sprung")}, tmp_path / "saved")

    for name in ("raw", "saved"):
        with pytest.raises(CheckpointError, match="does not hold the state of this training"):
            trained(tmp_path / name)

    assert not (tmp_path / "sprung").exists()


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that cannot be written stops the training with the file's name and the remedy."""

    def refuse(self: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(RunFolderError, match=r"cannot write .*a\.state: the disk is full; free some space"):
        trained(tmp_path / "a.state")


def test_threads_and_precision_are_recorded(tmp_path: Path) -> None:
    """A training's history names what its last bits depend on, once unless it changes."""
    network = nn.Linear(3, 1)
    conditions = train(
        network,
        FEW.model_copy(update={"mixed_precision": False}),
        batch_at=lambda step: torch.ones(2, 3),
        loss_of=lambda batch: network(batch).square().mean(),
        state_path=tmp_path / "a.state",
    )["computed with"]

    capability = torch.backends.cpu.get_cpu_capability()
    assert conditions == [f"{torch.get_num_threads()} threads, float32, {capability}, 1 processes"]


def test_other_threads_are_noticed_when_a_training_resumes(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The result then differs in the last bits, so both are named; with the same ones nothing is said."""
    before, threads = torch.load(state, weights_only=True), torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)

    trained(state)

    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert re.search(
        rf"a\.state was computed with {threads} threads, \w+, \w+, 1 processes, and is resumed with 7 "
        r"threads, \w+, \w+, 1 processes: the weights will differ in their last bits",
        line,
    )
    after = json.loads(torch.load(state, weights_only=True)["history"])
    assert [entry.split(" ")[0] for entry in after["computed with"]] == [str(threads), "7"]
    caplog.clear()
    trained(state)
    assert json.loads(before["history"])["computed with"] == after["computed with"][:1]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_training_goes_on_in_the_precision_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another processor of the same kind too; a new training takes what is native there."""
    seen: list[torch.dtype] = []
    recipe = FEW.model_copy(update={"mixed_precision": True, "checkpoint_every": 1})

    def run(name: str, native: torch.dtype, *, until: int) -> None:
        monkeypatch.setattr(loop, "native_precision", lambda device: native)
        network = nn.Conv2d(3, 1, 1)

        def loss_of(batch: Tensor) -> Tensor:
            scores = network(batch)
            seen.append(scores.dtype)
            return scores.float().square().mean()

        def stop_after(task: str, done: int, total: int, note: str = "") -> None:
            if done == until:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            train(
                network,
                recipe,
                batch_at=lambda step: torch.ones(2, 3, 4, 4),
                loss_of=loss_of,
                state_path=tmp_path / name,
                progress=stop_after,
            )

    run("a", torch.bfloat16, until=2)
    run("a", torch.float32, until=4)
    run("b", torch.float32, until=1)

    assert seen[-1] == torch.float32
    assert {*seen[:-1]} == {torch.bfloat16}


def test_a_state_of_a_former_version_is_resumed(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing was recorded, nothing is compared."""
    content = torch.load(state, weights_only=True)
    history = json.loads(content["history"])
    del history["computed with"]
    torch.save(content | {"history": json.dumps(history)}, state)

    trained(state)

    assert not [record for record in caplog.records if record.levelname == "WARNING"]
