"""Tests of the command line's answer to a mistake: one line that names the file, and exit code 2."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from warprefine import open_dataset
from warprefine.datasets.class_file import write_classes
from warprefine.io.checkpoints import Card, save_checkpoint

LABELS = "videos/street-000/labels/000003.png"
FRAME = "videos/street-000/frames/000004.jpg"
KEY_FRAME = "videos/street-000/frames/000003.jpg"
Spoil = Callable[[Path], list[object] | None]


def error_line(result: Any) -> str:
    """Return the line on stderr; there is one, and no more."""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return str(line)


# what can be wrong with the data; each takes the folder and returns further options


def smaller_labels(data: Path) -> None:
    with Image.open(data / LABELS) as picture:
        picture.resize((32, 24), Image.Resampling.NEAREST).save(data / LABELS)


def unknown_class(data: Path) -> None:
    with Image.open(data / LABELS) as picture:
        picture.putpixel((5, 5), 77)
        picture.save(data / LABELS)


def colours_for_labels(data: Path) -> None:
    with Image.open(data / LABELS) as picture:
        painted = picture.convert("RGB")
        painted.putpixel((0, 0), (1, 2, 3))
        painted.save(data / LABELS)


def cut_picture(data: Path) -> None:
    content = (data / KEY_FRAME).read_bytes()
    (data / KEY_FRAME).write_bytes(content[: len(content) // 2])


def no_picture(data: Path) -> None:
    (data / KEY_FRAME).write_text("a frame, surely")


def other_size(data: Path) -> None:
    with Image.open(data / FRAME) as picture:
        picture.resize((32, 64)).save(data / FRAME)
    shutil.rmtree(data / "videos/street-000/truth")


def cut_video(data: Path) -> None:
    path = data / "videos/street-000.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        noise = np.random.default_rng(0).integers(0, 256, (7, 48, 64, 3), dtype=np.uint8)
        for picture in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    shutil.rmtree(data / "videos/street-000/frames")
    path.write_bytes(path.read_bytes()[:-2000])


def labels_of_no_frame(data: Path) -> None:
    shutil.copy(data / LABELS, data / LABELS.replace("000003", "000033"))


def no_key_frame(data: Path) -> None:
    shutil.rmtree(data / "videos/street-000/labels")


def no_classes(data: Path) -> None:
    (data / "classes.toml").unlink()


def recipe(text: str) -> Spoil:
    """Give a recipe with the command."""

    def write(data: Path) -> list[object]:
        path = data.parent / "recipe.toml"
        path.write_text(text)
        return ["--recipe", path]

    return write


def options(*words: object) -> Spoil:
    """Give options with the command; {data} stands for the data set folder."""
    return lambda data: [str(word).format(data=data) for word in words]


def further_data_of_other_classes(data: Path) -> list[object]:
    other = shutil.copytree(data, data.parent / "other")
    classes = open_dataset(other).classes
    write_classes(other / "classes.toml", replace(classes, names=("heaven", *classes.names[1:])))
    return ["--also-train", f"folder:train:{other}"]


MISTAKES: dict[str, tuple[Spoil, str]] = {
    "labels of another size": (
        smaller_labels,
        r"label map .*street-000/labels/000003\.png is 24 x 32 \(h x w\), but its frame is 48 x 64; export",
    ),
    "unknown class": (
        unknown_class,
        r"labels/000003\.png holds ids that are no class: 77 \(1 px\); the classes have ids 0, .*add it to",
    ),
    "colours for labels": (
        colours_for_labels,
        r"labels/000003\.png is a colour picture, with colours of no class .*; give each class .*, or export",
    ),
    "cut picture": (cut_picture, r"cannot read .*frames/000003\.jpg: .*; copy or export it again"),
    "no picture": (no_picture, r"frames/000003\.jpg is no picture that can be read; expected a PNG or JPEG"),
    "frames of two sizes": (
        other_size,
        r"frames/000004\.jpg is 64 x 32 \(h x w\), but .*frames/000000\.jpg is 48 x 64; a video has one size",
    ),
    "cut video": (
        cut_video,
        r"street-000\.mp4 .*: only its first \d frames can be decoded; copy or export it again",
    ),
    "labels of no frame": (
        labels_of_no_frame,
        r"key frame without a frame: .*labels/000033\.png .* none of 7 frames; the nearest are 0000",
    ),
    "no key frame": (
        no_key_frame,
        r"data has no key frame at all; put label maps into videos/NAME/labels, or",
    ),
    "no classes": (no_classes, r"classes\.toml"),
    "recipe key": (
        recipe("[segmenter]\nfold = 3\n"),
        r"recipe\.toml: unknown key 'segmenter\.fold'; did you mean 'folds'\?",
    ),
    "recipe value": (
        recipe("[segmenter]\nfolds = 0\n"),
        r"recipe\.toml: segmenter\.folds = 0: .*greater than",
    ),
    "recipe file": (
        options("--recipe={data}/none.toml"),
        r"there is no file .*data/none\.toml; expected a recipe in",
    ),
    "motion": (
        recipe('[propagation]\nmotion = "dis-mediun"\n'),
        r"no motion estimator is called 'dis-mediun'; did you mean 'dis-medium'\?",
    ),
    "motion of the default method": (
        recipe('[plus.carry]\nmotion = "dis-fin"\n'),
        r"no motion estimator is called 'dis-fin'; did you mean 'dis-fine'\?",
    ),
    "method": (
        options("--method=warp-refin"),
        r"no method is called 'warp-refin'; did you mean 'warp-refine'\? \(there are motion-only, ",
    ),
    "reader": (options("--reader=foldr"), r"no reader is called 'foldr'; did you mean 'folder'\?"),
    "key frames": (
        options("--keyframes=10:21"),
        r"key frames '10:21' are not START::STEP with a step of at least 1; expected for example 10::21",
    ),
    "key frames that are not there": (
        options("--keyframes=9::20"),
        r"video 'street-000': none of the frames 9::20 of its 7 is labelled; choose a start below 7",
    ),
    "further data": (
        options("--also-train={data}"),
        r"--also-train '.*data' is not READER:SPLIT:ROOT; expected for example camvid:train:data/camvid",
    ),
    "further data of other classes": (
        further_data_of_other_classes,
        r"other has the classes heaven, .*, but .*data has sky, .*; further training data needs the same",
    ),
    "device": (options("--device=quantum"), r"device 'quantum' cannot be used here; expected cpu, or cuda"),
    "device without numbers": (options("--device=meta"), r"device 'meta' cannot be used here; expected cpu"),
    "seed": (
        options("--seed=100000000000000"),
        r"seed 100000000000000 cannot be used; expected a whole number",
    ),
    "negative seed": (options("--seed=-3"), r"seed -3 cannot be used; expected a whole number from 0 to"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_costs_nothing(
    warprefine: Any, content: Any, data: Path, tmp_path: Path, mistake: tuple[Spoil, str]
) -> None:
    """It names what was found, what was expected and how to mend it; nothing is claimed, lost or changed."""
    spoil, message = mistake
    shutil.rmtree(data / "videos/street-001")
    more = spoil(data) or []
    before = content(data)

    result = warprefine("autolabel", data, "--out", tmp_path / "run", "--horizon=3", *more)

    assert result.exit_code == 2
    assert re.search(message, error_line(result))
    assert content(data) == before
    assert not (tmp_path / "run/job.json").exists()
    assert not (tmp_path / "run/labels").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_a_gpu_says_so(warprefine: Any, tiny_data: Path, tmp_path: Path) -> None:
    """CUDA is refused before the data are looked at."""
    result = warprefine("autolabel", tiny_data, "--out", tmp_path / "run", "--horizon=3", "--device=cuda")

    assert result.exit_code == 2
    assert "device 'cuda' cannot be used here" in error_line(result)


@pytest.mark.parametrize("command", ["autolabel", "train segmenter", "propagate", "inspect"])
def test_a_data_set_that_is_not_there_is_an_error_of_every_command(
    warprefine: Any, tmp_path: Path, command: str
) -> None:
    """The message tells how far the path exists."""
    more = [] if command == "inspect" else ["--out", tmp_path / "run"]
    more += ["--method=motion-only"] if command == "propagate" else []

    result = warprefine(*command.split(), tmp_path / "none", *more)

    assert result.exit_code == 2
    assert re.search(r"none does not exist, expected a data set folder", error_line(result))
    assert not (tmp_path / "run").exists()


def test_a_run_below_a_file_cannot_be_written(warprefine: Any, tiny_data: Path, tmp_path: Path) -> None:
    """A path that leads through a file is reported as what it is."""
    (tmp_path / "file").write_text("mine")

    result = warprefine("autolabel", tiny_data, "--out", tmp_path / "file/run", "--horizon=3")

    assert result.exit_code == 2
    assert re.search(r"cannot write .*file/run: a part of the path is a file", error_line(result))
    assert (tmp_path / "file").read_text() == "mine"


REFUSALS = {
    errno.EACCES: "writing is not allowed there; choose another folder or change its permissions",
    errno.EROFS: "the file system is read-only; choose another folder",
}


@pytest.mark.parametrize("number", REFUSALS)
def test_a_folder_that_may_not_be_written_is_found_before_the_data_are_read(
    warprefine: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Nobody waits for a check of all frames to hear that the run has no place."""
    (data / FRAME).write_text("never opened")

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = warprefine("autolabel", data, "--out", tmp_path / "run", "--horizon=3")

    assert result.exit_code == 2
    assert re.search(rf"cannot write .*run: {REFUSALS[number]}", error_line(result))


