"""Tests of the promise that a run survives everything: kill -9, a full disk, somebody's tidying up."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from warprefine import autolabel, load_recipe, open_dataset
from warprefine.core.errors import RunFolderError
from warprefine.jobs.networks import Networks
from warprefine.jobs.start import start
from warprefine.propagation.methods import METHODS

MOTION_ONLY = ("motion-only",)


def test_a_killed_run_ends_as_if_nothing_had_happened(runs: Any) -> None:
    """Killed at eleven stages and started again each time, a run gives the same files, byte for byte."""
    whole, killed = runs.hashes(runs.whole), runs.hashes(runs.killed)

    assert runs.codes == [0, *[-signal.SIGKILL] * 11, 0]
    assert {name.split("/")[0] for name in whole} == {
        ".warprefine-lock",
        "checkpoints",
        "computed_with.json",
        "confidence",
        "expected.json",
        "facts.json",
        "continuity.json",
        "figures",
        "job.json",
        "labelled_data.json",
        "labels",
        "metrics.csv",
        "metrics.json",
        "recipe.toml",
        "report.html",
        "stages.json",
        "tau.json",
        "trained_on.json",
    }
    assert killed.keys() == whole.keys()
    assert [name for name in whole if killed[name] != whole[name]] == []


def test_nothing_half_written_is_left_behind(runs: Any) -> None:
    """What the killed processes were writing is cleared away by those that came after."""
    assert [path for path in runs.killed.rglob("*") if "draft" in path.name or path.suffix == ".state"] == []


def test_a_finished_run_is_left_as_it_is(runs: Any, tiny_data: Path, tiny_recipe: Path) -> None:
    """Running it once more, from Python this time, trains nothing and touches no label."""
    lasting = [runs.whole / name for name in ("labels", "confidence", "checkpoints")]
    before = [runs.times(folder) for folder in lasting]
    cached = runs.times(runs.whole / "cache")

    finished = autolabel(
        open_dataset(tiny_data),
        runs.whole,
        horizon=3,
        methods=tuple(METHODS),
        recipe=load_recipe(tiny_recipe),
    )

    assert finished.failures == {}
    assert [runs.times(folder) for folder in lasting] == before
    # Whether data that were just written are sound is kept by a later call alone.
    assert cached.items() <= runs.times(runs.whole / "cache").items()


def test_key_frames_stay_as_their_author_made_them(runs: Any, tiny_data: Path) -> None:
    """The data set is only read, and each method's folder holds the hand-labelled maps byte for byte."""
    assert runs.hashes(tiny_data) == runs.data_before
    for video in ("street-000", "street-001"):
        made_by_hand = (tiny_data / "videos" / video / "labels/000003.png").read_bytes()
        copies = list(runs.killed.glob(f"labels/*/{video}/000003.png"))
        assert len(copies) == len(METHODS)
        assert {copy.read_bytes() for copy in copies} == {made_by_hand}


def test_a_corrected_key_frame_redoes_its_own_frames_alone(data: Path, tmp_path: Path, runs: Any) -> None:
    """Labels carried from the key frame that a person corrected are made anew, all others stay."""
    dataset = open_dataset(data)
    autolabel(dataset, tmp_path / "run", horizon=3, methods=MOTION_ONLY)
    labels = tmp_path / "run/labels/motion-only"
    before, times = runs.hashes(labels), runs.times(labels)
    key_frame = data / "videos/street-001/labels/000003.png"
    with Image.open(key_frame) as picture:
        picture.point(lambda index: 5).save(key_frame)

    autolabel(dataset, tmp_path / "run", horizon=3, methods=MOTION_ONLY)

    after = runs.hashes(labels)
    assert {name for name in after if after[name] != before[name]} == {
        f"street-001/{number:06d}.png" for number in range(7)
    }
    unchanged = {path for path, written in runs.times(labels).items() if times[path] == written}
    assert unchanged == {path for path in times if "street-000" in path}
    assert (labels / "street-001/000003.png").read_bytes() == key_frame.read_bytes()


def test_a_deleted_label_map_is_made_again(data: Path, tmp_path: Path, runs: Any) -> None:
    """A file that somebody removed from a finished run comes back the same."""
    dataset = open_dataset(data)
    autolabel(dataset, tmp_path / "run", horizon=3, methods=MOTION_ONLY)
    before = runs.hashes(tmp_path / "run")
    (tmp_path / "run/labels/motion-only/street-000/000005.png").unlink()
    (tmp_path / "run/confidence/motion-only/street-001/000000.png").unlink()

    autolabel(dataset, tmp_path / "run", horizon=3, methods=MOTION_ONLY)

    assert runs.hashes(tmp_path / "run") == before


@pytest.mark.parametrize("files", [1, 9, 20], ids="after {} files".format)
def test_a_disk_that_fills_up_stops_a_run_that_goes_on_later(
    files: int, tiny_data: Path, tmp_path: Path, runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is no video's fault: the run stops, loses nothing, and goes on once there is space."""
    dataset, take_place, written = open_dataset(tiny_data), os.replace, []

    def replace_while_there_is_space(source: Path, target: Path) -> None:
        written.append(target)
        if len(written) > files:
            raise OSError(errno.ENOSPC, "No space left on device")
        take_place(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace_while_there_is_space)
        with pytest.raises(
            RunFolderError, match=r"cannot write .*: the disk is full; free some space and run"
        ):
            autolabel(dataset, tmp_path / "run", horizon=3, methods=MOTION_ONLY)
    # What was checked is only remembered where there is space; all else stops at the first file.
    assert len([path for path in written[files:] if Path(path).parent.name != "checked"]) == 1
    assert list(tmp_path.rglob("*draft*")) == []

    autolabel(dataset, tmp_path / "run", horizon=3, methods=MOTION_ONLY)

    labels = Path("labels/motion-only")
    assert runs.hashes(tmp_path / "run" / labels) == runs.hashes(runs.whole / labels)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", folder], capture_output=True, check=False
        ).returncode
    except FileNotFoundError:
        mounted = 1
    if mounted != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_training_survives_a_disk_that_is_really_full(
    small_disk: Path, tmp_path: Path, tiny_data: Path, tiny_recipe: Path
) -> None:
    """The state of a training that does not fit is reported in one line, and space is all that is missing."""
    run = small_disk / "run"
    options = {"horizon": 3, "recipe": load_recipe(tiny_recipe)}
    networks = Networks(start(open_dataset(tiny_data), run, **options))
    with pytest.raises(RunFolderError, match=r"cannot write .*segmenter\.state: the disk is full; free some"):
        networks.segmenter()
    assert list(run.rglob("*draft*")) == []

    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    Networks(start(open_dataset(tiny_data), run, **options)).segmenter()

    # Trained in this process: another number of threads sums in another order.
    Networks(start(open_dataset(tiny_data), tmp_path / "undisturbed", **options)).segmenter()
    checkpoint = Path("checkpoints/segmenter.safetensors")
    assert (run / checkpoint).read_bytes() == (tmp_path / "undisturbed" / checkpoint).read_bytes()
