"""The results of an experiment: tables, charts, pictures, and one page with all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from warprefine.io.atomic import write_bytes, write_text
from warprefine.report.chart import ChartKind
from warprefine.report.embed import png
from warprefine.report.result_table import ResultTable, Spread, to_markdown, write_table

Chart = Callable[[ChartKind], bytes]
"""Draws a chart as PNG or SVG."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The results of an experiment, by file name.

    `unranked` names rows and columns of tables that have no best, such as the oracle; `remarks` are
    sentences below the tables.
    """

    tables: Mapping[str, ResultTable] = field(default_factory=dict)
    charts: Mapping[str, Chart] = field(default_factory=dict)
    pictures: Mapping[str, Image.Image] = field(default_factory=dict)
    unranked: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()


def spread_of(values: Sequence[float | None]) -> Spread | None:
    """Return the spread of those values that were measured; None without any."""
    measured = [value for value in values if value is not None]
    return Spread.of(measured) if measured else None


def write_findings(out: Path, findings: Findings, *, title: str) -> Path:
    """Write tables (Markdown, CSV, JSON), charts (PNG, SVG) and pictures; return the page."""
    for name, table in findings.tables.items():
        write_table(out / "tables", name, table, unranked=findings.unranked)
    for name, chart in findings.charts.items():
        write_bytes(out / "figures" / f"{name}.png", chart("png"))
        write_bytes(out / "figures" / f"{name}.svg", chart("svg"))
    for name, picture in findings.pictures.items():
        write_bytes(out / "figures" / f"{name}.png", png(picture))
    page = out / "results.md"
    blocks = [f"# {title}"]
    blocks += [to_markdown(table, unranked=findings.unranked) for table in findings.tables.values()]
    blocks += findings.remarks
    blocks += [f"![{name}](figures/{name}.png)" for name in (*findings.charts, *findings.pictures)]
    blocks.append("How it was made: [recipe.toml](recipe.toml).")
    write_text(page, "\n\n".join(block.rstrip() for block in blocks) + "\n")
    return page
