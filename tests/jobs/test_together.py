"""Tests of jobs/together.py: networks trained at the same time are those trained in turn."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from warprefine import autolabel, load_recipe, open_dataset
from warprefine.core.engine import ItemT, ResultT
from warprefine.core.errors import TimeIsUp
from warprefine.core.time_limit import until_deadline
from warprefine.jobs.networks import Networks
from warprefine.jobs.start import start
from warprefine.jobs.together import train_together
from warprefine.propagation.methods import PLUS


class Backwards:
    """An engine of this process that begins with the last item; it notes the names of what it works on."""

    is_here = False
    is_on_this_machine = True
    cores_here = 1

    def __init__(self) -> None:
        self.waves: list[list[Any]] = []

    def stream(
        self, work: Callable[[ItemT], Iterator[ResultT]], items: Iterable[ItemT]
    ) -> Generator[tuple[ItemT, ResultT | None], None, None]:
        """Yield each item with each of its results, and with None once it is done."""
        wave = [*items]
        self.waves.append([name for _, name in wave])  # type: ignore[misc]
        for item in reversed(wave):
            for result in work(item):
                yield item, result
            yield item, None


@pytest.fixture
def engine() -> Backwards:
    """An engine that does all work the other way round."""
    return Backwards()


def networks_of(data: Path, run: Path, recipe: Any, engine: Backwards) -> Networks:
    return Networks(start(open_dataset(data), run, horizon=3, recipe=recipe)).on(engine)


def test_only_what_would_be_trained_in_turn_is_trained(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path, engine: Backwards
) -> None:
    """With samples of one key frame alone the other fold gets no segmenter, here or elsewhere."""
    recipe = load_recipe(tiny_recipe).changed(("plus", "refiner", "key_frames"), 1)

    networks = networks_of(tiny_data, tmp_path / "together", recipe, engine)
    train_together(networks, (PLUS,))

    in_turn = Networks(start(open_dataset(tiny_data), tmp_path / "in turn", horizon=3, recipe=recipe))
    in_turn.refiner("two-sided")
    folders = [tmp_path / name / "checkpoints" for name in ("together", "in turn")]
    together, one_by_one = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in folders)
    assert together == one_by_one
    assert [sorted(wave) for wave in engine.waves] == [
        ["segmenter", "segmenter-fold0"],
        ["two-sided-refiner"],
    ]


def test_the_base_segmenter_comes_before_those_that_are_adapted_from_it(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path, engine: Backwards
) -> None:
    """With further data it is trained first, once; what is there already is not trained again."""
    context = start(
        open_dataset(tiny_data),
        tmp_path / "run",
        horizon=3,
        recipe=load_recipe(tiny_recipe),
        also_train=[open_dataset(tiny_data)],
    )
    train_together(Networks(context).on(engine), ("semantic-only",))
    train_together(Networks(context).on(engine), ("semantic-only",))

    assert engine.waves == [["segmenter-base"], ["segmenter"]]


def test_trainings_end_with_the_time_limit(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path, engine: Backwards
) -> None:
    """After the first report of a training somebody looks at the clock."""
    networks = networks_of(tiny_data, tmp_path / "run", load_recipe(tiny_recipe), engine)

    with until_deadline(0.0), pytest.raises(TimeIsUp):
        train_together(networks, (PLUS,))


def test_rounds_train_and_label_elsewhere_too(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path, engine: Backwards
) -> None:
    """A run with two rounds has the same labels whichever way round its work is done."""
    recipe = load_recipe(tiny_recipe).changed(("plus", "rounds", "count"), 2)
    for name, options in (("here", {}), ("elsewhere", {"engine": engine})):
        autolabel(
            open_dataset(tiny_data), tmp_path / name, horizon=3, methods=(PLUS,), recipe=recipe, **options
        )

    here, elsewhere = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.png")}
        for name in ("here", "elsewhere")
    )
    assert here == elsewhere
    assert ["segmenter", "segmenter-fold0", "segmenter-fold1"] in engine.waves
