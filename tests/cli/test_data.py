"""Tests of cli/data.py: published data sets are converted and divided, and then read by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def test_nyuv2_is_converted_and_inspected(
    warprefine: Any, nyuv2: Callable[..., Path], tmp_path: Path
) -> None:
    """The notes of the conversion and those of `inspect` report that raw videos are missing."""
    source = nyuv2(tmp_path / "nyuv2")

    done = warprefine("convert", "nyuv2", source, "--out", tmp_path / "data", "--border", 2)
    shown = warprefine("inspect", tmp_path / "data", "--reader", "nyuv2", "--check")

    assert done.exit_code == 0, done.output
    assert "note: no raw videos were given (--raw), so that every clip is the labelled frame" in done.stdout
    assert f"data: {tmp_path / 'data'}; read it with --reader nyuv2" in done.stdout
    assert shown.exit_code == 0, shown.output
    assert re.search(r"kitchen_0004-0002 +1 +1 +0 +0 +28 x 20", shown.stdout)
    assert "note: 2 of 2 clips are the labelled frame alone" in shown.stdout


def test_options_of_clips_are_handed_on(warprefine: Any, nyuv2: Callable[..., Path], tmp_path: Path) -> None:
    """They are written down in the folder."""
    (tmp_path / "raw").mkdir()
    words = ("--fps", 4, "--reach", 3, "--border", 1, "--as-they-are", "--raw", tmp_path / "raw")

    done = warprefine("convert", "nyuv2", nyuv2(tmp_path / "nyuv2"), "--out", tmp_path / "data", *words)

    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "data/conversion.json").read_text()) == {
        "dataset": "nyuv2", "raw": True, "fps": 4.0, "reach": 3, "border": 1, "as_they_are": True,
    }  # fmt: skip


def test_camvid_is_converted_and_inspected(warprefine: Any, tmp_path: Path) -> None:
    """Lists may name the splits; a mistake is one line."""
    for folder, ending in (("701_StillsRaw_full", ""), ("LabeledApproved_full", "_L")):
        (tmp_path / "camvid" / folder).mkdir(parents=True)
        pixels = np.full((4, 6, 3), (128, 64, 128), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "camvid" / folder / f"picture{ending}.png")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/val.txt").write_text("picture\n")
    words = ("convert", "camvid32", tmp_path / "camvid", "--out", tmp_path / "data")

    refused = warprefine(*words)
    done = warprefine(*words, "--lists", tmp_path / "lists")
    shown = warprefine("inspect", tmp_path / "data", "--reader", "camvid32", "--split", "val")

    assert refused.exit_code == 2
    assert re.fullmatch(r"error: picture picture is of no drive of CamVid .*\n", refused.stderr)
    assert (done.exit_code, shown.exit_code) == (0, 0), done.output
    assert re.search(r"Road +100\.00 %", shown.stdout)


def test_apolloscape_is_divided_once_for_all(warprefine: Any, tmp_path: Path) -> None:
    """The file lists the records of each part, and selects the parts from then on."""
    for record in ("Record001", "Record002"):
        for kind, ending in (("ColorImage", ".jpg"), ("Label", "_bin.png")):
            folder = tmp_path / "apollo/road01_ins" / kind / record / "Camera 5"
            folder.mkdir(parents=True)
            for number in range(21):
                Image.new("RGB" if ending == ".jpg" else "L", (8, 6), 49).save(folder / f"{number}{ending}")
    out = tmp_path / "split.json"

    done = warprefine("split", "apolloscape", tmp_path / "apollo", "--seed", 5, "--out", out)
    words = ("inspect", tmp_path / "apollo", "--reader", "apolloscape", "--split", f"val@{out}")
    shown = warprefine(*words, "--check")

    assert done.exit_code == 0, done.output
    assert f"split: {out}, 1 records for training, 1 for validation" in done.stdout
    assert json.loads(out.read_text())["seed"] == 5
    assert shown.exit_code == 0, shown.output
    assert re.search(r"road01_ins-Record00\d-Camera_5-000 +21 +1 +20 +10 +8 x 6", shown.stdout)
    assert re.search(r"road +100\.00 %", shown.stdout)
