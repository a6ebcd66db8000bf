"""Table of experiment results, with Markdown, plain-text, CSV and JSON output."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from warprefine.core.names import inert
from warprefine.io.atomic import write_text

_TERMINAL_WIDTH = 100


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and standard deviation of repeated measurements.

    `deviation` is the sample standard deviation (divided by count - 1), which the paper reports; None
    for a single value.

    Example:
        >>> Spread.of([1.0, 2.0, 3.0])
        Spread(mean=2.0, deviation=1.0, count=3)
    """

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Compute the spread of at least one value."""
        if not values:
            raise ValueError("there is no spread of no values; give at least one")
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(mean=statistics.fmean(values), deviation=deviation, count=len(values))


Cell: TypeAlias = str | int | float | Spread | None
"""Text, a count, a measured number, one with its spread, or None where nothing was measured."""


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """Rows of cells under named columns; the first column holds the names of the rows.

    Example:
        >>> rows = (("motion-only", 72.57), ("warp-refine", 73.74))
        >>> table = ResultTable(title="mIoU (%)", columns=("labels", "mIoU"), rows=rows)
        >>> print(to_text(table), end="")
        mIoU (%)
        <BLANKLINE>
        labels       mIoU
        motion-only 72.57
        warp-refine 73.74*
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"a row of {len(row)} cells in a table of {len(self.columns)} columns: {row}"
                )


def to_markdown(table: ResultTable, *, decimals: int = 2, unranked: Collection[str] = ()) -> str:
    """Format a table as Markdown; the best number of each column is bold.

    The best is the highest value as printed, so values that print equal are all bold.

    Args:
        unranked: Names of columns without a best value, and of rows excluded from the comparison.

    Example:
        >>> rows = (("motion-only", 72.57), ("warp-refine", 73.74))
        >>> table = ResultTable(title="mIoU (%)", columns=("labels", "mIoU"), rows=rows)
        >>> to_markdown(table).splitlines()[-1]
        '| warp-refine | **73.74** |'
    """
    marks = _marked(table, decimals=decimals, unranked=unranked, before="**", after="**")
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (list(table.columns), *marks)]
    numeric = _numeric_columns(table)
    rule = ["---:" if i in numeric else "---" for i in range(len(table.columns))]
    lines = [f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:])]
    return "\n".join([f"**{table.title}**", "", *lines]) + "\n"


