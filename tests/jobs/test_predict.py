"""Tests of jobs/predict.py: a network labels a clip that has no labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from warprefine import open_dataset, predict, train_student
from warprefine.core.errors import CheckpointError, DatasetError, FrameError, RunFolderError
from warprefine.datasets.class_file import read_classes
from warprefine.io.images import read_frame, read_labels
from warprefine.jobs import predict as module
from warprefine.jobs.predict import numbered_classes
from warprefine.training.segmenter import predict as by_network
from warprefine.training.student import load_student

FRAMES = "videos/street-000/frames"


@pytest.fixture
def model(workshop: Any) -> Path:
    """The segmenter of another run."""
    return Path(workshop.segmenter())


def hashes(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_every_frame_of_a_folder_is_labelled(model: Path, tiny_data: Path, tmp_path: Path) -> None:
    """Label map, confidence and picture of each frame, at its size; nothing had to be labelled by hand."""
    reports: list[Any] = []

    done = predict(
        model, tiny_data / FRAMES, tmp_path / "out", progress=lambda *words, **_: reports.append(words)
    )

    stems = [f"{number:06d}" for number in range(7)]
    for kind, ending in (("labels", "png"), ("confidence", "png"), ("overlay", "jpg")):
        assert sorted(path.name for path in (tmp_path / "out" / kind).iterdir()) == [
            f"{stem}.{ending}" for stem in stems
        ]
    assert reports[-1] == ("labelling", 7, 7, "000006")
    found = list(done.frames())
    assert [frame.stem for frame in found] == stems
    assert {tuple(frame.labels.shape) for frame in found} == {(1, 48, 64)}
    assert all(0 < float(frame.confidence.mean()) <= 1 for frame in found)
    assert done.failures == {}


def test_the_labels_are_those_of_the_network(model: Path, tiny_data: Path, tmp_path: Path) -> None:
    """The most probable class of each pixel."""
    segmenter = load_student(model, torch.device("cpu"))
    done = predict(model, tiny_data / FRAMES, tmp_path / "out")

    for path, frame in zip(done.video.frame_paths, done.frames(), strict=True):
        assert torch.equal(frame.labels, by_network(segmenter, read_frame(path)))


def test_a_video_file_is_labelled_too(model: Path, tmp_path: Path) -> None:
    """Frames have their numbers for names."""
    shades = [np.full((48, 64, 3), 40 * number, np.uint8) for number in range(5)]
    first, *others = map(Image.fromarray, shades)
    first.save(tmp_path / "clip.gif", save_all=True, append_images=others)

    done = predict(str(model), str(tmp_path / "clip.gif"), str(tmp_path / "out"))

    assert [frame.stem for frame in done.frames()] == [f"{number:06d}" for number in range(5)]


def test_numbers_and_colours_can_be_those_of_the_data(model: Path, tiny_data: Path, tmp_path: Path) -> None:
    """Without them classes are numbered from 0; either way classes.toml says what a number means."""
    classes = open_dataset(tiny_data).classes
    plain = predict(model, tiny_data / FRAMES, tmp_path / "plain")
    theirs = predict(model, tiny_data / FRAMES, tmp_path / "theirs", classes=classes)

    assert plain.classes.names == classes.names
    assert read_classes(tmp_path / "plain/classes.toml") == plain.classes
    assert read_classes(tmp_path / "theirs/classes.toml") == classes
    for number in range(7):
        assert torch.equal(
            read_labels(plain.path("labels", number), plain.classes),
            read_labels(theirs.path("labels", number), classes),
        )


def test_colours_are_far_apart() -> None:
    """No two of twenty classes look alike."""
    colors = np.array(numbered_classes(tuple(map(str, range(20)))).colors, int)
    differences = np.abs(colors[:, None] - colors[None]).sum(axis=2)

    assert differences[~np.eye(20, dtype=bool)].min() > 30


def test_a_prediction_goes_on_where_it_stopped(
    model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that are done are not computed again; the files are those of an undisturbed call."""
    whole = predict(model, tiny_data / FRAMES, tmp_path / "whole")
    calls: list[int] = []

    def counted(plan: Any, number: int, *rest: Any) -> None:
        calls.append(number)
        if len(calls) == 4:
            raise KeyboardInterrupt
        write(plan, number, *rest)

    write = module._write
    monkeypatch.setattr(module, "_write", counted)
    with pytest.raises(KeyboardInterrupt):
        predict(model, tiny_data / FRAMES, tmp_path / "out")
    with (tmp_path / "out/done.jsonl").open("a") as file:
        file.write('[3, "cut')  # killed while it recorded a frame
    predict(model, tiny_data / FRAMES, tmp_path / "out")

    assert calls == [0, 1, 2, 3, 3, 4, 5, 6]
    assert hashes(tmp_path / "out") == hashes(whole.out)


