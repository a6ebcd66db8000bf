"""Tests of training/data/samples.py: labelled frames, decoded once and kept while they fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID, Frames
from warprefine.core.video import Dataset
from warprefine.io.images import read_frame, read_labels, write_labels
from warprefine.training.data.samples import (
    LabelledFrame,
    Samples,
    covered_share,
    evenly,
    labelled_frames,
    members_by_class,
)


def test_every_key_frame_is_a_sample(make_dataset: Callable[..., Dataset]) -> None:
    """Samples are the frames labelled by hand, video by video, in order of time."""
    dataset = make_dataset(videos=[(1, 4), (0,)])

    found = [(member.video.name, member.frame) for member in labelled_frames(dataset)]

    assert found == [("video0", 1), ("video0", 4), ("video1", 0)]


def test_a_sample_is_a_frame_with_its_labels(dataset: Dataset) -> None:
    """The picture is the key frame's own, RGB, and the labels are positions in the class set."""
    (video,) = dataset.videos

    image, labels = Samples(labelled_frames(dataset))[1]

    assert np.array_equal(image, read_frame(video.frame_paths[4])[0].permute(1, 2, 0))
    assert np.array_equal(labels, read_labels(video.labels[4], dataset.classes)[0])
    assert image.flags.c_contiguous


def test_labels_of_another_size_are_refused(dataset: Dataset) -> None:
    """A label map that does not fit its frame is an error before it is trained on."""
    (video,) = dataset.videos
    write_labels(video.labels[4], torch.zeros(1, 8, 8, dtype=torch.uint8), dataset.classes)

    with pytest.raises(LabelError, match=r"000004\.png is 8 x 8 \(h x w\), but its frame is 48 x 64"):
        Samples(labelled_frames(dataset))[1]


def test_a_sample_is_decoded_once(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is drawn again and again is read from disk only the first time."""
    decoded: list[int] = []
    original = LabelledFrame.read_frame

    def counting(member: LabelledFrame) -> Frames:
        decoded.append(member.frame)
        return original(member)

    monkeypatch.setattr(LabelledFrame, "read_frame", counting)
    samples = Samples(labelled_frames(dataset))
    samples.count_classes()
    for index in (0, 1, 0, 1, 1):
        samples[index]

    assert decoded == [1, 4]


def test_classes_are_counted_in_pixels(dataset: Dataset) -> None:
    """Each sample is counted by itself; VOID is counted, too."""
    samples = Samples(labelled_frames(dataset))

    counts = samples.count_classes()

    assert [int(of_sample.sum()) for of_sample in counts] == [48 * 64] * 2
    assert counts[0][VOID] == (samples[0][1] == VOID).sum() > 0
    assert all(len(of_sample) == 256 for of_sample in counts)


def test_samples_are_found_by_class() -> None:
    """For each class the samples that show it are listed; VOID is no class."""
    counts = np.zeros((3, 256), np.int64)
    counts[0, [1, VOID]], counts[1, [0, 1]], counts[2, VOID] = 5, 1, 9

    assert members_by_class(list(counts)) == {0: [1], 1: [0, 1]}


def test_how_many_frames_have_generated_neighbours(make_dataset: Callable[..., Dataset]) -> None:
    """Of three frames labelled by hand two are the nearest to some pseudo-labelled frame."""
    dataset = make_dataset(videos=[(1, 4), (0,)])
    first = dataset.videos[0]
    pseudo_labelled = [LabelledFrame(video=first, frame=k, classes=dataset.classes) for k in (0, 2, 5)]

    assert covered_share(labelled_frames(dataset), pseudo_labelled) == pytest.approx(2 / 3)
    assert covered_share(labelled_frames(dataset), []) == 0.0


@pytest.mark.parametrize(
    ("most", "taken"),
    [(0, []), (1, [0]), (3, [0, 2, 4]), (4, [0, 1, 3, 4]), (6, [0, 1, 2, 3, 4, 5]), (9, [0, 1, 2, 3, 4, 5])],
)
def test_few_of_many_are_spread_evenly(most: int, taken: list[int]) -> None:
    """No more than asked for, from one end to the other, and all where there are no more."""
    assert evenly(range(6), most) == taken
