"""What two processes do together; torchrun starts each of them with a folder to write to.

The fixture `two_ranks` returns their results to the tests. Without a folder, one of them fails.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed import distributed_c10d

from warprefine.core.errors import CheckpointError, FrameError, TimeIsUp, TrainingError, TrainingStopped
from warprefine.core.tensors import VOID
from warprefine.io.checkpoints import Card
from warprefine.recipe.optimisation import Optimisation
from warprefine.training.data.batch import Batch
from warprefine.training.engine.checkpoint import train_to_checkpoint
from warprefine.training.engine.distributed import (
    ALONE,
    PATIENCE,
    World,
    average_gradients,
    broadcast_weights,
    joined,
    shard,
)
from warprefine.training.engine.loop import train
from warprefine.training.engine.sync_norm import synchronise_norms
from warprefine.training.losses.counted import counted, labelled_weight
from warprefine.training.losses.cross_entropy import cross_entropy

RECIPE = Optimisation(
    steps=7,
    batch=4,
    learning_rate=0.05,
    optimiser="sgd",
    warmup=0,
    checkpoint_every=3,
    validate_every=3,
    mixed_precision=False,
)


def network(*, dropout: float = 0.0, seed: int = 5) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d(dropout), nn.Conv2d(6, 2, 1)
    )


def samples(number: int) -> Tensor:
    rng = np.random.default_rng(number)
    # Each of its own brightness, so that the statistics of half a batch are not those of a whole one.
    return torch.from_numpy(rng.normal(rng.normal(0, 2, (4, 1, 1, 1)), 1, (4, 3, 6, 6)).astype(np.float32))


def trained(
    world: World,
    state: Path,
    *,
    made: nn.Module,
    before: Callable[[int], None] = lambda batch: None,
    validate: Callable[[nn.Module], float] = lambda made: float(made.state_dict()["0.weight"].sum()),
) -> dict[str, Any]:
    """Train on this rank's share of each batch; `before` gets the number of batches used so far."""
    heard: list[Any] = []
    losses: list[float] = []
    seeds: list[int] = []

    def loss_of(batch: Tensor) -> Tensor:
        before(len(losses))
        seeds.append(torch.initial_seed())
        loss = made(batch).square().mean()
        losses.append(world.mean(float(loss.detach())))
        return loss

    history = train(
        made,
        RECIPE,
        batch_at=lambda step: samples(step)[list(world.slots(RECIPE.batch))],
        loss_of=loss_of,
        state_path=state,
        world=world,
        validate=validate,
        progress=lambda task, done, total, note="": heard.append(["progress", done, note]),
        watch=lambda name, step, value: heard.append([name, step, value]),
    )
    found = {"history": history, "heard": heard, "losses": losses, "seeds": seeds}
    return found | {"weights": made.state_dict()}


def a_batch_in_two_halves(world: World, folder: Path) -> dict[str, Any]:
    state = folder / f"together{world.rank}"  # of its own, to see whether it is written
    together = trained(world, state, made=network(seed=5 + world.rank))
    alone = trained(ALONE, folder / f"alone{world.rank}", made=network(seed=5))
    return {"together": together, "alone": alone, "saved": state.exists()}


def unevenly_labelled(world: World, folder: Path) -> dict[str, Any]:
    """Train where the samples of the second rank have few labels, with both ranks or alone; parts, too."""

    def labels(number: int) -> Tensor:
        drawn = np.random.default_rng(number).integers(0, 2, (4, 4, 4)).astype(np.uint8)
        drawn[1, 1:] = drawn[3] = VOID
        return torch.from_numpy(drawn)

    def run(name: str, world: World, *, accumulate: int = 1) -> dict[str, Any]:
        made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
        torch.manual_seed(5)
        for parameter in made.parameters():
            nn.init.normal_(parameter, std=0.2)
        batch = 4 // accumulate
        recipe = RECIPE.model_copy(update={"batch": batch, "accumulate": accumulate})

        def batch_at(number: int) -> Batch:
            step, part = divmod(number, accumulate)
            own = [part * batch + slot for slot in world.slots(batch)]
            return Batch(frames=samples(step)[own].mul(20).add(128).to(torch.uint8), labels=labels(step)[own])

        def together(batches: Sequence[Batch]) -> list[Batch]:
            step = counted([labelled_weight(batch.labels) for batch in batches], world)
            return [replace(batch, step=step) for batch in batches]

        history = train(
            made,
            recipe,
            batch_at=batch_at,
            loss_of=lambda batch: cross_entropy(
                made(batch.frames.float() / 255), batch.labels, step=batch.step
            ),
            together=together,
            state_path=folder / name,
            world=world,
        )
        return {"history": history, "weights": made.state_dict()}

    return {
        "together": run("uneven", world),
        "parts together": run("uneven parts", world, accumulate=2),
        "alone": run(f"uneven{world.rank}", ALONE),
        "parts alone": run(f"uneven parts{world.rank}", ALONE, accumulate=2),
    }


