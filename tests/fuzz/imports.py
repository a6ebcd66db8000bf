"""Make exports of every format that can be imported, and change them as damage and ill will do.

Sound exports are those of our own exporters and, where they lie beside the repository, the cases of
`shared/interchange`. A format that is added to `IMPORTERS` needs nothing here.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.mutator import mutated
from tests.interchange.cases import NEEDED, find_cases
from tests.interchange.projects import class_set, write_project
from tests.interchange.test_round_trips import FIXED_CLASSES
from warprefine.interchange import EXPORTERS, IMPORTERS
from warprefine.interchange.imported import ImportOptions
from warprefine.jobs.export_labels import ExportSettings, export_labels

FORMATS = sorted(name for name in IMPORTERS if name not in NEEDED or find_spec(NEEDED[name]))
CLASSES = class_set(["road", "tall tree", "Gebäude"], [7, 0, 3])
_RNG = np.random.default_rng(0)
MAPS = {
    "drive": {f"{number:06d}": _RNG.choice([0, 1, 2, 255], (12, 16)).astype(np.uint8) for number in (3, 10)},
    "a video": {"000007": np.zeros((9, 14), np.uint8)},
}
_LARGEST_SEED = 1 << 18
_MOST_CASES = 6
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_NUMBERS = (
    b"0", b"-1", b"255", b"65536", b"1e9", b"2147483647", b"-2147483649", b"4294967296", b"9" * 20, b"1e308",
    b"1e999", b"NaN", b"0.5", b"", b"x",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 255, 1.5, 1e308, 10**9, 10**30, "", "road", "../../x", "\x00\x1b[2J", "x" * 3000, [],
    {}, [[]], [None], {"id": 1}, [0] * 500, "\ud800", float("nan"), [1e9, 1e9, -1e9, 5, 7, 1e9],
)  # fmt: skip
OUTSIDE = Path(tempfile.gettempdir()) / "warprefine-evil.png"
"""A file that some archives try to write."""
_NAMES = (
    "../evil.png", "a/../../evil.png", str(OUTSIDE), "C:/evil.png", "..\\..\\evil.png", "a\0b.png",
    "x" * 300 + ".png", "d/" * 200 + "a.png", "con.png", "\u202egnp.json", "labels/drive/000003.png",
    "a//b/./c.png",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Seed:
    """A sound export: what is imported, a file or a folder, and what the user says about it."""

    path: Path
    frames: Path
    options: ImportOptions


def seeds_of(name: str, folder: Path) -> list[Seed]:
    """Return the sound exports of a format, made below a folder."""
    project = write_project(folder / "project", CLASSES, MAPS)
    frames = shutil.copytree(project, folder / "frames", ignore=lambda *_: ["labels"])
    found = []
    exported = name in EXPORTERS and EXPORTERS[name].lossless and name not in FIXED_CLASSES
    for instances in (False, True) if exported else ():
        path = folder / f"export-{instances}"
        export_labels(name, project, path, settings=ExportSettings(instances=instances, split=0.5))
        found.append(Seed(path=path, frames=frames, options=ImportOptions()))
    cases = [case for case in find_cases() if case.format == name and case.may_import and case.data]
    for case in [case for case in cases if _size(case.source) < _LARGEST_SEED][:_MOST_CASES]:
        assert case.data is not None
        found.append(Seed(path=case.source, frames=case.data, options=replace(case.options)))
    return found


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def changed(seed: Seed, number: int, folder: Path) -> Path:
    """Write an export with some changes into an empty folder; the same number makes the same."""
    draws = random.Random(number)
    target = folder / seed.path.name
    if seed.path.is_file() and seed.path.suffix == ".zip":
        target.write_bytes(mutated([seed.path.read_bytes()], number))
        return target
    if seed.path.is_file():
        for beside in (path for path in seed.path.parent.iterdir() if path.is_file()):
            shutil.copyfile(beside, folder / beside.name)
        _change_file(target, draws)
        return target
    shutil.copytree(seed.path, target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    for _ in range(draws.choice((1, 1, 1, 2, 4))):
        _change_file(_drawn(files, draws), draws)
    if draws.random() < 0.1:
        _drawn(files, draws).unlink(missing_ok=True)
    if draws.random() < 0.5:
        return target
    return _packed(target, folder / "export.zip", draws)


def _drawn(files: Sequence[Path], draws: random.Random) -> Path:
    """Return a file; those that say what the others mean as often as all pictures together."""
    pictures = [path for path in files if path.suffix.lower() in (".png", ".jpg")]
    others = [path for path in files if path not in pictures]
    return draws.choice(pictures if pictures and (not others or draws.random() < 0.3) else others)


def _change_file(path: Path, draws: random.Random) -> None:
    if not path.is_file():
        return
    content = path.read_bytes()
    change = draws.choice(_changes(path))
    path.write_bytes(change(content, draws))


Change = Callable[[bytes, random.Random], bytes]


def _changes(path: Path) -> Sequence[Change]:
    kind = path.suffix.lower()
    if kind in (".json", ".jsonl"):
        return (_change_json, _change_json, _change_json, _change_numbers, _change_bytes)
    if kind in (".xml", ".txt", ".csv", ".yaml", ".toml"):
        return (_change_numbers, _change_lines, _change_bytes)
    return (_change_bytes,)


def _change_bytes(content: bytes, draws: random.Random) -> bytes:
    return mutated([content], draws.randrange(1 << 30)) if content else content


def _change_numbers(content: bytes, draws: random.Random) -> bytes:
    """Put numbers from the edges of what fits into the place of some."""
    places = list(_NUMBER.finditer(content))
    for place in sorted(
        draws.sample(places, min(len(places), draws.choice((1, 1, 3)))), reverse=True, key=_start
    ):
        content = content[: place.start()] + draws.choice(_NUMBERS) + content[place.end() :]
    return content


def _start(place: re.Match[bytes]) -> int:
    return place.start()


def _change_lines(content: bytes, draws: random.Random) -> bytes:
    """Leave a line out, or repeat it elsewhere."""
    lines = content.splitlines(keepends=True)
    if lines:
        line = lines.pop(draws.randrange(len(lines)))
        if draws.random() < 0.6:
            lines[draws.randrange(len(lines) + 1) : 0] = [line, line]
    return b"".join(lines)


def _change_json(content: bytes, draws: random.Random) -> bytes:
    """Put values of other kinds into some places of a JSON file, leave out entries, or repeat them."""
    try:
        root = json.loads(content)
    except ValueError:
        return _change_bytes(content, draws)
    for _ in range(draws.choice((1, 1, 2, 5))):
        places = list(_places(root))
        if not places:
            break
        inside, key = draws.choice(places)
        deed = draws.random()
        if deed < 0.6:
            inside[key] = draws.choice(_VALUES)
        elif deed < 0.8:
            del inside[key]
        elif isinstance(inside, list):
            inside.append(inside[key])
        else:
            other, other_key = draws.choice(places)
            inside[key] = other[other_key] if other is not inside else None
    try:
        return json.dumps(root).encode()
    except (ValueError, RecursionError):  # a value that lies in itself
        return content


def _places(root: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each list or object of a JSON file with each of its keys."""
    waiting, seen = [root], set()
    while waiting:
        value = waiting.pop()
        if not isinstance(value, dict | list) or id(value) in seen:
            continue
        seen.add(id(value))
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            waiting.append(value[key])


