"""Tests of training/engine/loop.py: trainings that can be killed, and end as if they had not been."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from warprefine.core.errors import TrainingError
from warprefine.recipe.optimisation import Optimisation
from warprefine.training.engine import loop
from warprefine.training.engine.loading import loader_threads
from warprefine.training.engine.loop import make_optimiser, train
from warprefine.training.engine.schedules import learning_rate_at

FEW = Optimisation(
    steps=9,
    learning_rate=0.05,
    optimiser="sgd",
    warmup=3,
    average_decay=0.8,
    checkpoint_every=3,
    validate_every=4,
)


class Weight(nn.Module):
    """A network that is one number."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))


def network() -> nn.Module:
    """A network with all that makes resuming hard: statistics, dropout, and a layout of its own."""
    torch.manual_seed(5)
    made = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d(0.3), nn.Conv2d(6, 2, 1)
    )
    return made.to(memory_format=torch.channels_last)


def batch_at(step: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(step).normal(size=(2, 3, 8, 8)).astype(np.float32))


def trained(
    path: Path, recipe: Optimisation = FEW, *, made: nn.Module | None = None, **further: Any
) -> tuple[nn.Module, dict[str, Any]]:
    """Train a network on noise and return it with the history."""
    made = made or network()
    further = {"batch_at": batch_at, "loss_of": lambda batch: made(batch).square().mean()} | further
    return made, train(made, recipe, state_path=path, **further)


def stop_at(step: int) -> Callable[..., None]:
    def stop(task: str, done: int, total: int, note: str = "") -> None:
        if done == step:
            raise KeyboardInterrupt

    return stop


def one_number(path: Path, recipe: Optimisation, slope: float = 1.0, **further: Any) -> tuple[Weight, Any]:
    """Train one number whose loss is `slope` times itself."""
    made = Weight()
    further = {"batch_at": lambda step: step, "loss_of": lambda _: slope * made.value.sum()} | further
    return made, train(made, recipe, state_path=path, **further)


def same(one: nn.Module, other: nn.Module) -> bool:
    wanted = other.state_dict()
    return all(torch.equal(value, wanted[key]) for key, value in one.state_dict().items())


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("killed_at", [1, 3, 5, 8, 9])
def test_a_killed_training_ends_in_the_same_bits(tmp_path: Path, killed_at: int, optimiser: Any) -> None:
    """Killed anywhere and started again, a training ends with the weights of an undisturbed one."""
    recipe = FEW.model_copy(update={"optimiser": optimiser})

    def validate(made: nn.Module) -> float:
        with torch.inference_mode():
            return -float(made(batch_at(99)).square().mean())

    calm, calm_history = trained(tmp_path / "calm", recipe, validate=validate)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", recipe, validate=validate, progress=stop_at(killed_at))
    torch.manual_seed(1234)

    resumed, history = trained(tmp_path / "killed", recipe, validate=validate)

    assert same(resumed, calm)
    assert history == calm_history


def test_a_training_goes_on_from_its_last_state(tmp_path: Path) -> None:
    """At most the steps since the last saved state are done again."""
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "a", progress=stop_at(8))
    steps: list[int] = []

    trained(tmp_path / "a", progress=lambda task, done, total, note="": steps.append(done))

    assert steps == [7, 8, 9]


def test_a_finished_training_has_nothing_left_to_do(tmp_path: Path) -> None:
    """Killed between its last step and what comes after, a training is not done again."""
    first, _ = trained(tmp_path / "a")
    steps: list[int] = []

    again, _ = trained(tmp_path / "a", progress=lambda task, done, total, note="": steps.append(done))

    assert steps == []
    assert same(first, again)


def test_what_happened_before_makes_no_difference(tmp_path: Path) -> None:
    """Dropout follows from the seed and the step, not from random numbers drawn elsewhere."""
    first, second, third = network(), network(), network()
    trained(tmp_path / "a", made=first)
    torch.manual_seed(77)
    trained(tmp_path / "b", made=second)
    trained(tmp_path / "c", made=third, seed=1)

    assert same(first, second)
    assert not same(first, third)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path, value: float) -> None:
    """Nothing can be learned from such a loss; the message names the step and what to change."""

    def loss_of(step: int) -> Tensor:
        return torch.tensor(value if step == 4 else 1.0, requires_grad=True)

    with pytest.raises(
        TrainingError,
        match=rf"the loss became {value} at step 4 of 9; lower the learning rate \(0\.05\) in the recipe",
    ):
        trained(tmp_path / "a", batch_at=lambda step: step, loss_of=loss_of)


def test_batches_come_in_order_a_few_steps_ahead_from_another_thread(tmp_path: Path) -> None:
    """Each batch is made once, while the step before it is computed, and is used at its own step."""
    made: list[int] = []
    threads: set[str] = set()
    used: list[tuple[int, int]] = []
    number = Weight()

    def make(step: int) -> int:
        made.append(step)
        threads.add(threading.current_thread().name)
        return step

    def loss_of(batch: int) -> Tensor:
        used.append((batch, max(made)))
        return number.value.sum()

    train(number, FEW, batch_at=make, loss_of=loss_of, state_path=tmp_path / "a")

    assert sorted(made) == list(range(9))
    assert [batch for batch, _ in used] == list(range(9))
    assert all(ahead - batch <= 2 + loader_threads(torch.device("cpu")) for batch, ahead in used)
    assert threading.current_thread().name not in threads


