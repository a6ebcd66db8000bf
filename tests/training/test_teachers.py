"""Tests of training/teachers.py: segmenters that label, and segmenters that have not seen a key frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError, LabelError
from warprefine.core.video import Dataset, Video
from warprefine.io.checkpoints import fingerprint, read_card
from warprefine.io.run import RunFolder
from warprefine.motion.dis import DISFlow
from warprefine.training.recipe import SegmenterRecipe
from warprefine.training.samples import Samples
from warprefine.training.teachers import TeacherPlan, load_models, train_fold, train_labeller

Seen = list[tuple[str, str, int]]


@pytest.fixture
def make_plan(tmp_path: Path, segmenter_recipe: SegmenterRecipe) -> Callable[..., TeacherPlan]:
    """Plan the segmenters of a run."""

    def make(dataset: Dataset, *also_train: Dataset, folds: int = 2) -> TeacherPlan:
        return TeacherPlan(
            run=RunFolder(tmp_path / "run"),
            dataset=dataset,
            also_train=also_train,
            recipe=segmenter_recipe.model_copy(update={"folds": folds}),
            device=torch.device("cpu"),
            seed=0,
        )

    return make


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Note every labelled frame that is opened: data set, video and frame."""
    opened: Seen = []
    original = Samples._decode

    def noting(member: Any) -> Any:
        opened.append((member.video.labels[member.frame].parts[-4], member.video.name, member.frame))
        return original(member)

    monkeypatch.setattr(Samples, "_decode", staticmethod(noting))
    return opened


def imagined(name: str, key_frames: tuple[int, ...]) -> Video:
    return Video(
        name=name,
        stems=[str(k) for k in range(40)],
        frame_paths=[Path(f"{k}.png") for k in range(40)],
        labels={k: Path(f"label{k}.png") for k in key_frames},
    )


def checkpoints(plan: TeacherPlan) -> list[str]:
    return sorted(path.stem for path in (plan.run.root / "checkpoints").iterdir())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.sets(st.integers(0, 39), max_size=6), min_size=1, max_size=3), folds=st.integers(1, 5)
)
def test_a_folds_segmenter_never_sees_its_key_frames(
    make_plan: Callable[..., TeacherPlan], keys: list[set[int]], folds: int
) -> None:
    """A key frame is in one fold, what is outside of it is all others', and folds are of equal size."""
    videos = tuple(imagined(f"v{i}", tuple(sorted(frames))) for i, frames in enumerate(keys))
    dataset = Dataset(root=Path("data"), classes=ClassSet(names=("a",), colors=((0, 0, 0),)), videos=videos)
    plan = make_plan(dataset, folds=folds)

    sizes = dict.fromkeys(range(folds), 0)
    for video in videos:
        for frame in video.key_frames:
            fold = plan.fold_of(video, frame)
            sizes[fold] += 1
            outside = {(member.video.name, member.frame) for member in plan.outside_fold(fold)}
            others = {(v.name, k) for v in videos for k in v.key_frames if plan.fold_of(v, k) != fold}
            assert (video.name, frame) not in outside
            assert outside == others
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_neighbours_in_time_are_in_different_folds(make_plan: Callable[..., TeacherPlan]) -> None:
    """A fold's segmenter has seen what is close to the key frames that it has not seen."""
    video = imagined("v", (3, 10, 17, 24))
    dataset = Dataset(root=Path("data"), classes=ClassSet(names=("a",), colors=((0, 0, 0),)), videos=(video,))

    assert [make_plan(dataset).fold_of(video, frame) for frame in video.key_frames] == [0, 1, 0, 1]


def test_the_labelling_segmenter_sees_every_key_frame_once_trained(
    make_plan: Callable[..., TeacherPlan], make_dataset: Callable[..., Dataset], seen: Seen
) -> None:
    """All that is labelled by hand is learned from; a second call finds the weights and trains nothing."""
    plan = make_plan(make_dataset(videos=[(0, 3), (1,)]))

    path = train_labeller(plan)
    written = path.stat().st_mtime_ns

    assert {(video, frame) for _, video, frame in seen} == {("video0", 0), ("video0", 3), ("video1", 1)}
    assert path == plan.run.checkpoint_path("segmenter")
    seen.clear()
    assert train_labeller(plan) == path
    assert path.stat().st_mtime_ns == written
    assert seen == []


@pytest.mark.parametrize("fold", [0, 1])
def test_a_fold_is_trained_without_its_key_frames(
    make_plan: Callable[..., TeacherPlan], make_dataset: Callable[..., Dataset], seen: Seen, fold: int
) -> None:
    """What a fold's segmenter opens are the key frames of the other folds and nothing else."""
    plan = make_plan(make_dataset(videos=[(0, 3), (1, 5)]))

    path = train_fold(plan, fold)

    assert {(video, frame) for _, video, frame in seen} == {
        (member.video.name, member.frame) for member in plan.outside_fold(fold)
    }
    assert path == plan.run.checkpoint_path(f"segmenter-fold{fold}")


