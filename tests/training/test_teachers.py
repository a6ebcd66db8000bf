"""Tests of training/teachers.py: segmenters that label, and segmenters held out from key frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from warprefine.core.classes import ClassSet
from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import copy_file
from warprefine.io.checkpoints import read_card
from warprefine.io.images import read_labels, write_labels
from warprefine.io.run import RunFolder
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.training.data.samples import LabelledFrame, Samples, labelled_frames
from warprefine.training.data.segmenter_batches import BatchMaker
from warprefine.training.engine.distributed import ALONE, World
from warprefine.training.teachers import Teachers

Opened = list[tuple[str, str, int]]


@pytest.fixture
def make_teachers(tmp_path: Path, segmenter_recipe: SegmenterRecipe) -> Callable[..., Teachers]:
    """Return what trains the segmenters of a run, on a data set and on further ones."""

    def make(dataset: Dataset, *further: Dataset, folds: int = 2) -> Teachers:
        return Teachers(
            run=RunFolder(tmp_path / "run"),
            key_frames=labelled_frames(dataset),
            further=[member for one in further for member in labelled_frames(one)],
            class_names=dataset.classes.names,
            recipe=segmenter_recipe.model_copy(update={"folds": folds, "held_out": "folds"}),
            device=torch.device("cpu"),
            seed=0,
        )

    return make


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Note every labelled frame that trainings use: data set, video and frame."""
    found: Opened = []
    read, count = LabelledFrame.read_frame, Samples.count_classes

    def note(member: LabelledFrame) -> None:
        found.append((member.label_path.parts[-4], member.video.name, member.frame))

    def noting_read(member: LabelledFrame) -> Any:
        note(member)
        return read(member)

    def noting_count(samples: Samples, world: World = ALONE) -> Any:
        for member in samples.members:
            note(member)
        return count(samples, world)

    monkeypatch.setattr(LabelledFrame, "read_frame", noting_read)
    monkeypatch.setattr(Samples, "count_classes", noting_count)
    return found


def imagined(name: str, key_frames: tuple[int, ...]) -> Video:
    return Video(
        name=name,
        stems=[str(k) for k in range(40)],
        frame_paths=[Path(f"{k}.png") for k in range(40)],
        labels={k: Path(f"label{k}.png") for k in key_frames},
    )


def checkpoints(teachers: Teachers) -> list[str]:
    return sorted(path.stem for path in (teachers.run.root / "checkpoints").iterdir())


def kernel_of(path: Path) -> torch.Tensor:
    """Return a kernel of a segmenter's checkpoint."""
    return load_file(path)["stem.0.weight"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.sets(st.integers(0, 39), max_size=6), min_size=1, max_size=3), folds=st.integers(1, 5)
)
def test_a_folds_segmenter_is_held_out_from_its_key_frames(
    make_teachers: Callable[..., Teachers], keys: list[set[int]], folds: int
) -> None:
    """A key frame is in one fold, what is outside of it is all others', and folds are of equal size."""
    videos = tuple(imagined(f"v{i}", tuple(sorted(frames))) for i, frames in enumerate(keys))
    dataset = Dataset(root=Path("data"), classes=ClassSet(names=("a",), colors=((0, 0, 0),)), videos=videos)
    teachers = make_teachers(dataset, folds=folds)

    sizes = dict.fromkeys(range(folds), 0)
    for video in videos:
        for frame in video.key_frames:
            fold = teachers.fold_of(video, frame)
            sizes[fold] += 1
            outside = {(member.video.name, member.frame) for member in teachers.outside_fold(fold)}
            others = {(v.name, k) for v in videos for k in v.key_frames if teachers.fold_of(v, k) != fold}
            assert (video.name, frame) not in outside
            assert outside == others
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_neighbours_in_time_are_in_different_folds(make_teachers: Callable[..., Teachers]) -> None:
    """A fold's segmenter was trained close to the key frames from which it is held out."""
    video = imagined("v", (3, 10, 17, 24))
    dataset = Dataset(root=Path("data"), classes=ClassSet(names=("a",), colors=((0, 0, 0),)), videos=(video,))

    assert [make_teachers(dataset).fold_of(video, frame) for frame in video.key_frames] == [0, 1, 0, 1]


