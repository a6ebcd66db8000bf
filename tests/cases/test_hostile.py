"""What a hostile or damaged file, or the operating system, can do: one line, and nothing else is touched."""

from __future__ import annotations

import io
import json
import runpy
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from warprefine.core.errors import DatasetError, WarpRefineError
from warprefine.io.matlab_files import read_numbers


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, warprefine: Any) -> None:
    """Files of PyTorch are never compressed (bombs)."""
    plain = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in source.namelist():
            bomb.writestr(name, source.read(name) + bytes(1 << 22 if name.endswith("data/0") else 0))

    called = warprefine(
        "weights", "import", tmp_path / "bomb.pth", "--as=raft", "--out", tmp_path / "w.safetensors"
    )

    assert called.code == 2
    assert "is compressed, which PyTorch's files never are" in called.text


def test_pictures_of_gigabytes_in_kilobytes_are_refused(tmp_path: Path, warprefine: Any, nyuv2: Any) -> None:
    """The sizes in nyu_depth_v2_labeled.mat are checked before anything is unpacked (bombs)."""
    h5py = pytest.importorskip("h5py", reason="not installed: extra [nyuv2]")
    folder = nyuv2(tmp_path / "nyu")
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "a") as file:
        del file["images"]
        shape, chunks = (3, 3, 40000, 40000), (1, 1, 1000, 1000)
        file.create_dataset("images", shape, np.uint8, chunks=chunks, compression="gzip")

    called = warprefine("convert", "nyuv2", folder, "--out", tmp_path / "out")

    assert called.code == 2
    assert "has images of (3, 3, 40000, 40000) uint8" in called.text


