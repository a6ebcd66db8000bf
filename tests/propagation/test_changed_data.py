"""Tests of propagation: labels follow the files that they are computed from, whatever changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from warprefine.core.video import Dataset, Video
from warprefine.datasets import open_dataset
from warprefine.datasets.class_file import read_classes, write_classes
from warprefine.datasets.street import write_street
from warprefine.io.fingerprints import fingerprint_of_frames
from warprefine.io.run import RunFolder
from warprefine.motion.dis import DISFlow
from warprefine.propagation.evidence import Models
from warprefine.propagation.run import Job, propagate
from warprefine.propagation.stepwise.walk import StepSettings, StepwiseLabeller

METHOD = "motion-only"
LENGTH, KEY = 7, 3


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A street of one video whose middle frame is labelled."""
    write_street(tmp_path / "data", videos=1, length=LENGTH, start=KEY, step=LENGTH, h=48, w=64)
    return tmp_path / "data"


def label(data: Path, out: Path, *, cache: Path | None = None) -> dict[str, bytes]:
    """Label a data set by its motion; return all files of labels and confidence by name."""
    dataset: Dataset = open_dataset(data)
    labeller = StepwiseLabeller(
        methods=(METHOD,),
        models=Models(motion=DISFlow("ultrafast")),
        settings=StepSettings(tau=0.0, threshold=0.0),
    )
    run = RunFolder(out, cache=cache)
    assert propagate(Job(dataset=dataset, horizon=LENGTH, labellers=(labeller,)), run) == {}
    folders = (out / "labels", out / "confidence")
    files = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def frames(data: Path) -> list[Path]:
    return sorted((data / "videos/street-000/frames").iterdir())


def replace_a_frame(data: Path) -> None:
    shutil.copyfile(frames(data)[0], frames(data)[5])


def shift_all_frames(data: Path) -> None:
    paths = frames(data)
    for source, target in zip(paths[1:], paths[:-1], strict=True):
        source.replace(target)
    shutil.copyfile(paths[-2], paths[-1])


def move_the_key_frame(data: Path) -> None:
    labels = data / "videos/street-000/labels"
    (labels / "000003.png").rename(labels / "000004.png")


def count_frames_from_one(data: Path) -> None:
    """Rename every frame, with its label maps, to the number behind its own."""
    for folder in ("frames", "labels", "truth"):
        for path in sorted((data / "videos/street-000" / folder).iterdir(), reverse=True):
            path.rename(path.with_stem(f"{int(path.stem) + 1:06d}"))


def change_a_colour(data: Path) -> None:
    classes = read_classes(data / "classes.toml")
    write_classes(data / "classes.toml", replace(classes, colors=(*classes.colors[:-1], (1, 2, 3))))


def make_an_id_void(data: Path) -> None:
    classes = read_classes(data / "classes.toml")
    ids = tuple(range(100, 100 + len(classes)))
    wanted = replace(classes, file_ids=ids, merged_ids=tuple((k,) for k in range(len(classes))))
    write_classes(data / "classes.toml", wanted)


CHANGES: dict[str, Callable[[Path], None]] = {
    "a frame is replaced": replace_a_frame,
    "all frames are shifted": shift_all_frames,
    "the key frame is moved": move_the_key_frame,
    "all frames are renamed": count_frames_from_one,
    "a colour is changed": change_a_colour,
    "ids are changed": make_an_id_void,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_labels_are_those_of_the_data_as_they_are(
    data: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """After a change the same command gives what a fresh folder gives, also with flow in the cache."""
    before = label(data, tmp_path / "run")
    change(data)

    after = label(data, tmp_path / "run")

    assert after == label(data, tmp_path / "fresh")
    assert after != before


def test_only_what_a_change_concerns_is_redone(data: Path, tmp_path: Path) -> None:
    """Frames on the other side of the key frame keep their files."""
    label(data, tmp_path / "run")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "run/labels").rglob("*.png")}
    replace_a_frame(data)

    label(data, tmp_path / "run")

    redone = {path.stem for path, time in written.items() if path.stat().st_mtime_ns != time}
    assert redone == {"000004", "000005", "000006"}


def test_files_of_old_names_go_also_after_an_interruption(data: Path, tmp_path: Path) -> None:
    """What the user laid beside them stays."""
    label(data, tmp_path / "run")
    notes = tmp_path / "run/labels" / METHOD / "street-000/notes.png"
    notes.touch()
    count_frames_from_one(data)
    run = RunFolder(tmp_path / "run")
    run.manifest.mark_begun("street-000", [0, 1, 2], METHOD)  # and killed

    after = label(data, tmp_path / "run")

    del after[str(notes.relative_to(tmp_path / "run"))]
    assert after == label(data, tmp_path / "fresh")


def test_two_runs_that_share_a_cache_do_not_mix_their_frames(data: Path, tmp_path: Path) -> None:
    """Flow is found by the content of frames: equal names of other frames do no harm."""
    other = shutil.copytree(data, tmp_path / "other")
    shift_all_frames(other)
    cache = tmp_path / "cache"
    label(data, tmp_path / "first", cache=cache)

    assert label(other, tmp_path / "second", cache=cache) == label(other, tmp_path / "alone")


def test_a_cut_file_of_the_run_is_made_again(data: Path, tmp_path: Path) -> None:
    """Labels and confidences, of key frames too, come back after a power failure."""
    whole = label(data, tmp_path / "run")
    for number, name in enumerate(sorted(whole)):
        path = tmp_path / "run" / name
        path.write_bytes(b"")
        if number % 2:
            path.unlink()

    assert label(data, tmp_path / "run") == whole


def test_frames_of_16_bits_depend_on_those_that_they_are_stretched_by(tmp_path: Path) -> None:
    """A hotter first frame changes the grey levels of all others, whose files stay as they are."""
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for k, path in enumerate(paths):
        Image.fromarray(np.full((8, 8), 7000 + 10 * k, np.uint16)).save(path)
    video = Video(name="thermal", stems="012", frame_paths=paths)
    before = fingerprint_of_frames(video, [1])

    Image.fromarray(np.full((8, 8), 9000, np.uint16)).save(paths[0])

    assert fingerprint_of_frames(video, [1]) != before


def test_a_container_is_known_by_its_content(tmp_path: Path) -> None:
    """Frames of a video file change with the file."""
    container = tmp_path / "clip.mp4"
    container.write_bytes(b"one")
    video = Video(name="clip", stems="012", container=container)
    before = [fingerprint_of_frames(video, [k]) for k in range(3)]
    assert len({*before}) == 3

    container.write_bytes(b"two")

    assert {*before}.isdisjoint(fingerprint_of_frames(video, [k]) for k in range(3))