def test_key_frames_keep_their_folds_when_others_come_or_go(make_teachers: Callable[..., Teachers]) -> None:
    """Networks of a fold that are there were trained on the key frames of the others as they were."""
    before, after = imagined("v", (0, 4, 8, 12)), imagined("v", (1, 2, 4, 12))
    classes = ClassSet(names=("a",), colors=((0, 0, 0),))
    one, two = (
        make_teachers(Dataset(root=Path("data"), classes=classes, videos=(video,)))
        for video in (before, after)
    )

    later = replace(two, trained_on={("v", k): place for place, k in enumerate(before.key_frames)})

    assert [later.fold_of(after, k) for k in (4, 12)] == [one.fold_of(before, k) for k in (4, 12)] == [1, 1]
    assert [later.fold_of(after, k) for k in (1, 2)] == [1, 0]  # of their own, whatever else is corrected
    assert [member.frame for member in later.outside_fold(1)] == [2]


def test_the_labelling_segmenter_is_trained_on_every_key_frame(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset], opened: Opened
) -> None:
    """All that is labelled by hand is learned from; a second call finds the weights and trains nothing."""
    teachers = make_teachers(make_dataset(videos=[(0, 3), (1,)]))

    path = teachers.train_labeller()
    written = path.stat().st_mtime_ns

    assert {(video, frame) for _, video, frame in opened} == {("video0", 0), ("video0", 3), ("video1", 1)}
    assert path == teachers.run.checkpoint_path("segmenter")
    opened.clear()
    assert teachers.train_labeller() == path
    assert path.stat().st_mtime_ns == written
    assert opened == []


@pytest.mark.parametrize("fold", [0, 1])
def test_a_fold_is_trained_without_its_key_frames(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset], opened: Opened, fold: int
) -> None:
    """What a fold's segmenter opens are the key frames of the other folds and nothing else."""
    teachers = make_teachers(make_dataset(videos=[(0, 3), (1, 5)]))

    path = teachers.train_held_out(fold)

    assert {(video, frame) for _, video, frame in opened} == {
        (member.video.name, member.frame) for member in teachers.outside_fold(fold)
    }
    assert path == teachers.run.checkpoint_path(f"segmenter-fold{fold}")


@pytest.mark.parametrize(("keys", "folds"), [((2, 4), 1), ((2,), 2)])
def test_without_folds_the_labelling_segmenter_takes_their_place(
    make_teachers: Callable[..., Teachers],
    make_dataset: Callable[..., Dataset],
    keys: tuple[int, ...],
    folds: int,
) -> None:
    """One fold, or a single key frame, leaves nothing to train a second segmenter on."""
    teachers = make_teachers(make_dataset(videos=[keys]), folds=folds)

    assert teachers.train_held_out(0) == teachers.train_labeller()
    assert checkpoints(teachers) == ["segmenter"]


def test_further_data_come_first_and_are_learned_from_once(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset], opened: Opened
) -> None:
    """One base is trained on further data; the segmenters that label and of the folds are adapted from it."""
    further = make_dataset("further", videos=[(0, 2, 4)], seed=7)
    teachers = make_teachers(make_dataset(videos=[(1, 4)]), further)

    teachers.train_labeller()
    assert {place for place in opened if place[0] == "data"} == {("data", "video0", 1), ("data", "video0", 4)}
    base = teachers.run.checkpoint_path("segmenter-base").read_bytes()
    opened.clear()
    teachers.train_held_out(teachers.fold_of(teachers.key_frames[0].video, 4))

    assert {place for place in opened if place[0] == "data"} == {("data", "video0", 1)}
    assert checkpoints(teachers) == ["segmenter", "segmenter-base", "segmenter-fold1"]
    assert teachers.run.checkpoint_path("segmenter-base").read_bytes() == base
    card = read_card(teachers.run.checkpoint_path("segmenter"))
    assert card.recipe["optimisation"] == teachers.recipe.adaptation.model_dump(mode="json")