def test_trouble_with_a_batch_is_not_swallowed(tmp_path: Path) -> None:
    """An error in the other thread is raised in this one."""

    def make(step: int) -> Tensor:
        if step == 3:
            raise OSError("no such picture")
        return batch_at(step)

    with pytest.raises(OSError, match="no such picture"):
        trained(tmp_path / "a", batch_at=make)


def test_the_learning_rate_rises_and_falls() -> None:
    """A linear warm-up meets the polynomial decay (1 - step / steps) ^ power."""
    recipe = Optimisation(steps=100, learning_rate=0.5, poly_power=0.9, warmup=10)

    rates = [learning_rate_at(step, recipe) for step in range(100)]

    assert rates[0] == pytest.approx(0.05)
    assert rates[4] == pytest.approx(0.5 * 0.96**0.9 * 0.5)
    assert rates[50] == pytest.approx(0.5 * 0.5**0.9)
    assert rates[99] == pytest.approx(0.5 * 0.01**0.9)
    assert rates.index(max(rates)) == 9
    assert learning_rate_at(0, recipe.model_copy(update={"warmup": 0})) == 0.5


def test_every_step_has_its_learning_rate(tmp_path: Path) -> None:
    """Without momentum and average, the weight moves by the sum of the learning rates."""
    recipe = FEW.model_copy(update={"momentum": 0.0, "average_decay": 0.0, "weight_decay": 0.0})

    made, _ = one_number(tmp_path / "a", recipe)

    assert made.value.item() == pytest.approx(-sum(learning_rate_at(step, recipe) for step in range(9)))


def test_long_gradients_are_shortened(tmp_path: Path) -> None:
    """A gradient longer than the recipe allows counts as one of that length."""
    recipe = FEW.model_copy(update={"momentum": 0.0, "average_decay": 0.0, "clip_norm": 2.0})

    steep, _ = one_number(tmp_path / "steep", recipe, slope=1000.0)
    gentle, _ = one_number(tmp_path / "gentle", recipe, slope=2.0)

    assert steep.value.item() == pytest.approx(gentle.value.item(), rel=1e-5)


def test_the_average_of_the_weights_is_kept(tmp_path: Path) -> None:
    """What is kept is a running average that forgets faster in the beginning."""
    recipe = FEW.model_copy(update={"momentum": 0.0, "average_decay": 0.4})
    weight, average = 0.0, 0.0
    for step in range(9):
        weight -= learning_rate_at(step, recipe)
        decay = min(0.4, (step + 1) / (step + 11))
        average = decay * average + (1 - decay) * weight

    made, _ = one_number(tmp_path / "a", recipe)

    assert made.value.item() == pytest.approx(average)


def test_the_best_weights_are_kept(tmp_path: Path) -> None:
    """Validated every four steps and at the end, a training ends with the average that scored best."""
    scores = iter([0.3, 0.9, 0.2])
    seen: list[float] = []

    def validate(made: nn.Module) -> float:
        assert not made.training
        seen.append(made.value.item())
        return next(scores)

    made, history = one_number(tmp_path / "a", FEW, validate=validate)

    assert len(set(seen)) == 3
    assert made.value.item() == seen[1]
    assert history["validation"] == [[4, 0.3], [8, 0.9], [9, 0.2]]


def test_validation_does_not_disturb_the_training(tmp_path: Path) -> None:
    """A training that is validated takes the same steps as one that is not."""
    watched, _ = trained(tmp_path / "a", validate=lambda made: float(made.training))
    alone, _ = trained(tmp_path / "b")

    assert same(watched, alone)


def test_a_network_is_ready_for_use_afterwards(tmp_path: Path) -> None:
    """After the training nothing is dropped out and no statistics are gathered any more."""
    made, history = trained(tmp_path / "a")

    assert not made.training
    assert [step for step, _ in history["loss"]] == [1]


def test_weights_decay_and_biases_do_not() -> None:
    """The penalty acts on kernels alone; what is frozen is not trained at all."""
    made = network()
    made[4].weight.requires_grad_(requires_grad=False)

    for name in ("sgd", "adamw"):
        groups = make_optimiser(made, FEW.model_copy(update={"optimiser": name})).param_groups
        by_decay = {group["weight_decay"]: {id(p) for p in group["params"]} for group in groups}
        assert by_decay == {
            FEW.weight_decay: {id(made[0].weight)},
            0.0: {id(made[0].bias), id(made[1].weight), id(made[1].bias), id(made[4].bias)},
        }


def test_progress_shows_the_loss(tmp_path: Path) -> None:
    """Progress is reported after every step, with its loss, under the task's name."""
    heard = []
    one_number(
        tmp_path / "a",
        FEW,
        task="training the segmenter",
        loss_of=lambda _: torch.tensor(0.25, requires_grad=True),
        progress=lambda task, done, total, note="": heard.append((task, done, total, note)),
    )

    assert heard == [("training the segmenter", done, 9, "loss 0.250") for done in range(1, 10)]


def test_numbers_may_be_rounded_to_save_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With mixed precision, convolutions compute in 16 bits where the device can; without, they do not."""
    monkeypatch.setattr(loop, "native_precision", lambda device: torch.bfloat16)
    seen: list[torch.dtype] = []
    for mixed in (True, False):
        made = network()

        def loss_of(batch: Tensor, made: nn.Module = made) -> Tensor:
            scores = made(batch)
            seen.append(scores.dtype)
            return scores.float().square().mean()

        recipe = FEW.model_copy(update={"mixed_precision": mixed, "steps": 1})
        train(made, recipe, batch_at=batch_at, loss_of=loss_of, state_path=tmp_path / str(mixed))

    assert seen == [torch.bfloat16, torch.float32]
