"""Tests of training/student.py: a network that learns from two kinds of labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from warprefine.core.errors import LabelError, RecipeError
from warprefine.core.video import Dataset
from warprefine.io.checkpoints import read_card
from warprefine.metrics import confusion
from warprefine.recipe.network import Augmentation
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.student import StudentRecipe
from warprefine.training import segmenter_loss
from warprefine.training.data.samples import LabelledFrame, Samples, labelled_frames
from warprefine.training.data.student_samples import Source, find_centroids
from warprefine.training.engine.distributed import World
from warprefine.training.losses.relaxed import relaxed
from warprefine.training.student import StudentPlan, load_student, student_confusion, train_student

CPU = torch.device("cpu")
RECIPE = StudentRecipe(
    widths=(4, 8, 8, 8, 8),
    optimisation=Optimisation(
        steps=30, batch=4, learning_rate=2e-2, warmup=0, average_decay=0.0, checkpoint_every=10
    ),
    augmentation=Augmentation(crop=(32, 32), scale=(1.0, 1.0), jitter=0.0, blur=0.0),
)


@pytest.fixture
def plan(dataset: Dataset, tmp_path: Path) -> StudentPlan:
    """A student of the frames labelled by hand, and of one of them as if it were pseudo-labelled."""
    manual = Samples(labelled_frames(dataset))
    pseudo_labelled = Samples(labelled_frames(dataset)[:1])
    sources = [
        Source(
            samples=samples,
            by_class=find_centroids(samples, tile=0, class_count=3, cache=tmp_path / "centroids"),
            share=share,
        )
        for samples, share in ((manual, 0.3), (pseudo_labelled, 0.7))
    ]
    return StudentPlan(
        path=tmp_path / "student.safetensors",
        class_names=dataset.classes.names,
        sources=sources,
        recipe=RECIPE,
        device=CPU,
        seed=0,
    )


def test_a_student_learns(plan: StudentPlan) -> None:
    """Three classes that differ in colour are told apart after thirty steps, by a network read from disk."""
    train_student(plan)
    student = load_student(plan.path, CPU)

    matrix = student_confusion(student, plan.sources[0].samples)

    assert confusion.mean_iou(matrix) > 0.5
    assert read_card(plan.path).facts["seed"] == 0
    assert not plan.path.with_suffix(".state").exists()


def test_relaxation_ends_where_the_recipe_says(plan: StudentPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the steps are relaxed, the rest are not; strict classes are given by name."""
    found = []

    def noted(logits: Any, labels: Any, weights: Any, step: Any, *, strict: Any, late: bool) -> Any:
        found.append((tuple(strict), late))
        return relaxed(logits, labels, weights, step, strict=strict, late=late)

    monkeypatch.setattr(segmenter_loss, "relaxed", noted)
    recipe = plan.recipe.model_copy(
        update={"loss": "relaxed", "strict_classes": ("car",), "relaxed_until": 0.5}
    ).changed(("optimisation", "steps"), 4)

    train_student(replace(plan, recipe=recipe))

    assert found == [((2,), False)] * 2 + [((2,), True)] * 2


def test_a_strict_class_has_to_be_one(plan: StudentPlan) -> None:
    """A class that is not there is a slip; the nearest name is told."""
    recipe = plan.recipe.model_copy(update={"loss": "relaxed", "strict_classes": ("cart",)})

    with pytest.raises(RecipeError, match="no class is called 'cart'; did you mean 'car'"):
        train_student(replace(plan, recipe=recipe))


def test_a_student_of_one_class_is_refused(plan: StudentPlan) -> None:
    """As for the segmenters of a run, there is nothing to tell apart."""
    with pytest.raises(LabelError, match="'road' is the only class"):
        train_student(replace(plan, class_names=("road",)))


def test_a_trained_student_is_left_alone(plan: StudentPlan) -> None:
    """A second call trains nothing."""
    plan.path.write_bytes(b"here already")
    train_student(plan)

    assert plan.path.read_bytes() == b"here already"


def test_class_weights_come_from_the_labels_made_by_hand(
    plan: StudentPlan, make_dataset: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pseudo-labels, which differ from method to method, do not count."""
    counted: list[list[int]] = []

    def noted(pixels: list[int], balance: float) -> torch.Tensor:
        counted.append(pixels)
        return torch.ones(len(pixels))

    monkeypatch.setattr("warprefine.training.segmenter.balanced_weights", noted)
    train_student(plan)

    manual = plan.sources[0].samples
    expected = sum(np.bincount(manual[i][1].ravel(), minlength=256) for i in range(len(manual)))
    assert counted == [expected[:3].tolist()]


def test_test_images_are_shared_out_exactly(plan: StudentPlan) -> None:
    """Over five images, the counts of three processes add up to those of one."""

    class Alone(World):
        def sum(self, counts: np.ndarray) -> np.ndarray:
            return counts

    train_student(plan)
    student = load_student(plan.path, CPU)
    members = plan.sources[0].samples.members
    samples = Samples([members[i % 2] for i in range(5)])
    parts = [student_confusion(student, samples, world=Alone(rank=r, size=3)) for r in range(3)]

    assert np.array_equal(sum(parts), student_confusion(student, samples))
    assert all(part.sum() > 0 for part in parts)


def test_labels_may_come_with_another_picture(dataset: Dataset) -> None:
    """A sample with a picture of its own shows that instead of the frame (joint propagation)."""
    video = dataset.videos[0]
    other = LabelledFrame(
        video=video,
        frame=1,
        classes=dataset.classes,
        labels=video.labels[4],
        picture=Path(video.frame_paths[4]),
    )
    plain = LabelledFrame(video=video, frame=4, classes=dataset.classes)

    (image, labels), (expected_image, expected_labels) = Samples([other])[0], Samples([plain])[0]

    assert np.array_equal(image, expected_image)
    assert np.array_equal(labels, expected_labels)
