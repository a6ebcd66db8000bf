"""Tests of io/published.py: weights from elsewhere are read, and no code with them."""

from __future__ import annotations

import argparse
import collections
import contextlib
import logging
import os
import pickle
import resource
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from warprefine.core.errors import CheckpointError
from warprefine.io import published
from warprefine.io.published import read_published

WEIGHTS = {"conv.weight": torch.arange(4.0), "conv.bias": torch.ones(2)}
WRAPPED = {f"module.{name}": values for name, values in WEIGHTS.items()}


class _Options:
    """Options of a training program, which is not installed where its checkpoint is read."""


_Options.__module__, _Options.__qualname__ = "omegaconf", "DictConfig"


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the class of the options be found when a checkpoint is written."""
    module = type(sys)("omegaconf")
    monkeypatch.setattr(module, "DictConfig", _Options, raising=False)
    monkeypatch.setitem(sys.modules, "omegaconf", module)


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        WRAPPED,
        {"state_dict": WRAPPED, "epoch": 175, "mean_iu": np.float64(0.847), "command": "train.py"},
        {"state_dict": WEIGHTS, "best": np.float32(1.5), "args": argparse.Namespace(lr=0.1)},
        {"model": {"state_dict": WEIGHTS}, "optimizer": {"lr": 0.1}},
        {"state_dict": WEIGHTS, "iteration": np.int64(5), "best": np.bool_(True), "iou": np.zeros(3)},
        {"state_dict": WEIGHTS, "history": collections.defaultdict(list, loss=[1.0])},
        {**WEIGHTS, "epoch": 4, "version": "1.0"},
        {"net": WEIGHTS, "optimizer": {"state": {0: {"exp_avg": torch.ones(1)}}}},
        {"generator": WEIGHTS, "epoch": torch.tensor(3)},
        {"params_ema": WEIGHTS},
        {"ema_state_dict": WEIGHTS, "step": 1},
        {"state_dict": WEIGHTS, "state_dict_ema": {name: values + 1 for name, values in WEIGHTS.items()}},
        {"state_dict": {name: nn.Parameter(values) for name, values in WEIGHTS.items()}},
        {"state_dict": WEIGHTS, "hyper_parameters": _Options()},
    ],
    ids=[
        *("bare", "wrapped", "with scores", "with options", "nested", "with arrays", "with a history"),
        *(
            "numbers beside",
            "with optimiser",
            "another name",
            "averages",
            "averages alone",
            "averages beside",
        ),
        *("parameters", "with options of a program"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_the_usual_containers_are_opened(tmp_path: Path, content: Any, *, zipped: bool) -> None:
    """Weights are found beside what training programs keep with them, in new files and in old ones."""
    path = tmp_path / "published.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)

    found = read_published(path)

    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], values) for name, values in WEIGHTS.items())


@pytest.mark.parametrize(
    "beside", [{}, {"criterion.weight": torch.ones(3)}, {"ema.conv.weight": torch.ones(4)}]
)
@pytest.mark.parametrize(
    "prefix",
    [
        *("model.", "_orig_mod.", "module.module.", "module._orig_mod.", "model.module.", "model._orig_mod."),
        *("net.", "backbone.", "model.backbone.", "_fsdp_wrapped_module.", "student.module."),
    ],
)
def test_what_programs_put_in_front_of_names_is_dropped(
    tmp_path: Path, prefix: str, beside: dict[str, Any]
) -> None:
    """A network that was wrapped, compiled or held by another has its own names again."""
    torch.save(
        {"state_dict": {**{prefix + name: value for name, value in WEIGHTS.items()}, **beside}},
        tmp_path / "a.pth",
    )
    if prefix.startswith("_"):
        beside = {}

    assert read_published(tmp_path / "a.pth").keys() >= WEIGHTS.keys()


def test_parts_that_were_compiled_have_their_names() -> None:
    """What wraps a part of a network leaves its mark inside of names."""
    names = ["trunk._orig_mod.conv.weight", "head.conv.weight"]

    assert list(published._short_names(names).values()) == ["trunk.conv.weight", "head.conv.weight"]


def test_the_names_of_a_network_are_its_own() -> None:
    """A beginning that part of the names have is not dropped."""
    names = ["backbone.conv.weight", "backbone.conv.bias", "ocr.weight"]

    assert list(published._short_names(names).values()) == names


def test_safetensors_are_read(tmp_path: Path) -> None:
    """The safe format is as good as PyTorch's."""
    save_file(WRAPPED, tmp_path / "published.safetensors")

    assert read_published(tmp_path / "published.safetensors").keys() == WEIGHTS.keys()