def to_text(table: ResultTable, *, decimals: int = 2, unranked: Collection[str] = ()) -> str:
    """Format a table as plain text, at most 100 characters wide; the best number of each column has a star.

    Columns that do not fit follow in a further block below, beside the names of the rows again.

    Args:
        unranked: As for `to_markdown`.

    Example:
        >>> table = ResultTable(title="mIoU (%)", columns=("labels", "mIoU"), rows=(("oracle", 75.361),))
        >>> to_text(table, decimals=1).splitlines()
        ['mIoU (%)', '', 'labels mIoU', 'oracle 75.4']
    """
    marks = _marked(table, decimals=decimals, unranked=unranked, before="", after="*")
    numeric = _numeric_columns(table)
    lines = [list(table.columns), *marks]
    # A star hangs beyond the last digit, so that digits stand below digits.
    lines = [
        [f"{cell} " if i in numeric and not cell.endswith("*") else cell for i, cell in enumerate(line)]
        for line in lines
    ]
    widths = [min(max(map(len, column)), _TERMINAL_WIDTH // 2 - 1) for column in zip(*lines, strict=True)]
    blocks = [
        "\n".join(
            " ".join(_fit(line[i], widths[i], right=i in numeric) for i in block).rstrip() for line in lines
        )
        for block in _blocks(widths)
    ]
    return "\n\n".join([table.title, *blocks]) + "\n"


def to_csv(table: ResultTable) -> str:
    """Format a table as CSV with all digits; a column of spreads becomes three: mean, deviation and count.

    Example:
        >>> rows = (("oracle", Spread(mean=75.36, deviation=0.2, count=3)),)
        >>> to_csv(ResultTable(title="mIoU (%)", columns=("labels", "mIoU"), rows=rows)).splitlines()
        ['labels,mIoU,mIoU deviation,mIoU count', 'oracle,75.36,0.2,3']
    """
    spreads = {i for i in range(len(table.columns)) if any(isinstance(row[i], Spread) for row in table.rows)}
    content = io.StringIO()
    lines = csv.writer(content, lineterminator="\n")
    head = (
        [name, f"{name} deviation", f"{name} count"] if i in spreads else [name]
        for i, name in enumerate(table.columns)
    )
    lines.writerow([inert(name) for names in head for name in names])
    for row in table.rows:
        values = (_spread_out(cell) if i in spreads else [cell] for i, cell in enumerate(row))
        flat = (value for several in values for value in several)
        lines.writerow([inert(value) if isinstance(value, str) else value for value in flat])
    return content.getvalue()


def to_json(table: ResultTable) -> str:
    """Format a table as JSON with all digits; a spread is an object, an unmeasured value null."""
    rows = [[asdict(cell) if isinstance(cell, Spread) else cell for cell in row] for row in table.rows]
    content = {"title": table.title, "columns": table.columns, "rows": rows}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_table(folder: Path, name: str, table: ResultTable, *, unranked: Collection[str] = ()) -> None:
    """Write a table as name.md, name.csv and name.json.

    Args:
        unranked: As for `to_markdown`.
    """
    write_text(folder / f"{name}.md", to_markdown(table, unranked=unranked))
    write_text(folder / f"{name}.csv", to_csv(table))
    write_text(folder / f"{name}.json", to_json(table))


def _printed(cell: Cell, decimals: int) -> str:
    match cell:
        case None:
            return "–"
        case str() | int():
            return str(cell)
        case Spread(mean=mean, deviation=None):
            return f"{mean:.{decimals}f}"
        case Spread(mean=mean, deviation=deviation):
            return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"
        case _:
            return f"{cell:.{decimals}f}"


def _value(cell: Cell) -> float | None:
    """Return the number by which a cell is ranked."""
    if isinstance(cell, Spread):
        return cell.mean
    return None if cell is None or isinstance(cell, str) else float(cell)


def _numeric_columns(table: ResultTable) -> set[int]:
    return {i for i in range(1, len(table.columns)) if any(_value(row[i]) is not None for row in table.rows)}


def _marked(
    table: ResultTable, *, decimals: int, unranked: Collection[str], before: str, after: str
) -> list[list[str]]:
    """Print every cell, the best of each column between two marks; a lone number is not marked."""
    printed = [[_printed(cell, decimals) for cell in row] for row in table.rows]
    for i in _numeric_columns(table):
        if table.columns[i] in unranked:
            continue
        values = {
            j: round(value, decimals)
            for j, row in enumerate(table.rows)
            if (value := _value(row[i])) is not None and row[0] not in unranked
        }
        for j, value in values.items():
            if len(values) > 1 and value == max(values.values()):
                printed[j][i] = f"{before}{printed[j][i]}{after}"
    return printed


def _blocks(widths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the columns of each block, the first one in every block."""
    block, used = [0], widths[0]
    for i, width in enumerate(widths[1:], start=1):
        if len(block) > 1 and used + 1 + width > _TERMINAL_WIDTH:
            yield block
            block, used = [0], widths[0]
        block.append(i)
        used += 1 + width
    yield block


def _fit(cell: str, width: int, *, right: bool) -> str:
    shown = cell if len(cell) <= width else f"{cell[: width - 1]}…"
    return shown.rjust(width) if right else shown.ljust(width)


def _spread_out(cell: Cell) -> list[object]:
    if isinstance(cell, Spread):
        return [cell.mean, cell.deviation, cell.count]
    return [cell, None, None]