def test_a_log_that_may_not_be_written_is_an_error(warprefine: Any, tiny_data: Path, tmp_path: Path) -> None:
    """A folder where the log should be is no reason for a traceback."""
    (tmp_path / "run/log.txt").mkdir(parents=True)

    result = warprefine(
        "propagate", tiny_data, "--out", tmp_path / "run", "--horizon=3", "--method=motion-only"
    )

    assert result.exit_code == 2
    assert re.search(r"cannot write .*log\.txt: there is a folder of that name", error_line(result))


def test_a_disk_that_fills_up_is_reported_once_and_the_command_goes_on_later(
    warprefine: Any, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once per video, because no video is to blame."""
    words = ("propagate", tiny_data, "--out", tmp_path / "run", "--horizon=3", "--method=motion-only")
    take_place, written = os.replace, []

    def replace_while_there_is_space(source: Path, target: Path) -> None:
        written.append(target)
        if len(written) > 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        take_place(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace_while_there_is_space)
        full = warprefine(*words)

    assert full.exit_code == 2
    assert re.search(r"cannot write .*: the disk is full; .* run the same command again", error_line(full))
    assert warprefine(*words).exit_code == 0
    assert len(list(tmp_path.glob("run/labels/motion-only/*/*.png"))) == 14
    assert list(tmp_path.rglob("*.part")) == []


def test_the_folder_of_another_job_stays_as_it_is(
    warprefine: Any, content: Any, tiny_data: Path, tmp_path: Path
) -> None:
    """Options that differ from those of the run that lies there are named, with both values."""
    words = ("propagate", tiny_data, "--out", tmp_path / "run", "--method=motion-only")
    assert warprefine(*words, "--horizon=3").exit_code == 0
    before = content(tmp_path / "run")

    result = warprefine(*words, "--horizon=2")

    assert result.exit_code == 2
    assert re.search(
        r"run holds a run with horizon = 3, but this command says 2; choose another --out, or give the same",
        error_line(result),
    )
    assert content(tmp_path / "run") == before


def test_a_checkpoint_of_other_classes_is_refused(warprefine: Any, tiny_data: Path, tmp_path: Path) -> None:
    """Weights for beds and lamps do not label streets."""
    path = tmp_path / "segmenter.safetensors"
    card = Card(
        part="segmenter",
        network="compact",
        class_names=("bed", "lamp"),
        settings={"widths": [8, 8, 8, 8, 8]},
        recipe={},
        facts={},
    )
    save_checkpoint(path, torch.nn.Linear(1, 1), card)

    result = warprefine(
        *("propagate", tiny_data, "--out", tmp_path / "run", "--horizon=3"),
        *("--method=semantic-only", "--segmenter", path),
    )

    assert result.exit_code == 2
    assert re.search(
        r"segmenter\.safetensors was trained for the classes bed, lamp \(2\), but the data set has sky, "
        r".* \(11\); train anew, or name another checkpoint",
        error_line(result),
    )
    assert not (tmp_path / "run/checkpoints").exists()


def test_without_weights_nothing_is_propagated(warprefine: Any, tiny_data: Path, tmp_path: Path) -> None:
    """`propagate` names what to train instead of training it."""
    result = warprefine(
        "propagate", tiny_data, "--out", tmp_path / "run", "--horizon=3", "--method=warp-refine"
    )

    assert result.exit_code == 2
    assert re.search(r"segmenter\.safetensors does not exist; train it first", error_line(result))


def test_only_runs_can_be_evaluated(warprefine: Any, tmp_path: Path) -> None:
    """A folder that is no run is an error, and nothing is written into it."""
    result = warprefine("evaluate", tmp_path)

    assert result.exit_code == 2
    assert re.search(r"holds no job\.json; expected a folder made by", error_line(result))
    assert list(tmp_path.iterdir()) == []


def test_the_program_itself_ends_in_one_line(tmp_path: Path) -> None:
    """As a process of its own, too: exit code 2, one line, no traceback and no warning."""
    done = subprocess.run(
        [sys.executable, "-m", "warprefine", "autolabel", tmp_path / "none", "--out", tmp_path / "run"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert re.fullmatch(r"error: .*none does not exist, expected .*\n", done.stderr)


# folders that hurt one another


@pytest.mark.parametrize("command", ["autolabel", "propagate"])
def test_a_cache_may_not_lie_in_the_data(warprefine: Any, data: Path, tmp_path: Path, command: str) -> None:
    """One line says what is wrong, before anything is written."""
    words = (command, data, "--out", tmp_path / "run", "--method=motion-only", "--cache", data / "cache")

    refused = warprefine(*words)

    assert refused.exit_code == 2
    assert re.search(r"cache lies in .*data, which is read; .*choose another --cache", refused.stderr)
    assert not (data / "cache").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("autolabel", "DATA", "--out", "DATA/videos/new"),
        ("autolabel", "DATA", "--out", "."),
        ("autolabel", "other", "--also-train", "folder:train:DATA", "--out", "DATA/run"),
        ("train", "segmenter", "DATA", "--out", "DATA"),
        ("propagate", "DATA", "--out", "DATA/videos/street-000", "--method=motion-only"),
        ("experiment", "quality", "--recipe=small", "--data", "DATA", "--out", "DATA/new"),
        ("convert", "camvid32", "DATA", "--out", "DATA/new"),
        ("convert", "nyuv2", "DATA", "--out", "DATA/new"),
        ("convert", "nyuv2", "other", "--raw", "DATA", "--out", "DATA/new"),
    ],
    ids=" ".join,
)
def test_what_is_written_may_not_lie_in_the_data(
    warprefine: Any,
    data: Path,
    content: Callable[[Path], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    """A run there would be read as a video, and its labels as made by hand; nothing is written."""
    monkeypatch.chdir(data.parent)
    shutil.copytree(data, data.parent / "other")
    before = content(data.parent)

    refused = warprefine(*(word.replace("DATA", "data") for word in words))

    assert refused.exit_code == 2
    assert re.search(
        r"to be written, (lies in|holds) .*data, which is read; .*outside the data", refused.stderr
    )
    assert content(data.parent) == before
    assert not (data / "videos/new").exists()