@pytest.mark.parametrize("ending", [".pth", ".ckpt", ".safetensors", ""])
@pytest.mark.parametrize("safe", [True, False])
def test_the_first_bytes_tell_the_format(tmp_path: Path, ending: str, *, safe: bool) -> None:
    """Whatever a file is called, it is read as what it is."""
    path = tmp_path / f"weights{ending}"
    (save_file if safe else torch.save)(WEIGHTS, path)

    assert read_published(path).keys() == WEIGHTS.keys()


@pytest.mark.parametrize("zipped", [True, False])
def test_views_and_types_come_back_to_the_bit(tmp_path: Path, *, zipped: bool) -> None:
    """Tensors of all types, laid out in any way, parts of one another, are as they were."""
    base = torch.randn(6, 4, dtype=torch.float64)
    content = {
        "whole": base,
        "turned": base.t(),
        "part": base[2:4, 1:],
        "number": torch.tensor(7),
        "empty": torch.zeros(0),
        **{
            str(dtype): torch.arange(5).to(dtype)
            for dtype in (torch.float16, torch.bfloat16, torch.int32, torch.uint8, torch.bool, torch.int8)
        },
    }
    if zipped:  # of a kind without storages of a type
        content["unsigned"] = torch.arange(5).to(torch.uint16)
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)

    found = read_published(tmp_path / "a.pth")

    assert found.keys() == content.keys()
    for name, values in content.items():
        assert found[name].dtype == values.dtype
        assert torch.equal(found[name], values)
        assert found[name].stride() == values.stride()


def test_the_other_order_of_bytes_is_read(tmp_path: Path) -> None:
    """A file from a machine with the other order of bytes has the same numbers."""
    other = "big" if sys.byteorder == "little" else "little"
    turned = {name: torch.from_numpy(values.numpy().byteswap()) for name, values in WEIGHTS.items()}
    torch.save(turned, tmp_path / "a.pth")
    rewrite(tmp_path / "a.pth", lambda name, data: other.encode() if name.endswith("byteorder") else data)

    found = read_published(tmp_path / "a.pth")

    assert all(torch.equal(found[name], values) for name, values in WEIGHTS.items())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float, ending: str) -> None:
    """A training that broke down leaves NaN or infinities, and the tensors that have them are named."""
    path = tmp_path / f"a{ending}"
    content = {**WEIGHTS, "conv.running_var": torch.tensor([1.0, bad])}
    (torch.save if ending == ".pth" else save_file)(content, path)

    with pytest.raises(
        CheckpointError, match=r"not finite in conv\.running_var, .*take an earlier checkpoint"
    ):
        read_published(path)


def test_what_is_not_used_need_not_be_finite(tmp_path: Path) -> None:
    """The state of an optimiser is not read."""
    content = {"state_dict": WEIGHTS, "optimizer": {"best": torch.tensor(float("nan"))}}
    torch.save(content, tmp_path / "a.pth")

    assert read_published(tmp_path / "a.pth").keys() == WEIGHTS.keys()


class _Code:
    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def test_code_in_a_file_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that refers to a function is refused with that function's name, and it is not called."""
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": WEIGHTS, "extra": _Code()}, tmp_path / "bad.pth")

    with pytest.raises(CheckpointError, match=r"bad\.pth would run posix\.mkdir; expected tensors") as error:
        read_published(tmp_path / "bad.pth")

    assert "\n" not in str(error.value)
    assert not (tmp_path / "harm").exists()


def test_a_file_chooses_no_address(tmp_path: Path) -> None:
    """An array of objects over bytes of the file, which numpy would follow as addresses, is never made."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()

    raw = b"c_codecs\nencode\n" + text("AAAA\0\0\0\0") + text("latin1") + b"\x86R"
    kind = b"cnumpy\ndtype\n" + text("O8") + b"\x89\x88\x87R"
    array = b"cnumpy\nndarray\n" + b"K\x01\x85" + kind + raw + b"\x87R"
    pickled = b"\x80\x02}" + text("x") + b"ccollections\nOrderedDict\n" + array + b"\x85Rs."
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickled)

    with pytest.raises(
        CheckpointError, match=r"a\.pth holds x, expected tensors by name, or under state_dict"
    ):
        read_published(tmp_path / "a.pth")


def rewrite(path: Path, change: Any, compression: int = zipfile.ZIP_STORED, *, times: int = 1) -> None:
    """Write an archive again, with each of its files changed."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, change(name, data))


