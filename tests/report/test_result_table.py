"""Check the one table of experiments: what is printed, what is best, and that nothing is lost in files."""

from __future__ import annotations

import csv
import io
import json

import pytest

from warprefine.report.result_table import ResultTable, Spread, to_csv, to_markdown, to_text, write_table


@pytest.fixture
def table() -> ResultTable:
    """The paper's way to show students: mean and deviation over seeds."""
    return ResultTable(
        title="Student mIoU (%)",
        columns=("labels", "mIoU", "seconds", "runs", "note"),
        rows=(
            ("motion-only", Spread(mean=83.014, deviation=0.2, count=3), 1.5, 3, None),
            ("warp-refine", Spread(mean=84.0712, deviation=0.081, count=3), 9.25, 3, "a|b"),
            ("oracle", Spread(mean=85.0, deviation=None, count=1), None, 1, None),
        ),
    )


def test_a_spread_has_the_sample_standard_deviation():
    """Three seeds: the squares are divided by two, as in the paper; one seed says nothing of spread."""
    assert Spread.of([1.0, 2.0, 3.0]) == Spread(mean=2.0, deviation=1.0, count=3)
    assert Spread.of([4.5]) == Spread(mean=4.5, deviation=None, count=1)
    with pytest.raises(ValueError, match="no spread of no values"):
        Spread.of([])


def test_the_best_of_each_column_is_bold(table):
    """What does not compete is not bold: rows such as the oracle, columns such as the time."""
    lines = to_markdown(table, unranked=["oracle", "seconds"]).splitlines()

    assert lines == [
        "**Student mIoU (%)**",
        "",
        "| labels | mIoU | seconds | runs | note |",
        "| --- | ---: | ---: | ---: | --- |",
        "| motion-only | 83.01 ± 0.20 | 1.50 | **3** | – |",
        "| warp-refine | **84.07 ± 0.08** | 9.25 | **3** | a\\|b |",
        "| oracle | 85.00 | – | 1 | – |",
    ]


def test_what_looks_equal_is_equally_good():
    """The third decimal decides nothing where two are printed, and a lone number beats nobody."""
    rows = (("a", 1.001, 5.0), ("b", 1.002, None), ("c", 0.5, None))
    table = ResultTable(title="t", columns=("x", "y", "z"), rows=rows)

    assert to_markdown(table).count("**1.00**") == 2
    assert "**5.00**" not in to_markdown(table)
    assert to_markdown(table, decimals=3).count("**1.00") == 1


def test_a_terminal_shows_digits_below_digits(table):
    """The star of the best hangs beyond the last digit."""
    assert to_text(table, unranked=["oracle", "seconds", "runs"]).splitlines() == [
        "Student mIoU (%)",
        "",
        "labels              mIoU  seconds  runs  note",
        "motion-only 83.01 ± 0.20     1.50     3  –",
        "warp-refine 84.07 ± 0.08*    9.25     3  a|b",
        "oracle             85.00        –     1  –",
    ]


def test_a_wide_table_is_broken_and_never_wider_than_a_terminal():
    """Columns that do not fit follow below, beside the names of the rows again, and none is lost."""
    columns = ("class", *(f"k = {k}" for k in range(1, 31)))
    rows = tuple((name, *(float(k) for k in range(1, 31))) for name in ("car", "a very long name " * 9))

    lines = to_text(ResultTable(title="t", columns=columns, rows=rows)).splitlines()

    assert max(map(len, lines)) <= 100
    heads = [line for line in lines if line.startswith("class")]
    assert len(heads) > 1
    assert " ".join(heads).replace("class", "").split() == " ".join(columns[1:]).split()
    assert sum(line.startswith("a very long name") and "…" in line for line in lines) == len(heads)


def test_csv_has_every_digit_and_a_column_for_each_part_of_a_spread(table):
    """A spreadsheet can compute with it; empty where nothing was measured."""
    (first, *_, last) = csv.DictReader(io.StringIO(to_csv(table)))

    assert first == {
        "labels": "motion-only",
        "mIoU": "83.014",
        "mIoU deviation": "0.2",
        "mIoU count": "3",
        "seconds": "1.5",
        "runs": "3",
        "note": "",
    }
    assert (last["mIoU deviation"], last["mIoU count"], last["seconds"]) == ("", "1", "")


def test_names_are_no_formulas_in_csv():
    """Neither in cells nor in titles; numbers stay numbers, whatever their sign."""
    table = ResultTable(title="t", columns=("x", "=1+1"), rows=(("-a", -1.5), ("\t=b", 2)))

    assert to_csv(table).splitlines() == ["x,'=1+1", "'-a,-1.5", "'\t=b,2"]


def test_a_spread_that_is_missing_leaves_its_columns_empty():
    """The columns of a line do not move."""
    rows = (("a", Spread(mean=1.0, deviation=0.5, count=2), 7.0), ("b", None, 8.0))
    table = ResultTable(title="t", columns=("x", "y", "z"), rows=rows)

    assert to_csv(table).splitlines()[1:] == ["a,1.0,0.5,2,7.0", "b,,,,8.0"]


def test_a_table_is_written_as_three_files(table, tmp_path):
    """Three files: for a page, a spreadsheet and a program."""
    write_table(tmp_path / "tables", "students", table, unranked=["oracle"])

    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == [
        "students.csv",
        "students.json",
        "students.md",
    ]
    assert json.loads((tmp_path / "tables" / "students.json").read_text("utf-8")) == {
        "title": "Student mIoU (%)",
        "columns": ["labels", "mIoU", "seconds", "runs", "note"],
        "rows": [
            ["motion-only", {"mean": 83.014, "deviation": 0.2, "count": 3}, 1.5, 3, None],
            ["warp-refine", {"mean": 84.0712, "deviation": 0.081, "count": 3}, 9.25, 3, "a|b"],
            ["oracle", {"mean": 85.0, "deviation": None, "count": 1}, None, 1, None],
        ],
    }
    assert (tmp_path / "tables" / "students.md").read_text("utf-8") == to_markdown(table, unranked=["oracle"])
    assert (tmp_path / "tables" / "students.csv").read_text("utf-8") == to_csv(table)


def test_a_row_of_another_length_is_our_own_mistake():
    """A table has as many cells in each row as it has columns."""
    with pytest.raises(ValueError, match="a row of 1 cells in a table of 2 columns"):
        ResultTable(title="t", columns=("a", "b"), rows=(("x",),))
