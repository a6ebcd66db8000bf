"""Tests of a step of training/engine/loop.py: adding up batches, rounding numbers, reporting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from warprefine.core.errors import TrainingError
from warprefine.recipe.optimisation import Optimisation
from warprefine.training.engine import loop
from warprefine.training.engine.loop import train
from warprefine.training.engine.schedules import learning_rate_at

FEW = Optimisation(
    steps=6, learning_rate=0.05, optimiser="sgd", warmup=0, checkpoint_every=2, mixed_precision=False
)


def trained(path: Path, recipe: Optimisation, *, made: nn.Module | None = None, **further: Any) -> nn.Module:
    """Train a small network without batch norm, on four samples a step."""
    torch.manual_seed(3)
    made = made or nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 1))
    further = {"batch_at": samples, "loss_of": lambda batch: made(batch).square().mean()} | further
    train(made, recipe, state_path=path, **further)
    return made


def samples(number: int) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randn(4, 3, 8, 8, generator=generator)


def halves(number: int) -> Tensor:
    """The first half of a step's samples has an even number, the second the odd one after it."""
    return samples(number // 2)[number % 2 * 2 :][:2]


def same(one: nn.Module, other: nn.Module) -> bool:
    wanted = other.state_dict()
    return all(torch.equal(value, wanted[key]) for key, value in one.state_dict().items())


def kill_at(step: int) -> Callable[..., None]:
    def kill(task: str, done: int, total: int, note: str = "") -> None:
        if done == step:
            raise KeyboardInterrupt

    return kill


def test_small_batches_add_up_to_a_large_one(tmp_path: Path) -> None:
    """Two batches of two samples for each step lead where one of four does, with the same losses."""
    notes: dict[str, list[str]] = {"large": [], "small": []}

    large = trained(
        tmp_path / "large", FEW, progress=lambda task, done, total, note="": notes["large"].append(note)
    )
    small = trained(
        tmp_path / "small",
        FEW.model_copy(update={"accumulate": 2}),
        batch_at=halves,
        progress=lambda task, done, total, note="": notes["small"].append(note),
    )

    for key, value in large.state_dict().items():
        torch.testing.assert_close(small.state_dict()[key], value, rtol=0, atol=1e-6)
    assert notes["small"] == notes["large"]
    assert len(notes["small"]) == 6


def test_added_up_batches_are_resumed_in_the_middle(tmp_path: Path) -> None:
    """A training that goes on from step four takes the batches from number eight on."""
    recipe = FEW.model_copy(update={"accumulate": 2})
    calm = trained(tmp_path / "calm", recipe, batch_at=halves)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", recipe, batch_at=halves, progress=kill_at(5))
    made: list[int] = []

    def counted(number: int) -> Tensor:
        made.append(number)
        return halves(number)

    resumed = trained(tmp_path / "killed", recipe, batch_at=counted)

    assert made == [8, 9, 10, 11]
    assert same(resumed, calm)


def test_each_added_up_batch_has_its_own_dropout(tmp_path: Path) -> None:
    """No two batches of a training lose the same channels."""
    seeds: list[int] = []
    made = nn.Conv2d(3, 1, 1)

    def loss_of(batch: Tensor) -> Tensor:
        seeds.append(torch.initial_seed())
        return made(batch).square().mean()

    trained(tmp_path / "a", FEW.model_copy(update={"accumulate": 3}), made=made, loss_of=loss_of)

    assert len(set(seeds)) == 18


class Root(nn.Module):
    """A network whose loss is zero and whose gradient there is infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))


def test_a_gradient_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    """A finite loss can have a slope that is not; the weights would be lost."""
    made = Root()

    with pytest.raises(
        TrainingError,
        match=r"the gradient became inf at step 0 of 6; lower the learning rate \(0\.05\) in the recipe",
    ):
        trained(tmp_path / "a", FEW, made=made, loss_of=lambda _: made.value.sqrt().sum())

    assert made.value.item() == 0


@pytest.fixture
def old_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that has no bfloat16."""
    monkeypatch.setattr(loop, "native_precision", lambda device: torch.float16)


@pytest.mark.usefixtures("old_gpu")
def test_without_bfloat16_losses_are_scaled(tmp_path: Path) -> None:
    """In float16 the smallest gradients vanish unless the loss is scaled up; the steps stay the same."""
    mixed = FEW.model_copy(update={"mixed_precision": True, "average_decay": 0.0, "steps": 20})
    tiny: list[torch.dtype] = []

    def run(name: str, recipe: Optimisation) -> nn.Module:
        torch.manual_seed(3)
        made = nn.Conv2d(3, 1, 1)

        def loss_of(batch: Tensor) -> Tensor:
            output = made(batch)
            tiny.append(output.dtype)
            return (output.float() * 1e-7).sum() * 1e3

        return trained(tmp_path / name, recipe, made=made, loss_of=loss_of)

    half = run("half", mixed)
    full = run("full", mixed.model_copy(update={"mixed_precision": False}))

    assert set(tiny[:20]) == {torch.float16}
    assert set(tiny[20:]) == {torch.float32}
    torch.testing.assert_close(half.weight, full.weight, rtol=0, atol=1e-3)
    assert not torch.equal(half.weight, full.weight)


@pytest.mark.usefixtures("old_gpu")
def test_the_scale_of_the_loss_is_resumed(tmp_path: Path) -> None:
    """The scale falls when numbers overflow; a resumed training goes on with the one that was found."""
    recipe = FEW.model_copy(update={"mixed_precision": True, "steps": 12})

    def run(name: str, **further: Any) -> nn.Module:
        torch.manual_seed(1)
        made = nn.Conv2d(3, 1, 1)
        return trained(
            tmp_path / name,
            recipe,
            made=made,
            # Steep enough for the first scales to overflow, and for the next ones not to.
            loss_of=lambda batch: made(batch).float().square().mean() * 5,
            **further,
        )

    calm = run("calm")
    with pytest.raises(KeyboardInterrupt):
        run("killed", progress=kill_at(9))
    scale = torch.load(tmp_path / "killed", weights_only=True)["scaler"]["scale"]

    assert 1 < scale < 2**16
    assert same(run("killed"), calm)


@pytest.mark.usefixtures("old_gpu")
def test_a_gradient_that_no_scale_mends_stops_the_training(tmp_path: Path) -> None:
    """Steps are skipped while the scale falls from 65536 to 1, and not for ever."""
    made = Root()
    recipe = FEW.model_copy(update={"mixed_precision": True, "steps": 100})

    with pytest.raises(TrainingError, match="the gradient became inf at step 16 of 100"):
        trained(tmp_path / "a", recipe, made=made, loss_of=lambda _: made.value.sqrt().sum())


def test_one_step_in_twenty_is_reported(tmp_path: Path) -> None:
    """Loss and learning rate come at step 1 and every 20, validations whenever there is one."""
    heard: list[tuple[str, int, float]] = []
    recipe = FEW.model_copy(update={"steps": 41, "validate_every": 30})

    trained(
        tmp_path / "a",
        recipe,
        validate=lambda made: 0.5,
        watch=lambda name, step, value: heard.append((name, step, value)),
    )

    assert [(name, step) for name, step, _ in heard if name == "loss"] == [("loss", n) for n in (1, 20, 40)]
    rates = [(step, value) for name, step, value in heard if name == "learning rate"]
    assert rates == [(n, learning_rate_at(n - 1, recipe)) for n in (1, 20, 40)]
    assert [entry for entry in heard if entry[0] == "validation"] == [
        ("validation", 30, 0.5),
        ("validation", 41, 0.5),
    ]


def test_threads_that_load_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One loader or four: the same batches in the same order, to the same weights, also from half way on."""
    recipe, taken = FEW.changed(("accumulate",), 2), list[float]()

    def losses(threads: int, **further: Any) -> nn.Module:
        monkeypatch.setattr(loop, "loader_threads", lambda device: threads)
        taken.clear()
        return trained(tmp_path / f"{threads}.state", recipe, together=recorded, **further)

    def recorded(batches: Any) -> Any:
        taken.extend(float(batch.sum()) for batch in batches)
        return batches

    alone, order = losses(1), [*taken]
    several = losses(4)

    assert len(order) == 2 * FEW.steps
    assert taken == order
    assert same(alone, several)
    with pytest.raises(KeyboardInterrupt):
        losses(3, progress=kill_at(3))
    assert same(losses(3), alone)
    assert taken == order[2 * 2 :]