def resized(path: Path, old: bytes, new: bytes) -> None:
    """Change how a file describes its tensors."""
    rewrite(path, lambda name, data: data.replace(old, new) if name.endswith("data.pkl") else data)


def test_a_small_file_takes_no_memory(tmp_path: Path) -> None:
    """Zeros that are packed into a thousandth of their size are refused before they are unpacked."""
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    zeros = bytes(1 << 26)
    change = lambda name, data: zeros if "/data/" in name else data  # noqa: E731
    rewrite(tmp_path / "a.pth", change, zipfile.ZIP_DEFLATED)
    del zeros
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(
        CheckpointError, match=r"a\.pth is compressed, .*unpack it, and save the weights again"
    ):
        read_published(tmp_path / "a.pth")

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


def test_a_file_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    """Entries that lie on one another, or longer than the file, are not read."""
    path = tmp_path / "a.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    data = path.read_bytes()
    place = data.rindex(b"PK\x01\x02", 0, data.rindex(b"data/0") + 1)
    path.write_bytes(data[: place + 20] + struct.pack("<II", 1 << 30, 1 << 30) + data[place + 28 :])

    with pytest.raises(CheckpointError, match=r"a\.pth (claims to hold more bytes than its|is damaged)"):
        read_published(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x64\x85", b"J\xff\xff\xff\x7f\x85"),  # the shape
        (b"K\x64\x85", b"J\xff\xff\xff\xff\x85"),
        (b"K\x01\x85", b"J\xff\xff\xff\x7f\x85"),  # the stride
        (b"K\x64\x85", b"K\x64K\x00J\xff\xff\xff\x7f\x87"),
        (b"QK\x00", b"QK\x63"),  # the place of the first number
        (b"FloatStorage", b"HairStorage"),
        (b"storage", b"stowage"),
        (b"_rebuild_tensor_v2", b"_rebuild_sparse_tensor"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    """No tensor has more numbers than the file, or those of its neighbour, or none at all."""
    path = tmp_path / "a.pth"
    torch.save({"a": torch.zeros(100)}, path)
    resized(path, old, new)

    with pytest.raises(CheckpointError, match=r"a\.pth (is damaged|holds a, expected)"):
        read_published(path)


def test_one_number_is_not_used_a_thousand_times(tmp_path: Path) -> None:
    """Tensors without a step between their numbers need no numbers; a file of them is refused."""
    torch.save({"a": torch.zeros(1).expand(1000)}, tmp_path / "a.pth")
    shared = torch.zeros(1000)
    torch.save({str(place): shared for place in range(100)}, tmp_path / "b.pth")

    for name in ("a.pth", "b.pth"):
        with pytest.raises(CheckpointError, match="is damaged, or no checkpoint"):
            read_published(tmp_path / name)


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_told(tmp_path: Path, name: str, share: float) -> None:
    """Whatever is left of a file, the error is one line that names it."""
    path = tmp_path / name
    if path.suffix == ".pth":
        torch.save(WEIGHTS, path)
    else:
        save_file(WEIGHTS, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(CheckpointError, match=r"broken\.\w+ is damaged, or no checkpoint of") as error:
        read_published(path)

    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "holds list, expected tensors by name"),
        ({"epoch": 3}, "holds epoch, expected tensors"),
        ({}, "holds nothing, expected tensors"),
        ({"a\x1b[2J\n": 3, 10**6000: 1}, r"holds a\?\[2J\?, int, expected"),
        (
            nn.Conv2d(1, 1, 1),
            r"holds a whole network \(torch\.nn\.modules\.conv\.Conv2d\), expected its weights",
        ),
        ({"model": nn.Conv2d(1, 1, 1)}, r"holds a whole network as model, expected its weights alone"),
        ({"gen": WEIGHTS, "dis": dict(WEIGHTS)}, r"holds tensors under gen, dis; expected one network"),
        ({"a\nb": torch.ones(1)}, "is damaged"),
    ],
)
def test_a_file_without_weights_is_told(tmp_path: Path, content: Any, words: str) -> None:
    """A sound file that holds something else is refused by what it holds."""
    torch.save(content, tmp_path / "other.pth")

    with pytest.raises(CheckpointError, match=words):
        read_published(tmp_path / "other.pth")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A name that stands for no file is said to."""
    with pytest.raises(CheckpointError, match=r"none\.pth does not exist; expected a published checkpoint"):
        read_published(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="does not exist"):
        read_published(tmp_path / "no\0ne.pth")


def test_a_name_that_cannot_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses to look up, or to open, ends in one line."""
    torch.save(WEIGHTS, tmp_path / "a.pth")

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(CheckpointError, match=r"a\.pth cannot be read \(Permission denied\); change"):
        read_published(tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"cannot be read \(File name too long\)"):
        read_published(tmp_path / ("a" * 300))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html><title>Virus scan warning</title></html>", "a web page, not the file: open"),
        (b"\xef\xbb\xbf\n <html lang=en>", "a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            "a pointer of Git LFS.*git lfs pull",
        ),
        (b"\x1f\x8b\x08" + bytes(100), "an archive of gzip: unpack it"),
        (bytes(257) + b"ustar\x0000" + bytes(300), "an archive of tar"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    ],
)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_what_is_no_weights_is_told_as_what_it_is(
    tmp_path: Path, content: bytes, words: str, ending: str
) -> None:
    """Fetching a web page or a pointer again gives the same, so the message says what it is."""
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match=rf"a\{ending} is {words}.*expected a checkpoint"):
        read_published(path)


