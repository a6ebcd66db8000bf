"""Tests of training/base_store.py: a base segmenter is trained once on the same further data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine.core.video import Dataset
from warprefine.io.atomic import draft_of
from warprefine.io.run import RunFolder
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.training.base_store import MOST_KEPT, VARIABLE, BaseStore, key_of_base
from warprefine.training.data.samples import labelled_frames
from warprefine.training.teachers import BASE, Teachers


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the checkpoints that were trained."""
    trained: list[str] = []
    original = Teachers._train

    def noting(self: Teachers, path: Path, *arguments: Any, **named: Any) -> Path:
        trained.append(path.stem)
        return original(self, path, *arguments, **named)

    monkeypatch.setattr(Teachers, "_train", noting)
    return trained


@pytest.fixture
def make(tmp_path: Path, segmenter_recipe: SegmenterRecipe) -> Callable[..., Teachers]:
    def teachers(name: str, dataset: Dataset, further: Dataset, **changes: Any) -> Teachers:
        return Teachers(
            run=RunFolder(tmp_path / name),
            key_frames=labelled_frames(dataset),
            further=labelled_frames(further),
            class_names=dataset.classes.names,
            recipe=segmenter_recipe.model_copy(update=changes),
            device=torch.device("cpu"),
            seed=0,
            bases=BaseStore(folder=tmp_path / "bases"),
        )

    return teachers


def test_another_video_of_the_same_project_takes_the_base_that_was_trained_before(
    make_dataset: Callable[..., Dataset], make: Callable[..., Teachers], trainings: list[str]
) -> None:
    """The same weights come at once; only the adaptation to its own key frames is trained."""
    first, second, further = (make_dataset(name, videos=[keys]) for name, keys in ABC.items())
    one, other = make("one", first, further), make("other", second, further)

    one.train_labeller()
    other.train_labeller()

    assert trainings == [BASE, "segmenter", "segmenter"]
    kept = [teachers.run.checkpoint_path(BASE).read_bytes() for teachers in (one, other)]
    assert kept[0] == kept[1]


def test_other_data_or_another_training_is_another_base(
    make_dataset: Callable[..., Dataset], make: Callable[..., Teachers], trainings: list[str]
) -> None:
    """A changed label map is another base; how it is adapted is not."""
    dataset, _, further = (make_dataset(name, videos=[keys]) for name, keys in ABC.items())
    make("one", dataset, further).train_labeller()
    make("two", dataset, further, holdout_every=7).train_labeller()
    make("three", dataset, further, folds=1, key_frame_share=0.3, held_out="base").train_labeller()
    path = further.videos[0].labels[0]
    path.write_bytes(further.videos[0].labels[3].read_bytes())
    make("four", dataset, further).train_labeller()

    assert trainings.count(BASE) == 3


def test_a_base_that_is_damaged_is_trained_again(
    make_dataset: Callable[..., Dataset], make: Callable[..., Teachers], trainings: list[str]
) -> None:
    """What is kept is never needed."""
    dataset, _, further = (make_dataset(name, videos=[keys]) for name, keys in ABC.items())
    one = make("one", dataset, further)
    one.train_labeller()
    (kept,) = one.bases.kept()
    kept.write_bytes(kept.read_bytes()[:50])

    make("two", dataset, further).train_labeller()

    assert trainings.count(BASE) == 2
    (again,) = one.bases.kept()
    assert again.stat().st_size > 50


ABC = {"first": (1, 4), "second": (2,), "further": (0, 3)}


def test_the_oldest_are_deleted(tmp_path: Path) -> None:
    """The folder stays small, whatever is trained."""
    store, source = BaseStore(folder=tmp_path / "bases"), tmp_path / "weights.safetensors"
    source.write_bytes(b"weights")
    for number in range(MOST_KEPT + 2):
        store.keep(f"{number:02d}", source)
        os.utime(tmp_path / "bases" / f"{number:02d}.safetensors", (number, number))

    assert [path.stem for path in store.kept()] == [f"{n:02d}" for n in range(MOST_KEPT + 1, 1, -1)]


def test_what_killed_processes_left_beside_them_is_deleted(tmp_path: Path) -> None:
    """Drafts of 20 MB each do not pile up; those that are being written stay."""
    store, source = BaseStore(folder=tmp_path / "bases"), tmp_path / "weights.safetensors"
    source.write_bytes(b"weights")
    store.keep("a", source)
    old, new = (draft_of(tmp_path / "bases/b.safetensors") for _ in range(2))
    for draft in (old, new):
        draft.touch()
    os.utime(old, (0, 0))

    store.keep("c", source)

    assert not old.exists()
    assert new.exists()


def test_the_user_chooses_the_folder_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a variable of the environment; where nothing can be kept, nothing is."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert BaseStore.of_user().folder == tmp_path / "mine/base-segmenters"
    monkeypatch.setenv(VARIABLE, "off")
    nothing = BaseStore.of_user()
    assert nothing.kept() == []
    nothing.keep("key", tmp_path / "weights.safetensors")
    assert not nothing.fetch("key", tmp_path / "target.safetensors")
    monkeypatch.delenv(VARIABLE)
    assert BaseStore.of_user().folder is not None

    (tmp_path / "file").write_text("no folder")
    closed = BaseStore(folder=tmp_path / "file")
    closed.keep("key", tmp_path / "file")
    assert not closed.fetch("key", tmp_path / "target.safetensors")


def test_the_key_depends_on_seed_and_classes(
    make_dataset: Callable[..., Dataset], segmenter_recipe: SegmenterRecipe
) -> None:
    """All that decides the weights."""
    further = labelled_frames(make_dataset("further", videos=[(0, 3)]))

    keys = {
        key_of_base(further[:count], segmenter_recipe, class_names=names, seed=seed, device="cpu")
        for count in (1, 2)
        for names in (("a", "b"), ("b", "a"))
        for seed in (0, 1)
    }

    assert len(keys) == 8
