"""Find fonts that have the letters of a text: DejaVu Sans, in which charts are drawn, lacks many scripts."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from warprefine.core.classes import ClassSet
from warprefine.core.errors import shorten

log = logging.getLogger(__name__)
FAMILY = "DejaVu Sans"
_SANS = ("sans", "gothic", "hei")
# The first draws a box in place of every letter, the others hold coloured pictures, which cannot be drawn.
_NO_LETTERS = ("LastResort", "Emoji")


def legible_names(classes: ClassSet) -> dict[str, str]:
    """Return the text that stands for each class in charts: its name, if a font has all of its letters.

    Otherwise it is the number of the class in label files, and a warning is logged, once.

    Example:
        >>> legible_names(ClassSet(names=("road", "Straße"), colors=((1, 2, 3), (4, 5, 6))))
        {'road': 'road', 'Straße': 'Straße'}
    """
    numbers = dict(zip(classes.names, classes.ids, strict=True))
    illegible = [name for name in numbers if any(font_with(letter) is None for letter in _letters(name))]
    if illegible:
        _warn(tuple(illegible))
    return {name: f"class {number}" if name in illegible else name for name, number in numbers.items()}


def font_file(text: str, *, bold: bool = False) -> Path:
    """Return the font to draw a text in: that of matplotlib, unless another one has more of its letters."""
    own = _own_font(bold=bold)
    lacking = [letter for letter in _letters(text) if ord(letter) not in _charmap(own)]
    others = [font for letter in lacking if (font := font_with(letter)) is not None]
    if not others:
        return own
    return max(others, key=lambda font: sum(ord(letter) in _charmap(font) for letter in text))


def font_with(letter: str) -> Path | None:
    """Return a font that has a letter: matplotlib's own, else an installed one; None if there is none."""
    return next((font for font in _fonts() if ord(letter) in _charmap(font)), None)


def choose_fonts(figure: Figure) -> None:
    """Set further fonts for those texts of a figure whose letters matplotlib's own font lacks."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        others = [font_with(letter) for letter in _letters(text.get_text())]
        families = [FAMILY, *(_family(font) for font in others if font is not None)]
        if set(families) != {FAMILY}:
            text.set_fontfamily(list(dict.fromkeys(families)))


@cache
def _own_font(*, bold: bool = False) -> Path:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name


@cache
def _fonts() -> tuple[Path, ...]:
    """Return matplotlib's own font, then all installed ones: upright ones without serifs first."""
    found = {Path(entry.fname): entry for entry in font_manager.fontManager.ttflist}
    others = sorted(
        (path for path in found if not any(word in path.name for word in _NO_LETTERS)),
        key=lambda path: (
            found[path].style != "normal",
            not any(word in found[path].name.lower() for word in _SANS),
            str(found[path].weight) not in ("400", "normal", "regular"),
            path.name,
        ),
    )
    return (_own_font(), *others)


@lru_cache(maxsize=512)
def _charmap(font: Path) -> frozenset[int]:
    try:
        return frozenset(FT2Font(str(font)).get_charmap())
    except (OSError, RuntimeError):  # a font that was removed, or is damaged
        return frozenset()


@cache
def _family(font: Path) -> str:
    return str(FT2Font(str(font)).family_name)


def _letters(text: str) -> Iterable[str]:
    """Return the letters that need a font; joiners and variation marks have no shape of their own."""
    return [letter for letter in text if not (letter.isspace() or letter in "\u200c\u200d\ufe0e\ufe0f")]


@cache
def _warn(names: tuple[str, ...]) -> None:
    log.warning(
        "no installed font has all letters of the class names %s: charts show the numbers of these classes; "
        "install a font that has the letters, such as Noto Sans CJK",
        shorten(names),
    )
