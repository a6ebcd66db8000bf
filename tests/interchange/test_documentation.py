"""The table of formats in docs/interchange.md is what the formats say of themselves."""

from __future__ import annotations

import os
from pathlib import Path

from warprefine.interchange import EXPORTERS, IMPORTERS

PAGE = Path(__file__).parent.parent.parent / "docs" / "interchange.md"
BEGIN, END = "<!-- formats -->\n", "<!-- end of formats -->\n"


def table() -> str:
    """Return the table: each format, in and out, what it keeps, what it loses, and if it comes back the "
    "same.
    """
    lines = ["| format | | what it is | keeps | loses |", "|---|---|---|---|---|"]
    for name in sorted({*IMPORTERS, *EXPORTERS}):
        for way, one in (("in", IMPORTERS.get(name)), ("out", EXPORTERS.get(name))):
            if one is not None:
                lines.append(f"| `{name}` | {way} | {one.about} | {one.keeps} | {one.loses} |")
    same = ", ".join(f"`{name}`" for name in sorted(EXPORTERS) if EXPORTERS[name].lossless)
    return "\n".join([*lines, "", f"Labels and void come back the same, byte by byte, through {same}.", ""])


def test_the_table_of_formats_is_what_they_say_of_themselves() -> None:
    """WARPREFINE_WRITE_DOCS=1 writes it."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    old, _, after = rest.partition(END)
    if os.environ.get("WARPREFINE_WRITE_DOCS"):
        PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}", encoding="utf-8")

    assert old == table()