def test_programs_in_place_of_weights_are_told(tmp_path: Path) -> None:
    """A TorchScript archive is named as such, with the way to its weights."""
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl"):
            archive.writestr(f"script/{name}", b"\x80\x02}.")

    with pytest.raises(CheckpointError, match=r"is a TorchScript archive, .*ask for the state_dict"):
        read_published(tmp_path / "script.pt")


def test_weights_in_an_archive_are_told(tmp_path: Path) -> None:
    """A zip file around a checkpoint is to be unpacked."""
    with zipfile.ZipFile(tmp_path / "models.zip", "w") as archive:
        archive.writestr("models/raft.pth", b"")

    with pytest.raises(CheckpointError, match=r"zip archive, but no checkpoint .*it holds models/raft\.pth"):
        read_published(tmp_path / "models.zip")


def test_pipes_and_folders_are_not_read(tmp_path: Path) -> None:
    """What would be waited for without end is refused."""
    os.mkfifo(tmp_path / "pipe.pth")

    with pytest.raises(CheckpointError, match=r"pipe\.pth is no regular file; name another"):
        read_published(tmp_path / "pipe.pth")
    with pytest.raises(CheckpointError, match=r"is a folder; name the file in it"):
        read_published(tmp_path)


def test_where_weights_are_taken_from_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A container of an unknown name is named in the log."""
    torch.save({"generator": WEIGHTS}, tmp_path / "a.pth")

    with caplog.at_level(logging.INFO, logger="warprefine"):
        read_published(tmp_path / "a.pth")

    assert "the weights are taken from generator" in caplog.text


def test_a_file_that_holds_itself_is_read(tmp_path: Path) -> None:
    """Containers in a circle end somewhere."""
    content: dict[str, Any] = {"epoch": 1}
    content["model"] = content["state_dict"] = content
    torch.save(content, tmp_path / "a.pth")

    with pytest.raises(CheckpointError, match=r"holds epoch, state_dict, model, expected|holds epoch, model"):
        read_published(tmp_path / "a.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_no_damage_ends_in_another_error(tmp_path: Path, *, zipped: bool) -> None:
    """Bytes that are changed anywhere give the weights or our error."""
    path = tmp_path / "a.pth"
    torch.save({"state_dict": WEIGHTS, "epoch": np.int64(3)}, path, _use_new_zipfile_serialization=zipped)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(7)
    refused = 0
    for _ in range(150):
        damaged = whole.copy()
        damaged[rng.integers(len(whole), size=rng.integers(1, 6))] = rng.integers(256)
        path.write_bytes(damaged.tobytes())
        with contextlib.suppress(CheckpointError):
            read_published(path)
            continue
        refused += 1

    assert 0 < refused < 150


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("alone", [True, False])
def test_arrays_of_numpy_in_place_of_tensors_are_told(tmp_path: Path, inside: bool, alone: bool) -> None:
    """The message says how to write them as tensors, for files of torch and pickles alone."""
    arrays: dict[str, Any] = {"conv.weight": np.ones((2, 3), np.float32)}
    content = {"model": arrays, "author": "somebody"} if inside else arrays
    if alone:
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    else:
        torch.save(content, tmp_path / "a.pkl")

    where = " under model" if inside else ""
    with pytest.raises(
        CheckpointError, match=rf"holds arrays of numpy{where}, expected tensors: .*torch\.from_numpy"
    ):
        read_published(tmp_path / "a.pkl")
