"""Situations from public reports of people who do this job (reports2)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def test_a_mirrored_video_is_read_as_players_show_it(made: Any, warprefine: Any, motion_only: Any) -> None:
    """Its label maps fit, and what was done is told."""
    made("reports2/01-mirrored-video")

    told = warprefine("inspect", "data", "--check")
    called = motion_only("data", "run", "--horizon=1")

    assert "a (mirrored left to right)" in told.text
    assert float(called.text.split("motion-only ")[1].split("*")[0]) > 85


def test_a_label_map_without_a_labelled_pixel_makes_no_key_frame(made: Any, motion_only: Any) -> None:
    """It is refused where it is the only one; else the good one reaches as far as it can."""
    made("reports2/02-key-frame-without-a-labelled-pixel")

    alone, beside = motion_only("data", "run", "--horizon=4"), motion_only("both", "run2", "--horizon=4")

    assert alone.code == 2
    assert "no label map of data holds a labelled pixel: data/videos/a/labels/000003.png" in alone.text
    assert beside.code == 0
    assert "hold no labelled pixel and make no key frame: both/videos/a/labels/000002.png" in beside.text
    assert "7 of 8 frames labelled, 1 out of reach (0)" in beside.text


def test_frames_out_of_reach_are_told_before_and_after(made: Any, motion_only: Any) -> None:
    """A long clip with one key frame is labelled up to the horizon; a short one as far as it goes."""
    made("reports2/04-frames-out-of-reach")

    called, short = motion_only("data", "run"), motion_only("short", "runs")

    assert "note: 49 of 60 frames of a are farther than 10 from every key frame" in called.text
    assert "11 of 60 frames labelled, 49 out of reach (11 to 59)" in called.text
    assert short.code == 0
    assert "8 of 8 frames labelled" in short.text


def test_a_video_name_that_is_not_utf_8_is_named(made: Any, warprefine: Any, motion_only: Any) -> None:
    """Both `inspect` and `autolabel` say which name it is."""
    try:
        made("reports2/06-video-name-that-is-not-utf-8")
    except OSError:
        pytest.skip("this file system stores no names that are not UTF-8")

    for called in (warprefine("inspect", "data"), motion_only("data", "run")):
        assert called.code == 2
        assert "the name of video Stra\\xdfe in data is not UTF-8; rename it" in called.text


def test_output_in_any_encoding(made: Any) -> None:
    """Bars are drawn with letters that the terminal has."""
    folder = made("reports2/07-terminal-without-utf-8")

    called = subprocess.run(
        [sys.executable, "-m", "warprefine", "inspect", "data"],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "latin-1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )

    assert called.returncode == 0
    assert b"####" in called.stdout
    assert called.stderr == b""


def test_what_training_programs_put_around_weights(made: Any, warprefine: Any) -> None:
    """Prefixes, containers, numbers of numpy and other endings do not matter; a program is named as such."""
    made("reports2/09-what-training-programs-put-around-weights")
    files = sorted(Path("files").iterdir())
    assert len(files) > 10

    for file in files:
        called = warprefine("weights", "import", file, "--as=raft", "--out=x.safetensors")
        assert called.code == (2 if file.stem == "torchscript" else 0), called.text
        assert ("TorchScript archive" in called.text) == (file.stem == "torchscript")


def test_a_byte_order_mark_is_skipped(made: Any, warprefine: Any, motion_only: Any) -> None:
    """In classes.toml, in recipes and in the configuration of Mapillary."""
    made("reports2/10-byte-order-mark")

    called = (
        warprefine("inspect", "data"),
        warprefine("inspect", "vistas", "--reader=mapillary", "--split=train-v2"),
        motion_only("data", "run", "--recipe=recipe.toml", "--horizon=3"),
    )

    assert [one.code for one in called] == [0, 0, 0]


def test_train_ids_under_the_name_of_ids_are_told(made: Any, warprefine: Any) -> None:
    """The numbers are those of train ids, and nearly all is void."""
    made("reports2/11-train-ids-under-the-name-of-label-ids")

    called = warprefine("inspect", "data", "--reader=cityscapes", "--split=train", "--check")

    assert "that is how train ids count the classes" in called.text
    assert "94 % of the pixels are void" in called.text


def test_train_ids_alone_are_named(made: Any, warprefine: Any) -> None:
    """Where there are only label maps of train ids, the message names them."""
    folder = made("reports2/11-train-ids-under-the-name-of-label-ids")
    for path in (folder / "data/gtFine").rglob("*_labelIds.png"):
        path.rename(path.with_name(path.name.replace("labelIds", "labelTrainIds")))

    called = warprefine("inspect", "data", "--reader=cityscapes", "--split=train")

    assert called.code == 2
    assert "labelTrainIds" in called.text


def test_accumulated_batches_weigh_pixels_as_one_does(made: Any, warprefine: Any, motion_only: Any) -> None:
    """A batch of two and two batches of one have the same loss, however unevenly labels are spread."""
    made("reports2/12-two-processes-weigh-pixels-differently")
    motion_only("data", "run", "--horizon=2")
    recipe = Path("student.toml").read_text().replace("steps = 20", "steps = 1")
    Path("together.toml").write_text(recipe)
    Path("parts.toml").write_text(recipe.replace("batch = 2", "batch = 1\naccumulate = 2"))
    losses = []

    for name in ("together", "parts"):
        called = warprefine(
            *("student", "run", "--method=none", f"--recipe={name}.toml", "--test=folder:x:test"),
            *("--threads=1", f"--out={name}"),
        )
        assert called.code == 0, called.text
        losses.append(float(called.text.split("loss ")[1].split()[0]))

    assert losses[0] == pytest.approx(losses[1], abs=0.02)
