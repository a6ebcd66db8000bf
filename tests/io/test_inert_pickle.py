"""Tests of io/inert_pickle.py: data come out of a pickle, and nothing that it names is reached."""

from __future__ import annotations

import argparse
import collections
import fractions
import io
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warprefine.io.inert_pickle import Named, PickledCodeError, Reference, StandIn, entries_of, read_pickle

PLAIN = {
    "epoch": 3,
    "large": -(2**70),
    "loss": [0.5, float("inf"), None, True],
    "name": "ü",
    "raw": b"\x00\xff",
    "nested": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {}, [], {"again": {4: False}}),
}


class Options:
    """Options as a training program keeps them."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_come_back(protocol: int) -> None:
    """Numbers, texts, bytes and what is built of them are as they were, in every binary protocol."""
    found = read_pickle(pickle.dumps(PLAIN, protocol))

    if protocol == 2:  # its bytes are made by a call
        assert isinstance(found.pop("raw"), StandIn)
    assert found == {name: value for name, value in PLAIN.items() if name in found}
    assert found.keys() >= PLAIN.keys() - {"raw"}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_objects_are_stood_in_for(protocol: int) -> None:
    """What would be an object is its name, its arguments and its attributes."""
    options, space = Options(lr=0.1), argparse.Namespace(lr=0.1)
    content = {"options": options, "space": space, "iou": np.float64(0.5), "curve": np.zeros(3), "set": {7}}

    found = read_pickle(pickle.dumps(content, protocol))

    for name, value in (("options", options), ("space", space)):
        assert isinstance(found[name], StandIn)
        assert entries_of(found[name].state) == vars(value)
    assert all(isinstance(found[name], StandIn) for name in ("iou", "curve"))
    assert found["set"] == [7] or found["set"].arguments == ([7],)


@pytest.mark.parametrize(
    "content",
    [
        {"a": 1, "b": 2},
        collections.OrderedDict(a=1, b=2),
        collections.defaultdict(int, a=1, b=2),
        StandIn("collections.OrderedDict", ([["a", 1], ["b", 2]],)),
    ],
    ids=["dict", "ordered", "default", "python 2"],
)
def test_all_kinds_of_dicts_have_entries(content: object) -> None:
    """What is stored by key is found by key, whatever kind of dict held it."""
    read = content if isinstance(content, StandIn) else read_pickle(pickle.dumps(content))

    assert entries_of(read) == {"a": 1, "b": 2}
    assert entries_of([1, 2]) is None


def call(module: str, name: str, argument: bytes = b")") -> bytes:
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + argument + b"R."


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("posix", "system"),
        ("nt", "system"),
        ("os.path", "exists"),
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("subprocess", "Popen"),
        ("_codecs", "decode"),
        ("functools", "reduce"),
    ],
)
def test_code_of_python_is_reported(module: str, name: str) -> None:
    """A name in Python's own library that no data need is reported before anything else is read."""
    shown = f"{module}.{name}".replace("__builtin__", "builtins")

    with pytest.raises(PickledCodeError, match=f"^{shown}$"):
        read_pickle(call(module, name))


def test_what_others_name_is_never_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that lies beside is not imported, and its function not called."""
    (tmp_path / "theirs.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert read_pickle(call("theirs", "run")).name == "theirs.run"
    assert read_pickle(b"\x80\x02ctheirs\nrun\n.") == Named("theirs.run")


def test_references_are_kept() -> None:
    """Data outside of a pickle are referred to, and the references listed."""
    pickled = io.BytesIO()
    pickler = pickle.Pickler(pickled, protocol=2)
    pickler.persistent_id = lambda value: ("storage", 7) if value == "here" else None  # type: ignore[method-assign]
    pickler.dump(["here", "there"])
    references: list[Reference] = []

    assert read_pickle(pickled.getvalue(), references) == [Reference(("storage", 7)), "there"]
    assert references == [Reference(("storage", 7))]


def test_pickles_that_follow_each_other_are_read_one_by_one() -> None:
    """A stream is left behind the last byte of a pickle."""
    stream = io.BytesIO(pickle.dumps(1) + pickle.dumps("two") + b"rest")

    assert [read_pickle(stream), read_pickle(stream), stream.read()] == [1, "two", b"rest"]


NESTED = b"\x80\x02)" + b"\x85" * 200_000


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02K\x01",
        b"\x80\x02.",
        b"\x80\x02h\x07.",
        b"\x80\x020.",
        b"\x80\x02K\x01K\x02\x87.",
        b"\x80\x02X\xff\xff\xff\x7fa.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"a.",
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"a.",
        b"I" + b"9" * 5000 + b"\n.",
        b"cposix\n.",
        b"S'\\q\n.",
        b"\x80\x02\x82\x01.",
        b"\xff\xfe",
    ],
)
def test_damaged_pickles_are_told(damaged: bytes) -> None:
    """Whatever does not fit, the error is one, and no memory is taken for what is not there."""
    with pytest.raises(ValueError, match=r"\w"):
        read_pickle(damaged)


def test_deep_nesting_is_read_without_the_stack() -> None:
    """Tuples in tuples, as values or as keys, do not overflow the stack of the process."""
    assert isinstance(read_pickle(NESTED + b"."), tuple)
    assert read_pickle(b"\x80\x02}" + NESTED[2:] + b"K\x01s.") == {}


def test_a_pickle_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may take many steps; beyond those of any checkpoint it is refused."""
    monkeypatch.setattr("warprefine.io.inert_pickle._MOST_STEPS", 1000)

    with pytest.raises(ValueError, match="it takes more than 1000 steps"):
        read_pickle(b"\x80\x02" + b"K\x010" * 1000 + b".")


def test_numbers_of_python_may_stand_beside_weights() -> None:
    """Fractions and the like are data, though they belong to Python's library."""
    assert read_pickle(pickle.dumps(fractions.Fraction(1, 3))).arguments == (1, 3)
    for module in ("pathlib", "pathlib._local"):  # as Python 3.13 writes them
        assert read_pickle(call(module, "PosixPath")).name == "pathlib.PosixPath"
