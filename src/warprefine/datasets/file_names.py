"""Order frames by their names, and match the names of label maps with those of frames."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

_DECIMAL = re.compile(r"(?<!\d)(\d+)\.(\d+)(?!.*\d\.\d)")
# 000003_mask beside 000003: the name of a frame, and words behind it.
_WITH_TAIL = re.compile(r"(.*\d)[_\-. ]\D*")
# mask_000003 beside 000003: words in front of it.
_WITH_HEAD = re.compile(r"\D+[_\-. ](.*\d)")


def natural_order(path: Path) -> tuple[list[str | int], str]:
    """Return a sort key by the numbers in a name: frame 9 comes before frame 10, with or without padding.

    Example:
        >>> [path.name for path in sorted([Path("10.png"), Path("9.png")], key=natural_order)]
        ['9.png', '10.png']
    """
    parts = re.split(r"(\d+)", path.stem)
    numbered: list[str | int] = [int(part) if part.isdecimal() else part for part in parts]
    return numbered, path.name


def in_order(frames: Iterable[Path]) -> list[Path]:
    """Sort the frames of a video by the numbers in their names, times such as 100.05 by their value.

    Example:
        >>> [path.stem for path in in_order(map(Path, ["7.1.png", "7.05.png", "7.0.png"]))]
        ['7.0', '7.05', '7.1']
    """
    ordered = sorted(frames, key=natural_order)
    stems = [path.stem for path in ordered]
    if not _are_times(stems):
        return ordered
    return sorted(ordered, key=lambda path: (natural_order(_around(path)), _time(path.stem)))


def order_doubt(frames: Sequence[Path]) -> str | None:
    """Return why the order of frames is not certain: names of several kinds, or decimals in uneven steps.

    Example:
        >>> order_doubt([Path("a_1.png"), Path("a_2.png"), Path("b_1.png")])
        'names of 2 kinds, such as a_1 and b_1'
    """
    stems = [path.stem for path in frames]
    kinds: dict[str, str] = {}
    for stem in stems:
        kinds.setdefault(re.sub(r"\d+", "#", stem), stem)
    if len(kinds) > 1:
        first, second, *_ = kinds.values()
        return f"names of {len(kinds)} kinds, such as {first} and {second}"
    if _vary_in_digits(stems) and _even_times(stems) == _even_counts(stems):
        return f"numbers behind the point differ in length, from {stems[0]} to {stems[-1]}"
    return None


def twins(frames: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return pictures whose name is that of another one and words behind it, or in front of it.

    Such are 3.jpg and 3_mask.png, or mask_3.png.

    Example:
        >>> [(a.name, b.name) for a, b in twins([Path("3.jpg"), Path("3_mask.png"), Path("4.jpg")])]
        [('3.jpg', '3_mask.png')]
    """
    by_stem = {path.stem: path for path in frames}
    matches = ((path, form.fullmatch(path.stem)) for path in frames for form in (_WITH_TAIL, _WITH_HEAD))
    return [(by_stem[match[1]], path) for path, match in matches if match and match[1] in by_stem]


class FrameNames:
    """The names of a video's frames, to find the frame that a label map is named after.

    Names match in any Unicode form and, where that leaves one frame, with other padding and letter case.

    Example:
        >>> FrameNames(["000000", "000001"]).number("001")
        1
    """

    def __init__(self, stems: Sequence[str]) -> None:
        self._stems = stems
        self._exact: dict[str, int] = {normal_form(stem): number for number, stem in enumerate(stems)}
        self._loose: dict[str, list[int]] = defaultdict(list)
        for number, stem in enumerate(stems):
            self._loose[_loosely(stem)].append(number)

    def number(self, name: str) -> int | None:
        """Return the number of the frame that has a name; None if there is none, or more than one."""
        exact = self._exact.get(normal_form(name))
        alike = self._loose.get(_loosely(name), [])
        return alike[0] if exact is None and len(alike) == 1 else exact

    def nearest(self, name: str) -> list[str]:
        """Return the names of up to three frames that may be meant, those of the same number first."""
        last = re.findall(r"\d+", name)[-1:]
        same = [s for s in self._stems if last and [*map(int, re.findall(r"\d+", s)[-1:])] == [int(last[0])]]
        return list(dict.fromkeys([*same[:3], *get_close_matches(name, self._stems, n=3, cutoff=0.0)]))[:3]


def normal_form(name: str) -> str:
    """Return a name in Unicode's form NFC: macOS writes é as two characters, other systems as one."""
    return unicodedata.normalize("NFC", name)


def readable(name: str) -> str:
    r"""Return a name that can be written as UTF-8, with other bytes as \xNN.

    Example:
        >>> readable("stra\udcdfe")
        'stra\\xdfe'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _loosely(name: str) -> str:
    # Zeros behind a point belong to the value: 7.5 is not 7.05.
    return re.sub(r"(?<![\d.])0+(?=\d)", "", normal_form(name)).casefold()


def _are_times(stems: Sequence[str]) -> bool:
    """Return whether names are decimal numbers of differing length, not numbers of two parts (1.9, 1.10)."""
    if not _vary_in_digits(stems):
        return False
    padded = any(len(digits) > 1 and digits.endswith("0") for digits in _behind_the_point(stems))
    return not padded and not _even_counts(stems)


def _vary_in_digits(stems: Sequence[str]) -> bool:
    digits = _behind_the_point(stems)
    return len(digits) == len(stems) and len({len(one) for one in digits}) > 1


def _behind_the_point(stems: Sequence[str]) -> list[str]:
    return [match[2] for stem in stems if (match := _DECIMAL.search(stem))]


def _time(stem: str) -> Decimal:
    match = _DECIMAL.search(stem)
    return Decimal(match[0]) if match else Decimal(0)


def _around(path: Path) -> Path:
    """Return a name without its decimal number."""
    return path.with_name(_DECIMAL.sub("", path.stem) + path.suffix)


def _even_times(stems: Sequence[str]) -> bool:
    """Return whether names, read as times, follow one another in equal steps, but for rounding."""
    times = sorted(map(_time, stems))
    steps = [b - a for a, b in pairwise(times)]
    rounding = Decimal(10) ** -max(map(len, _behind_the_point(stems)))
    return max(steps) - min(steps) <= 2 * rounding


def _even_counts(stems: Sequence[str]) -> bool:
    """Return whether names, read as numbers of two parts, count the second part in equal steps, 3 or more."""
    counts: dict[str, list[int]] = defaultdict(list)
    for stem, digits in zip(stems, _behind_the_point(stems), strict=True):
        counts[_DECIMAL.sub(r"\1", stem)].append(int(digits))
    even = all(len({b - a for a, b in pairwise(sorted(of_one))}) <= 1 for of_one in counts.values())
    return even and max(map(len, counts.values())) > 2