def different_beginnings(world: World, folder: Path) -> dict[str, Any]:
    made = network(seed=world.rank).to(memory_format=torch.channels_last)
    own = made[0].weight.detach().clone()
    broadcast_weights(made, world)
    return {"own": own, "copied": made.state_dict()}


def killed_and_resumed(world: World, folder: Path) -> dict[str, Any]:
    def kill(batch: int) -> None:
        if batch == 5:
            raise KeyboardInterrupt

    calm = trained(world, folder / "calm", made=network(dropout=0.3))
    with suppress(KeyboardInterrupt):
        trained(world, folder / "killed", made=network(dropout=0.3), before=kill)
    used: list[int] = []
    resumed = trained(world, folder / "killed", made=network(dropout=0.3), before=used.append)
    return {"calm": calm, "resumed": resumed, "batches": len(used)}


def stopped_on_one_rank(world: World, folder: Path) -> dict[str, Any]:
    """Send Ctrl-C to the second rank alone, in its fifth step, and go on."""

    def stop(batch: int) -> None:
        if batch == 4 and not world.is_first:
            signal.raise_signal(signal.SIGINT)

    message = ""
    try:
        trained(world, folder / "stopped", made=network(dropout=0.3), before=stop)
    except TrainingStopped as stopped:
        message = str(stopped)
    used: list[int] = []
    resumed = trained(world, folder / "stopped", made=network(dropout=0.3), before=used.append)
    return {"message": message, "resumed": resumed, "batches": len(used)}


def not_a_number_on_one_rank(world: World, folder: Path) -> dict[str, Any]:
    made = network()

    def spoil(batch: int) -> None:
        if batch == 4 and world.rank == 1:
            with torch.no_grad():
                made[4].bias.fill_(float("nan"))

    try:
        trained(world, folder / "spoilt", made=made, before=spoil)
    except TrainingError as error:
        return {"message": str(error)}
    return {"message": ""}


def a_state_that_one_rank_does_not_see(world: World, folder: Path) -> dict[str, Any]:
    path = folder / ("calm" if world.is_first else "elsewhere")  # `calm` was left by a scenario above
    try:
        trained(world, path, made=network(dropout=0.3))
    except CheckpointError as error:
        return {"message": str(error)}
    return {"message": ""}


def scores_of_their_own(world: World, folder: Path) -> dict[str, Any]:
    try:
        trained(world, folder / "scores", made=network(), validate=lambda made: float(world.rank))
    except AssertionError as error:
        return {"caught": "validate must return the same score on all ranks" in str(error)}
    return {"caught": False}


def a_checkpoint_of_two_ranks(world: World, folder: Path) -> dict[str, Any]:
    path, made = folder / "small.safetensors", network()
    cards: list[dict[str, Any]] = []

    def card(history: dict[str, Any]) -> Card:
        time.sleep(0.5)  # the second rank, if it did not wait, would not find the file
        cards.append(history)
        return Card(part="x", network="x", class_names=(), settings={}, recipe={}, facts={})

    train_to_checkpoint(
        path,
        made,
        RECIPE,
        batch_at=lambda step: samples(step)[list(world.slots(RECIPE.batch))],
        loss_of=lambda batch: made(batch).square().mean(),
        card=card,
        world=world,
    )
    return {"cards": len(cards), "written": path.exists(), "state": path.with_suffix(".state").exists()}


def counting_five_items(world: World, folder: Path) -> dict[str, Any]:
    items = [np.random.default_rng(i).integers(0, 2**53, (3, 3)) for i in range(5)]
    counts = sum((items[i] for i in shard(range(5), world)), np.zeros((3, 3), np.int64))
    total = world.sum(counts)
    return {"total": total.tolist(), "own": counts.tolist(), "expected": sum(items).tolist()}