def _packed(folder: Path, archive: Path, draws: random.Random) -> Path:
    """Pack a folder, mostly with an entry or a header that is not as it should be."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(folder))
        if draws.random() < 0.4:
            _add_entry(packed, draws)
    content = archive.read_bytes()
    chance = draws.random()
    if chance < 0.2:
        content = mutated([content], draws.randrange(1 << 30))
    elif chance < 0.4:
        content = _with_other_sizes(content, draws)
    archive.write_bytes(content)
    return archive


def _add_entry(packed: zipfile.ZipFile, draws: random.Random) -> None:
    """Add an entry that leads out of the archive, is a link, is there twice, or unpacks to far more."""
    entry = zipfile.ZipInfo(draws.choice((*_NAMES, *packed.namelist())))
    entry.compress_type = draws.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2))
    if draws.random() < 0.3:
        entry.external_attr = draws.choice((0o120777, 0o060666, 0o010666, 0o040777)) << 16
    content = draws.choice((b"/etc/passwd", b"", b"\x89PNG\r\n", bytes(40 << 20)))
    if len(content) > 99 and entry.compress_type == zipfile.ZIP_STORED:
        content = b"0"
    with warnings.catch_warnings(action="ignore"):  # of names that are there twice
        packed.writestr(entry, content)


def _with_other_sizes(content: bytes, draws: random.Random) -> bytes:
    """Change what an entry of the directory says of sizes, methods and places."""
    places = [found.start() for found in re.finditer(b"PK\x01\x02", content)]
    if not places:  # no entry is left
        return content
    place = draws.choice(places) + draws.choice((8, 10, 16, 20, 24, 28, 30, 38, 42))
    value = draws.choice((0, 1, 8, 12, 255, 1000, 1 << 16, 1 << 31, (1 << 32) - 1))
    changed_bytes = bytearray(content)
    changed_bytes[place : place + 4] = struct.pack("<I", value)
    return bytes(changed_bytes[: len(content)])
