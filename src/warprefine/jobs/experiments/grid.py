"""Choose settings of a student by cross-validation: those with the highest mIoU on the held-out folds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean

from warprefine.core.errors import RecipeError
from warprefine.io.atomic import write_text
from warprefine.recipe.stages import overridden
from warprefine.recipe.student import StudentRecipe
from warprefine.report.result_table import ResultTable, Spread


@dataclass(frozen=True, kw_only=True)
class Point:
    """Settings of a student, by their keys below [student]."""

    values: Mapping[str, float]

    @property
    def name(self) -> str:
        """The settings as a name for files and rows of tables.

        Example:
            >>> Point(values={"optimisation.learning_rate": 5e-4, "optimisation.poly_power": 2.0}).name
            'learning_rate-0.0005-poly_power-2'
        """
        return "-".join(f"{key.rpartition('.')[2]}-{value:g}" for key, value in self.values.items())

    def of(self, student: StudentRecipe) -> StudentRecipe:
        """Return a student's recipe with these settings.

        Raises:
            RecipeError: A key is unknown, or a value out of range.
        """
        try:
            return overridden(student, self.values)
        except ValueError as error:
            raise RecipeError(f"under [grid]: {error}") from error


def points_of(grid: Mapping[str, Sequence[float]]) -> list[Point]:
    """Return all combinations of values, those of the last key changing fastest.

    Example:
        >>> [point.name for point in points_of({"optimisation.learning_rate": [0.1, 0.2]})]
        ['learning_rate-0.1', 'learning_rate-0.2']
    """
    return [Point(values=dict(zip(grid, values, strict=True))) for values in product(*grid.values())]


def best_of(measured: Mapping[str, Sequence[float]]) -> str:
    """Return the name with the highest mean over folds, the first of equal ones.

    Example:
        >>> best_of({"a": [1.0, 3.0], "b": [2.5, 2.5]})
        'b'
    """
    return max(measured, key=lambda name: fmean(measured[name]))


def table_of(measured: Mapping[str, Sequence[float]]) -> ResultTable:
    """Tabulate the mIoU of each point on each fold, and over all folds."""
    folds = len(next(iter(measured.values())))
    return ResultTable(
        title="mIoU (%) of students with other settings on the held-out part of each fold",
        columns=("settings", *(f"fold {fold}" for fold in range(folds)), "all folds"),
        rows=tuple((name, *values, Spread.of(values)) for name, values in measured.items()),
    )


def record(out: Path, point: Point, measured: Mapping[str, Sequence[float]], *, extends: str = "") -> None:
    """Write OUT/chosen.json with all scores, and OUT/chosen.toml, a recipe with the chosen settings.

    Args:
        out: The folder of the experiment.
        point: What was chosen.
        measured: The mIoU of each point on each fold, by name.
        extends: The recipe that the chosen settings change; empty for none.
    """
    content = {"chosen": dict(point.values), "miou": {name: list(one) for name, one in measured.items()}}
    write_text(out / "chosen.json", json.dumps(content, indent=2) + "\n")
    lines = [f"# Settings with the highest mIoU over {len(measured[point.name])} folds.", ""]
    lines += [f"extends = {json.dumps(extends)}"] if extends else []
    lines += [f"student.{key} = {json.dumps(value)}" for key, value in point.values.items()]
    write_text(out / "chosen.toml", "\n".join(lines) + "\n")