def mean_and_agreement(world: World, folder: Path) -> dict[str, Any]:
    return {
        "mean": world.mean(float(world.rank)),
        "infinite": world.mean(float("inf") if world.rank else 1.0),
        "agrees": world.agrees(-0.1),
        "disagrees": world.agrees(0.1 + world.rank * 2**-56),
    }


def first_at_work(world: World, folder: Path) -> dict[str, Any]:
    """Let the first rank, then the second, work for longer than sums wait for."""
    distributed_c10d._set_pg_timeout(timedelta(milliseconds=300))
    found = world.of_first(lambda: time.sleep(1) or Path("worked"))
    with world.parting():
        if not world.is_first:
            time.sleep(1)
    distributed_c10d._set_pg_timeout(PATIENCE)
    return {"found": str(found), "of all": world.merged([float(i) for i in shard(range(5), world)])}


def time_is_up_on_one(world: World, folder: Path) -> dict[str, Any]:
    """Let the time limit be over on the first rank alone, in work of its own and in work for all."""

    def stop() -> None:
        raise TimeIsUp("the time limit is over")

    raised = 0
    with suppress(TimeIsUp):
        raised += 1
        world.of_first(stop)
        raised -= 1
    with suppress(TimeIsUp):
        raised += 1
        with world.parting():
            if world.is_first:
                stop()
        raised -= 1
    return {"raised": raised}


def gradients_of_some(world: World, folder: Path) -> dict[str, Any]:
    made = nn.ParameterList([torch.ones(2), torch.ones(3), torch.ones(1)])
    (made[0].sum() * (1 + world.rank)).backward()
    if world.rank:
        made[1].sum().backward()
    average_gradients(made, world)
    return {"gradients": [None if p.grad is None else p.grad.tolist() for p in made]}


def norms_alone_and_together(world: World, folder: Path) -> dict[str, Any]:
    """Pass three and one samples through a norm on two ranks, or all four in one process."""
    results: dict[str, Any] = {}
    for name, settings in NORMS.items():
        for size, own in ((1, slice(None)), (2, slice(3) if world.is_first else slice(3, None))):
            norm = nn.Sequential(nn.BatchNorm2d(3, **settings))
            synchronise_norms(norm, World(rank=world.rank, size=size))
            for number in range(2):
                values = samples(number)[own].requires_grad_()
                output = norm(values)
                (output * samples(7)[own]).square().sum().backward()
            gradients = {n: p.grad for n, p in norm.named_parameters()}
            kept = {"state": norm.state_dict(), "output": output.detach(), "back": values.grad}
            results[f"{name} {size}"] = kept | {"gradients": gradients}
    return results


def norm_of_one_pixel(world: World, folder: Path) -> dict[str, Any]:
    """Pass a single value per channel through a norm on each rank, as the pooled branch of DeepLab does."""
    pooled = samples(0)[:2].mean((2, 3), keepdim=True)
    norm = nn.Sequential(nn.BatchNorm2d(3))
    whole = norm(pooled)
    synchronise_norms(norm, world)
    return {"own": norm(pooled[[world.rank]]).detach(), "whole": whole.detach()[[world.rank]]}


NORMS: dict[str, dict[str, Any]] = {
    "usual": {},
    "cumulative": {"momentum": None},
    "without weights": {"affine": False},
    "without statistics": {"track_running_stats": False},
}
SCENARIOS = (
    a_batch_in_two_halves,
    unevenly_labelled,
    different_beginnings,
    killed_and_resumed,
    stopped_on_one_rank,
    not_a_number_on_one_rank,
    a_state_that_one_rank_does_not_see,
    scores_of_their_own,
    a_checkpoint_of_two_ranks,
    counting_five_items,
    mean_and_agreement,
    first_at_work,
    time_is_up_on_one,
    gradients_of_some,
    norms_alone_and_together,
    norm_of_one_pixel,
)


def fail_alone(world: World) -> None:
    if not world.is_first:
        raise FrameError("picture.png is damaged")
    world.wait()


def main(folder: Path | None) -> None:
    torch.set_num_threads(1)
    with joined("cpu") as (world, device):
        if folder is None:
            fail_alone(world)
            return
        found = {scenario.__name__: scenario(world, folder) for scenario in SCENARIOS}
        torch.save(found | {"device": str(device)}, folder / f"rank{world.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