def test_the_base_is_held_out_from_a_single_key_frame(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset]
) -> None:
    """With further data, the segmenter that was trained on no key frame at all is the base itself."""
    teachers = make_teachers(make_dataset(videos=[(2,)]), make_dataset("further", videos=[(0, 2)], seed=7))

    assert teachers.train_held_out(0) == teachers.run.checkpoint_path("segmenter-base")
    assert checkpoints(teachers) == ["segmenter-base"]


def test_the_base_can_be_the_one_that_is_held_out(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset], opened: Opened
) -> None:
    """It has seen no key frame, so none is trained for folds; a fold's own segmenter counts where it is."""
    further = make_dataset("further", videos=[(0, 2)], seed=7)
    folds = make_teachers(make_dataset(videos=[(1, 4)]), further)
    teachers = replace(folds, recipe=folds.recipe.model_copy(update={"held_out": "base"}))
    base = teachers.run.checkpoint_path("segmenter-base")

    assert [teachers.train_held_out(fold) for fold in (0, 1)] == [base, base]
    assert checkpoints(teachers) == ["segmenter-base"]
    assert {place[0] for place in opened} == {"further"}
    assert teachers.uses_base(1)
    assert not folds.uses_base(1)
    folds.train_held_out(1)
    assert teachers.train_held_out(0) == base
    assert teachers.train_held_out(1) == teachers.run.checkpoint_path("segmenter-fold1")
    assert not teachers.uses_base(1)


def test_a_base_that_was_given_can_be_held_out(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    """Without further data there may be a base all the same; without any base there are folds."""
    dataset = make_dataset(videos=[(1, 4)])
    folds = make_teachers(dataset)
    teachers = replace(folds, recipe=folds.recipe.model_copy(update={"held_out": "base"}))

    assert teachers.train_held_out(0) == teachers.run.checkpoint_path("segmenter-fold0")
    given = replace(teachers, run=RunFolder(tmp_path / "given"))
    base = given.run.checkpoint_path("segmenter-base")
    copy_file(teachers.run.checkpoint_path("segmenter-fold0"), base)
    assert given.train_held_out(0) == base


def test_an_adapted_segmenter_starts_from_the_base(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset]
) -> None:
    """A learning rate of next to nothing leaves the adapted weights next to the base's."""
    teachers = make_teachers(make_dataset(videos=[(1, 4)]), make_dataset("further", videos=[(0, 2)], seed=7))
    lazy = teachers.recipe.adaptation.model_copy(update={"learning_rate": 1e-9, "average_decay": 0.0})
    teachers = replace(teachers, recipe=teachers.recipe.model_copy(update={"adaptation": lazy}))

    adapted = teachers.train_labeller()

    torch.testing.assert_close(
        kernel_of(adapted), kernel_of(teachers.run.checkpoint_path("segmenter-base")), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("with_further", [False, True])
def test_pseudo_labels_are_learned_from_beside_the_rest(
    make_teachers: Callable[..., Teachers],
    make_dataset: Callable[..., Dataset],
    monkeypatch: pytest.MonkeyPatch,
    with_further: bool,
) -> None:
    """They have their share of the batches; the rest is divided as in the adaptation."""
    further = [make_dataset("further", videos=[(0, 2, 4)], seed=7)] if with_further else []
    teachers = make_teachers(make_dataset(videos=[(1, 4)]), *further)
    pseudo_labels = labelled_frames(make_dataset("pseudo", videos=[(3,)], seed=3))
    start = teachers.train_labeller()
    shares: list[dict[str, float]] = []
    original = BatchMaker.__init__

    def noting(self: BatchMaker, pools: Any, *given: Any, **named: Any) -> None:
        shares.append({pool.members[0].label_path.parts[-4]: share for pool, share in pools})
        original(self, pools, *given, **named)

    monkeypatch.setattr(BatchMaker, "__init__", noting)
    path = teachers.train_on_pseudo_labels(
        "segmenter-round2",
        start=start,
        key_frames=teachers.key_frames,
        pseudo_labels=pseudo_labels,
        share=0.6,
    )

    assert path == teachers.run.checkpoint_path("segmenter-round2")
    of_rest = {"data": 0.3, "further": 0.1} if with_further else {"data": 0.4}
    assert shares == [pytest.approx({"pseudo": 0.6, **of_rest})]
    assert read_card(path).recipe["optimisation"] == teachers.recipe.adaptation.model_dump(mode="json")


def test_training_on_pseudo_labels_starts_from_given_weights(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset], opened: Opened
) -> None:
    """A learning rate of next to nothing leaves the weights next to the start; a second call does nothing."""
    teachers = make_teachers(make_dataset(videos=[(1, 4)]))
    lazy = teachers.recipe.adaptation.model_copy(update={"learning_rate": 1e-9, "average_decay": 0.0})
    teachers = replace(teachers, recipe=teachers.recipe.model_copy(update={"adaptation": lazy}))
    start = teachers.train_held_out(1)

    def train() -> Path:
        return teachers.train_on_pseudo_labels(
            "segmenter-round2",
            start=start,
            key_frames=teachers.key_frames,
            pseudo_labels=teachers.key_frames[:1],
            share=0.5,
        )

    path = train()
    torch.testing.assert_close(kernel_of(path), kernel_of(start), atol=1e-6, rtol=0)
    opened.clear()
    assert train() == path
    assert opened == []