@pytest.mark.parametrize(("keys", "folds"), [((2, 4), 1), ((2,), 2)])
def test_without_folds_the_labelling_segmenter_takes_their_place(
    make_plan: Callable[..., TeacherPlan],
    make_dataset: Callable[..., Dataset],
    keys: tuple[int, ...],
    folds: int,
) -> None:
    """One fold, or a single key frame, leaves nothing to train a second segmenter on."""
    plan = make_plan(make_dataset(videos=[keys]), folds=folds)

    assert train_fold(plan, 0) == train_labeller(plan)
    assert checkpoints(plan) == ["segmenter"]


def test_further_data_come_first_and_are_learned_from_once(
    make_plan: Callable[..., TeacherPlan], make_dataset: Callable[..., Dataset], seen: Seen
) -> None:
    """One base is trained on further data; the segmenters that label and of the folds are adapted from it."""
    further = make_dataset("further", videos=[(0, 2, 4)], seed=7)
    plan = make_plan(make_dataset(videos=[(1, 4)]), further)

    train_labeller(plan)
    assert {place for place in seen if place[0] == "data"} == {("data", "video0", 1), ("data", "video0", 4)}
    base = plan.run.checkpoint_path("segmenter-base").read_bytes()
    seen.clear()
    train_fold(plan, plan.fold_of(plan.dataset.videos[0], 4))

    assert {place for place in seen if place[0] == "data"} == {("data", "video0", 1)}
    assert checkpoints(plan) == ["segmenter", "segmenter-base", "segmenter-fold1"]
    assert plan.run.checkpoint_path("segmenter-base").read_bytes() == base
    card = read_card(plan.run.checkpoint_path("segmenter"))
    assert card.recipe["optimisation"] == plan.recipe.adaptation.model_dump(mode="json")


def test_a_single_key_frame_is_judged_by_the_base(
    make_plan: Callable[..., TeacherPlan], make_dataset: Callable[..., Dataset]
) -> None:
    """With further data, the segmenter that has seen no key frame at all is the base itself."""
    plan = make_plan(make_dataset(videos=[(2,)]), make_dataset("further", videos=[(0, 2)], seed=7))

    assert train_fold(plan, 0) == plan.run.checkpoint_path("segmenter-base")
    assert checkpoints(plan) == ["segmenter-base"]


def test_an_adapted_segmenter_starts_from_the_base(
    make_plan: Callable[..., TeacherPlan], make_dataset: Callable[..., Dataset]
) -> None:
    """A learning rate of next to nothing leaves the adapted weights next to the base's."""
    plan = make_plan(make_dataset(videos=[(1, 4)]), make_dataset("further", videos=[(0, 2)], seed=7))
    lazy = plan.recipe.adaptation.model_copy(update={"learning_rate": 1e-9, "average_decay": 0.0})
    plan = replace(plan, recipe=plan.recipe.model_copy(update={"adaptation": lazy}))

    adapted = train_labeller(plan)

    kernels = [
        load_models(path, DISFlow(), plan.dataset.classes, plan.device).segmenter.stem[0].weight  # type: ignore[union-attr]
        for path in (adapted, plan.run.checkpoint_path("segmenter-base"))
    ]
    torch.testing.assert_close(kernels[0], kernels[1], atol=1e-6, rtol=0)


def test_further_data_have_the_same_classes(
    make_plan: Callable[..., TeacherPlan], make_dataset: Callable[..., Dataset]
) -> None:
    """Data with other classes, or the same in another order, would teach the wrong names."""
    dataset = make_dataset()
    swapped = ClassSet(names=("tree", "road", "car"), colors=dataset.classes.colors)

    with pytest.raises(
        LabelError,
        match=r"other has the classes tree, road, car, but .*data has road, tree, car; further training data",
    ):
        make_plan(dataset, replace(dataset, root=Path("other"), classes=swapped))


def test_a_segmenter_is_loaded_ready_for_use(make_plan: Callable[..., TeacherPlan], dataset: Dataset) -> None:
    """Loaded weights drop nothing out, carry the fingerprint of their file, and stand beside the motion."""
    path, motion = train_labeller(make_plan(dataset)), DISFlow()

    models = load_models(path, motion, dataset.classes, torch.device("cpu"))

    assert models.motion is motion
    assert models.segmenter_fingerprint == fingerprint(path)
    segmenter: Any = models.segmenter
    assert not segmenter.training
    assert segmenter.class_count == 3


def test_a_segmenter_of_other_classes_is_not_loaded(
    make_plan: Callable[..., TeacherPlan], dataset: Dataset
) -> None:
    """Weights that know other classes are refused before anything is labelled with them."""
    path = train_labeller(make_plan(dataset))
    other = ClassSet(names=("sky",), colors=((0, 0, 0),))

    with pytest.raises(
        CheckpointError, match=r"trained for the classes road, tree, car \(3\), but the data set"
    ):
        load_models(path, DISFlow(), other, torch.device("cpu"))