def test_what_changed_is_labelled_again(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that was replaced, and a label map that was cut; all else is kept."""
    done = predict(model, data / FRAMES, tmp_path / "out")
    before = hashes(done.out)
    shutil.copy(data / FRAMES / "000000.jpg", data / FRAMES / "000005.jpg")
    done.path("labels", 2).write_bytes(b"")
    calls: list[int] = []
    write = module._write
    monkeypatch.setattr(module, "_write", lambda *words: (calls.append(words[1]), write(*words)))

    predict(model, data / FRAMES, tmp_path / "out")

    assert calls == [2, 5]
    after = hashes(done.out)
    assert after["labels/000002.png"] == before["labels/000002.png"]
    assert after["labels/000005.png"] == after["labels/000000.png"]


def test_labels_of_frames_that_are_gone_are_deleted(model: Path, data: Path, tmp_path: Path) -> None:
    """So are those of frames that were renamed, or that can no longer be read; files of others stay."""
    predict(model, data / FRAMES, tmp_path / "out")
    (tmp_path / "out/labels/notes.png").touch()
    (data / FRAMES / "000006.jpg").unlink()
    (data / FRAMES / "000005.jpg").rename(data / FRAMES / "000007.jpg")
    (data / FRAMES / "000001.jpg").write_bytes(b"")

    predict(model, data / FRAMES, tmp_path / "out")

    (tmp_path / "out/labels/notes.png").unlink()
    assert hashes(tmp_path / "out") == hashes(predict(model, data / FRAMES, tmp_path / "fresh").out)


def test_a_broken_frame_costs_only_itself(model: Path, data: Path, tmp_path: Path) -> None:
    """The others are labelled, and its problem is returned; where all are broken, it is raised."""
    (data / FRAMES / "000004.jpg").write_bytes(b"")

    done = predict(model, data / FRAMES, tmp_path / "out")

    assert [frame.frame for frame in done.frames()] == [0, 1, 2, 3, 5, 6]
    assert "000004.jpg" in done.failures[4]
    for path in (data / FRAMES).iterdir():
        path.write_bytes(b"")
    with pytest.raises(FrameError, match=r"\.jpg"):
        predict(model, data / FRAMES, tmp_path / "other")


def test_a_student_labels_like_any_segmenter(
    workshop: Any, tiny_data: Path, tmp_path: Path, tiny_recipe: Path
) -> None:
    """That is what it was trained for."""
    from tests.jobs.test_from_python import RECIPE
    from warprefine import autolabel

    autolabel(workshop.dataset, tmp_path / "run", horizon=2, methods=["motion-only"], motion="dis-ultrafast")
    train_student(tmp_path / "run", tmp_path / "student", recipe=RECIPE)

    done = predict(
        tmp_path / "student/student-seed0.safetensors", tiny_data / "videos/street-001", tmp_path / "out"
    )

    assert len(list(done.frames())) == 7


def test_what_cannot_be_predicted_is_refused(
    workshop: Any, model: Path, tiny_data: Path, data: Path, tmp_path: Path
) -> None:
    """A refiner, other classes, no video, a folder of something else: one line each, nothing is written."""
    frames = tiny_data / FRAMES
    with pytest.raises(CheckpointError, match="holds a refiner, expected a segmenter"):
        predict(workshop.refiner(), frames, tmp_path / "out")
    with pytest.raises(CheckpointError, match="was trained for the classes"):
        predict(model, frames, tmp_path / "out", classes=numbered_classes(("a", "b")))
    with pytest.raises(DatasetError, match=r"there is no .*none\.mp4; expected a folder of pictures or"):
        predict(model, tmp_path / "none.mp4", tmp_path / "out")
    with pytest.raises(DatasetError, match="no frames in"):
        predict(model, tmp_path, tmp_path / "out")
    with pytest.raises(RunFolderError, match=r"lies inside the video .*, whose frames would be mixed"):
        predict(model, data / FRAMES, data / FRAMES / "out")
    with pytest.raises(RunFolderError, match="is the folder of a run; choose another --out"):
        predict(model, frames, workshop.networks().context.run.root)
    assert not (tmp_path / "out").exists()


def test_a_folder_belongs_to_one_clip_and_one_network(
    workshop: Any, model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Labels of another are not mixed with them."""
    predict(model, tiny_data / FRAMES, tmp_path / "out")

    with pytest.raises(RunFolderError, match=r"out holds a prediction with video = .*street-000"):
        predict(model, tiny_data / "videos/street-001", tmp_path / "out")
    with pytest.raises(RunFolderError, match="out holds a prediction with model = "):
        predict(workshop.segmenter(seed=8), tiny_data / FRAMES, tmp_path / "out")


def test_a_folder_that_another_process_writes_into_is_refused(
    model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two predictions into one folder would delete each other's drafts."""

    def held(*_: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr("fcntl.flock", held)
    with pytest.raises(RunFolderError, match=r"out is in use by another process; wait until it has ended"):
        predict(model, tiny_data / "videos/street-000", tmp_path / "out")

    assert not (tmp_path / "out/labels").exists()
