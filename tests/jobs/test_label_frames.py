"""Tests of jobs/label_frames.py: arrays in, arrays out."""

from __future__ import annotations

import gc
import io
import re
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from warprefine import label_frames, load_recipe, open_dataset
from warprefine.core.errors import FrameError, KeyFrameError, LabelError, WarpRefineError
from warprefine.core.tensors import VOID
from warprefine.io.frames import open_frames
from warprefine.io.images import read_labels
from warprefine.jobs.autolabel import autolabel

ROAD = ["road", "car"]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the system's temporary folders are; what is left there is seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def street(tiny_data: Path) -> tuple[Any, NDArray[np.uint8], dict[int, NDArray[np.uint8]]]:
    """A data set, the frames of its first video and the label map of its key frame, as arrays."""
    dataset = open_dataset(tiny_data)
    video = dataset.videos[0]
    with open_frames(video) as frames:
        pictures = [frames[k][0].permute(1, 2, 0).numpy() for k in range(len(video))]
    labels = {k: read_labels(path, dataset.classes)[0].numpy() for k, path in video.labels.items()}
    return dataset, np.stack(pictures), labels


def test_arrays_are_labelled_as_by_the_command(street: Any, tmp_path: Path, temporary: Path) -> None:
    """The labels are those of a run on the same frames; afterwards nothing is left on disk."""
    dataset, frames, key_labels = street

    result = label_frames(frames, key_labels, class_names=dataset.classes.names, method="motion-only")

    one = type(dataset)(root=dataset.root, classes=dataset.classes, videos=dataset.videos[:1])
    run = autolabel(one, tmp_path / "run", horizon="all", methods=["motion-only"])
    expected = {frame.frame: frame for frame in run.labels("street-000")}
    assert list(result.labels) == list(range(len(frames))) == list(result.confidence)
    for k, frame in expected.items():
        assert np.array_equal(result.labels[k], frame.labels[0].numpy())
        assert np.array_equal(result.confidence[k], frame.confidence[0].numpy())
        assert result.labels[k].dtype == np.uint8
        assert result.confidence[k].dtype == np.float32
    assert re.fullmatch(
        r"LabelledVideo\(7 frames, 1 key frame among them, 48 x 64 \(h x w\), classes: sky, .*, "
        r"mean confidence [01]\.\d\d\)",
        repr(result),
    )
    assert repr(result.labels) == "FrameMaps(labels of 7 frames)"
    assert [*temporary.glob("warprefine-*")] != []
    result.close()
    assert repr(result) == "LabelledVideo(closed)"
    assert [*temporary.glob("warprefine-*")] == []


def test_frames_may_come_one_by_one_and_networks_are_trained(
    street: Any, tiny_recipe: Path, temporary: Path
) -> None:
    """An iterator is read once; the default method trains what it needs."""
    dataset, frames, key_labels = street

    with label_frames(
        iter(frames),
        key_labels,
        class_names=dataset.classes.names,
        recipe=load_recipe(tiny_recipe),
        horizon=1,
    ) as result:
        assert list(result.labels) == [2, 3, 4]
        assert np.array_equal(result.labels[3], key_labels[3])
        assert 0 <= float(result.confidence[2].min()) <= float(result.confidence[2].max()) <= 1
    assert [*temporary.glob("warprefine-*")] == []


def test_what_nobody_holds_any_more_is_removed(street: Any, temporary: Path) -> None:
    """Without `close`, too."""
    dataset, frames, key_labels = street
    result = label_frames(frames, key_labels, class_names=dataset.classes.names, method="motion-only")
    confidence = result.confidence
    del result
    gc.collect()
    assert confidence[0].shape == frames.shape[1:3]
    del confidence
    gc.collect()

    assert [*temporary.glob("warprefine-*")] == []


def test_progress_is_shown_where_somebody_looks(street: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal there is a line of progress, which is gone at the end; a `progress` takes its place."""
    dataset, frames, key_labels = street
    labelled = partial(
        label_frames, frames, key_labels, class_names=dataset.classes.names, method="motion-only"
    )
    terminal, heard = io.StringIO(), []
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)

    with labelled():
        shown = terminal.getvalue()
    with labelled(progress=lambda *report: heard.append(report)):
        assert terminal.getvalue() == shown

    assert "propagating: " in shown
    assert shown.endswith("\r")
    assert heard


GREY = np.zeros((3, 48, 64, 3), np.uint8)
MAP = np.zeros((48, 64), np.uint8)


@pytest.mark.parametrize(
    ("frames", "key_labels", "error", "message"),
    [
        (GREY.astype(float), {0: MAP}, FrameError, r"frame 0 is an array \(48, 64, 3\) of float64; expected"),
        (GREY[..., 0], {0: MAP}, FrameError, r"frame 0 is an array \(48, 64\) of uint8; expected"),
        (GREY[:0], {0: MAP}, FrameError, "there are no frames"),
        (GREY, {}, KeyFrameError, "key_labels is empty"),
        (GREY, {3: MAP}, KeyFrameError, "key_labels names frame 3; expected 0 to 2"),
        (GREY, {0: MAP[:9]}, LabelError, r"of frame 0 is an array \(9, 64\) of uint8; expected \(48, 64\)"),
        (
            GREY,
            {0: MAP + 7},
            LabelError,
            "of frame 0 holds 7; expected 0 to 1, the positions of the 2 classes",
        ),
        (GREY, {0: MAP + VOID}, WarpRefineError, "no label map of .* holds a labelled pixel"),
        ("nowhere.mp4", {0: MAP}, FrameError, "nowhere.mp4"),
    ],
)
def test_what_does_not_fit_is_refused(
    frames: Any, key_labels: Any, error: type[Exception], message: str, temporary: Path
) -> None:
    """In one line, and nothing is left on disk."""
    with pytest.raises(error, match=message):
        label_frames(frames, key_labels, class_names=ROAD, method="motion-only")

    assert [*temporary.glob("warprefine-*")] == []