def test_progress_names_the_checkpoint(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset]
) -> None:
    """Each training is reported under the name of what it writes."""
    reported: list[str] = []
    teachers = make_teachers(make_dataset(videos=[(1, 4)]))
    teachers = replace(teachers, progress=lambda task, done, total, note="": reported.append(task))

    teachers.train_labeller()
    teachers.train_held_out(1)

    assert list(dict.fromkeys(reported)) == ["training segmenter", "training segmenter-fold1"]


def one_class_labels(dataset: Dataset, only: int) -> None:
    """Make VOID of all classes but one in the label maps of a data set."""
    for video in dataset.videos:
        for path in video.labels.values():
            labels = read_labels(path, dataset.classes)
            write_labels(path, labels.masked_fill(labels != only, VOID), dataset.classes)


def test_one_class_and_void_is_not_trained_on(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset]
) -> None:
    """A segmenter of one class would label every pixel with it; the message has the lines that mend it."""
    dataset = replace(make_dataset(), classes=ClassSet(names=("car",), colors=((0, 0, 142),)))

    with pytest.raises(
        LabelError,
        match=r"'car' is the only class, so a segmenter would give it to every pixel; expected a class for "
        r"the rest too, .* say so in classes\.toml: void_ids = \[254\] at the top, a \[\[class\]\] with "
        r'name = "background" and id = 255, and an id for the other class',
    ):
        make_teachers(dataset).train_labeller()


@pytest.mark.parametrize(("only", "found"), [(1, "only 'tree'"), (VOID, "none")])
def test_labels_that_show_one_class_are_not_trained_on(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset], only: int, found: str
) -> None:
    """Whatever the class table says: where key frames show one class or none, there is nothing to learn."""
    dataset = make_dataset()
    one_class_labels(dataset, only)
    teachers = make_teachers(dataset)

    with pytest.raises(
        LabelError,
        match=rf"of the 3 classes \(road, tree, car\) the label maps of the key frames show {found}, so a "
        r"segmenter has nothing to tell apart; expected two classes at least; label pixels of others, or "
        r"check that the numbers in the label maps are those of the classes",
    ):
        teachers.train_held_out(0)

    assert not list(teachers.run.root.rglob("*.safetensors"))


def test_further_data_may_show_the_other_classes(
    make_teachers: Callable[..., Teachers], make_dataset: Callable[..., Dataset]
) -> None:
    """What matters is all that is learned from; a fold that shows one class alone is trained on, too."""
    dataset = make_dataset()
    one_class_labels(dataset, 1)
    further = make_dataset("further", seed=7)

    assert make_teachers(dataset, further).train_labeller().exists()