def test_names_in_a_file_write_nothing_outside(
    case: Any, warprefine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absolute scenes, and those that go up (nyu-writes-outside)."""
    pytest.importorskip("h5py", reason="not installed: extra [nyuv2]")
    pytest.importorskip("scipy", reason="not installed: extra [hf]")
    folder = case("nyu-writes-outside")
    # The script makes the file, and then calls the program in a process of its own: here it does not.
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 0, stdout="", stderr="")
    )
    runpy.run_path(str(folder / "run.py"))

    called = warprefine("convert", "nyuv2", folder / "tmp/src", "--out", folder / "tmp/out", "--border=2")

    assert called.code == 2
    assert "expected the name of a file or folder" in called.text
    assert not (folder / "tmp/VICTIM").exists()


def test_a_matlab_file_that_crashed_another_reader_is_refused(case: Any) -> None:
    """288 bytes that end in a segmentation fault elsewhere (nyu-writes-outside/segfaults)."""
    folder = case("nyu-writes-outside")

    with pytest.raises(DatasetError, match=r"splits\.mat"):
        read_numbers(
            folder / "segfaults/splits.mat", "trainNdxs", expected="a list", error_class=DatasetError
        )


@pytest.mark.parametrize("how", ["source", "card"])
@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "upernet", "backbone": "evil/backbone", "use_pretrained_backbone": True},
        {"model_type": "maskformer", "backbone": "evil/b2", "use_pretrained_backbone": True},
        {"model_type": "segformer", "_attn_implementation": "kernels-community/x"},
    ],
    ids=lambda config: config["model_type"],
)
def test_a_checkpoint_asks_no_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], how: str
) -> None:
    """What a configuration names elsewhere is passed over (checkpoint-makes-hub-requests)."""
    pytest.importorskip("transformers", reason="not installed: extra [hf]")
    from warprefine.segmentation.huggingface import HuggingFaceSegmenter

    asked: list[object] = []

    def deny(host: object, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", deny)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"")

    if how == "source":
        with pytest.raises(WarpRefineError, match="the weights in"):
            HuggingFaceSegmenter(3, source=str(tmp_path))
    elif config["model_type"] != "maskformer":  # a large network to build, and built alike
        HuggingFaceSegmenter(3, config={"architecture": config["model_type"], **config})

    assert asked == []


@pytest.mark.parametrize("seed", ["label-", "frame-", "video-", "pth-"])
def test_damaged_files_are_one_line(
    case: Any, tiny_data: Path, warprefine: Any, motion_only: Any, seed: str
) -> None:
    """Found by mutation; the other video is labelled (damaged-input-with-traceback)."""
    folder = case("damaged-input-with-traceback")
    data = shutil.copytree(tiny_data, folder / "data")
    video = data / "videos/street-000"
    for number, file in enumerate(sorted((folder / "seeds").glob(f"{seed}*"))):
        if seed == "pth-":
            called = warprefine("weights", "import", file, "--as=raft", "--out=x.safetensors")
            assert called.code == 2
            continue
        target = {
            "label-": video / "labels/000003.png",
            "frame-": video / "frames/000001.jpg",
            "video-": data / f"videos/broken{file.suffix}",
        }[seed]
        shutil.copyfile(file, target.with_suffix(file.suffix))
        if seed == "frame-":
            (video / "frames/000001.jpg").unlink(missing_ok=True)
        called = motion_only(data, f"run{number}", "--horizon=1")
        assert "street-001: 3 of 7 frames labelled" in called.text
        assert called.code == (0 if "passed over" in called.text else called.code)
        assert called.code in (0, 1)
        target.with_suffix(file.suffix).unlink()


def test_numbers_and_nesting_without_end(
    tiny_data: Path, motion_only: Any, warprefine: Any, tmp_path: Path
) -> None:
    """Each is refused in one line, and nothing is computed (nesting-and-big-numbers)."""
    recipes = {
        "circle": 'extends = "circle2.toml"',
        "circle2": 'extends = "circle3.toml"',
        "circle3": 'extends = "circle.toml"',
        "nested": "a = " + "[" * 3000 + "]" * 3000,
        "long": "seed = " + "9" * 5000,
        "nul": 'extends = "x\\u0000"',
    }
    for name, text in recipes.items():
        (tmp_path / f"{name}.toml").write_text(text)
    options = [f"--recipe={tmp_path / name}.toml" for name in recipes]
    options += ["--seed=100000000000000", "--seed=-1", "--device=meta"]
    options += [f"--keyframes=0::{'9' * 5000}", f"--keyframes={'9' * 5000}::2"]
    options += [f"--split=train[::{'9' * 5000}]", f"--split=train[:{'9' * 5000}]", "--split=train[-:2]"]

    for option in options:
        called = motion_only(tiny_data, tmp_path / "run", option)
        assert called.code == 2, option[:40]
        assert "error: " in called.text
        assert len(called.text) < 1000

    assert not (tmp_path / "run/labels").exists()


@pytest.mark.parametrize("content", ["[]", "null", "3", '"x"', '{"a": 1}', "[" * 5000, "\x00", ""])
def test_records_of_a_run_in_another_shape_are_one_line(
    tiny_data: Path, motion_only: Any, warprefine: Any, tmp_path: Path, content: str
) -> None:
    """job.json and left_out.json (nesting-and-big-numbers)."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "job.json").write_text(content)

    labelled, evaluated = motion_only(tiny_data, run, "--horizon=1"), warprefine("evaluate", run)

    assert (labelled.code, evaluated.code) == (2, 2)
    assert str(run) in labelled.text.replace(" ", "") or "run holds" in labelled.text


def test_an_address_in_a_checkpoint_is_not_read(case: Any, warprefine: Any) -> None:
    """A file that named an address for numpy to read from (pth-memory-corruption)."""
    folder = case("pth-memory-corruption")
    subprocess.run([sys.executable, "make.py", "evil.pth", "0x13371337c0de"], cwd=folder, check=True)

    called = warprefine("weights", "import", "evil.pth", "--as=raft", "--out=w.safetensors")

    assert called.code == 2
    assert "expected tensors by name" in called.text


@pytest.mark.parametrize("place", ["frames", "labels", "truth"])
def test_a_folder_that_may_not_be_read_costs_its_video(
    tiny_data: Path, motion_only: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The other video is labelled (os-errors-with-traceback)."""
    data = shutil.copytree(tiny_data, tmp_path / "data")
    closed = data / "videos/street-000" / place
    is_dir = Path.is_dir

    def refused(path: Path) -> bool:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", refused)  # root may read everything

    called = motion_only(data, tmp_path / "run", "--horizon=1")

    assert called.code == 1
    assert "Permission denied" in called.text
    assert "street-001: 3 of 7 frames labelled" in called.text


def test_names_too_long_for_the_file_system(tiny_data: Path, motion_only: Any, tmp_path: Path) -> None:
    """Long names of frames are labelled; a run of 300 letters is refused (os-errors-with-traceback)."""
    data = shutil.copytree(tiny_data, tmp_path / "data")
    video = data / "videos/street-000"
    shutil.rmtree(video / "truth")
    for path in [*(video / "frames").iterdir(), *(video / "labels").iterdir()]:
        path.rename(path.with_name("a" * 230 + path.name))

    called, refused = motion_only(data, tmp_path / "run"), motion_only(data, tmp_path / ("o" * 300))

    assert called.code == 0
    assert refused.code == 2
    assert "File name too long" in refused.text


def test_a_manifest_that_cannot_be_opened(tiny_data: Path, motion_only: Any, tmp_path: Path) -> None:
    """There is a folder of its name (os-errors-with-traceback)."""
    (tmp_path / "run/manifest.sqlite").mkdir(parents=True)

    called = motion_only(tiny_data, tmp_path / "run")

    assert called.code == 2
    assert "manifest.sqlite" in called.text
