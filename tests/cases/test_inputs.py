"""What people bring: taken, or told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from warprefine import Recipe, load_recipe


def test_colour_masks_in_the_colours_of_the_classes_are_read(case: Any, warprefine: Any) -> None:
    """A mask whose colours are those of classes.toml shows every class."""
    case("colour_masks")

    called = warprefine("inspect", "DATA", "--check")

    assert called.code == 0
    assert "Road 27.70 %" in called.text


def test_names_match_in_any_unicode_form(case: Any, warprefine: Any) -> None:
    """Frames in NFD as macOS writes them, label maps in NFC."""
    case("nfd_names")

    called = warprefine("inspect", "DATA", "--check")

    assert called.code == 0
    assert "key frame without a frame" not in called.text


def test_a_label_map_of_the_next_frame_is_told(case: Any, warprefine: Any) -> None:
    """Numbers that count from 1 are noticed by the edges of the label map."""
    case("off_by_one")

    called = warprefine("inspect", "DATA", "--check")

    assert "label maps fit the frame before their own better: street" in called.text
    assert "count from 0" in called.text


def test_a_single_class_is_refused_with_the_cure(case: Any, warprefine: Any, tiny_recipe: Path) -> None:
    """One class and void cannot be learned, and no score of it can fail."""
    case("one_class")

    called = warprefine("autolabel", "DATA", "--out=run", "--horizon=5", "--recipe", tiny_recipe)

    assert called.code == 2
    assert "'car' is the only class" in called.text
    assert "void_ids = [254]" in called.text
    assert not list(Path("run").rglob("*.safetensors"))


def test_labels_of_a_single_class_say_that_their_scores_cannot_fail(case: Any, motion_only: Any) -> None:
    """Methods that learn nothing do label it."""
    case("one_class")

    called = motion_only("DATA", "run", "--horizon=2")

    assert called.code == 0
    assert "cannot be wrong where the truth is VOID" in called.text


def test_a_clip_without_labels_is_told(case: Any, motion_only: Any) -> None:
    """It is on the screen, in the report and in left_out.json."""
    case("second_clip_unmentioned")

    called = motion_only("DATA", "run", "--horizon=3")

    assert "1 of 2 videos have no key frame and are not labelled: b" in called.text
    assert "no key frame" in json.loads(Path("run/left_out.json").read_text())["b"]
    assert "no key frame" in Path("run/report.html").read_text()


@pytest.mark.parametrize("words", [(), ("--horizon=10",), ("--horizon=all",)])
def test_a_clip_shorter_than_the_horizon_is_labelled(case: Any, motion_only: Any, words: tuple[str]) -> None:
    """Frames are labelled as far as the clip goes."""
    case("short_clip")

    called = motion_only("DATA", "run", *words)

    assert called.code == 0
    assert "8 of 8 frames labelled" in called.text


@pytest.mark.parametrize("name", ["tiny.toml", "pretrained"])
def test_recipes_are_loaded_by_text(case: Any, name: str) -> None:
    """A path as a text, and the name of a recipe that is shipped."""
    case("load_recipe_str")

    assert isinstance(load_recipe(name), Recipe)


def test_videos_of_different_sizes_are_trained_on_together(
    case: Any, warprefine: Any, tiny_recipe: Path
) -> None:
    """One of them is smaller than the crops; all is a fifth of the case's size here."""
    case("two_sizes")
    for path in Path("DATA/videos").rglob("*.*"):
        with Image.open(path) as picture:
            smaller = picture.resize((picture.width // 5, picture.height // 5), Image.Resampling.NEAREST)
        smaller.save(path)
    recipe = Path("recipe.toml")
    recipe.write_text(tiny_recipe.read_text().replace("crop = [32, 48]", "crop = [64, 80]"))

    called = warprefine(
        *("autolabel", "DATA", "--out=run", "--horizon=1", "--recipe", recipe, "--threads=1"),
        "--method=warp-refine-plus",
    )

    assert called.code == 0
    assert "of 12 frames labelled" in called.text


def test_changed_frames_are_labelled_again(
    tiny_data: Path, motion_only: Callable[..., Any], tmp_path: Path
) -> None:
    """A video that is cut anew is labelled as in a run from nothing (stale-after-frame-change)."""
    data = shutil.copytree(tiny_data, tmp_path / "data")
    motion_only(data, tmp_path / "run", "--horizon=3")
    video = data / "videos/street-000"
    (video / "labels/000003.png").rename(video / "truth/000003.png")
    for part, ending in (("frames", "jpg"), ("truth", "png")):
        for number in range(1, 7):
            (video / part / f"{number:06d}.{ending}").replace(video / part / f"{number - 1:06d}.{ending}")
    (video / "truth/000002.png").rename(video / "labels/000002.png")
    shutil.copy(video / "frames/000005.jpg", video / "frames/000006.jpg")

    again = motion_only(data, tmp_path / "run", "--horizon=3")
    motion_only(data, tmp_path / "fresh", "--horizon=3")

    assert again.code == 0
    labels = {path.relative_to(tmp_path / "fresh") for path in (tmp_path / "fresh/labels").rglob("*.png")}
    assert labels == {path.relative_to(tmp_path / "run") for path in (tmp_path / "run/labels").rglob("*.png")}
    for path in (*labels, Path("metrics.json")):
        assert (tmp_path / "run" / path).read_bytes() == (tmp_path / "fresh" / path).read_bytes()


def test_networks_of_other_labels_are_told(case: Any, warprefine: Any, tiny_recipe: Path) -> None:
    """A label map that is added after the training makes the networks stale; `--retrain` trains them anew."""
    case("stale_weights")
    added = Path("DATA/videos/a/labels/000015.png")
    away = added.rename("000015.png")
    label = ("autolabel", "DATA", "--out=run", "--horizon=1", "--method=semantic-only", "--threads=1")
    label = (*label, f"--recipe={tiny_recipe}")
    warprefine(*label)
    away.rename(added)

    again = warprefine(*label)
    anew = warprefine(*label, "--retrain")

    assert "--retrain" in again.text
    assert "--retrain" in Path("run/report.html").read_text() or "--retrain" not in anew.text
    assert "training segmenter" in anew.text
    assert "training segmenter" not in again.text
