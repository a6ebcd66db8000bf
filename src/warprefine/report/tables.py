"""Scores, facts and class colours as HTML tables and lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from warprefine.core.classes import VOID_COLOR, ClassSet, Color
from warprefine.metrics.confidences import ConfidenceStatistics
from warprefine.metrics.scores import GroupScores, MethodScores, best, format_percent, leading, spread
from warprefine.report.chart import method_color
from warprefine.report.fonts import legible_names

_MOST_DISTANCES = 10


def distance_table(
    by_distance: Mapping[str, Sequence[float | None]], means: Mapping[str, float | None], *, mark_best: bool
) -> str:
    """Return a row per method, a column per distance, the mean last; `mark_best` sets the best in bold."""
    horizon = max(len(values) for values in by_distance.values())
    columns = {
        f"k = {k}": {method: values[k - 1] for method, values in by_distance.items()}
        for k in spread(horizon, most=_MOST_DISTANCES)
    }
    return _method_rows({**columns, "mean": means}, mark_best=mark_best, total="mean")


def totals_table(scores: Mapping[str, MethodScores]) -> str:
    """Return the scores of each method over all distances, the best of each in bold.

    A score that no method has, such as the mIoU of categories where classes have none, is left out.
    """
    columns = {
        "mIoU": {m: s.miou for m, s in scores.items()},
        "category mIoU": {m: s.category_miou for m, s in scores.items()},
        "boundary F": {m: s.boundary_f for m, s in scores.items()},
        "pixel accuracy": {m: s.pixel_accuracy for m, s in scores.items()},
        "mean accuracy": {m: s.mean_accuracy for m, s in scores.items()},
        "frequency-weighted IoU": {m: s.frequency_weighted_iou for m, s in scores.items()},
        "IoU of Ignore (void)": {m: s.ignore_iou for m, s in scores.items()},
        "pixels labelled": {m: s.coverage for m, s in scores.items()},
        "consistency": {m: s.consistency for m, s in scores.items()},
    }
    measured = {title: values for title, values in columns.items() if {*values.values()} != {None}}
    return _method_rows(measured, mark_best=True, kind="totals")


def class_table(scores: Mapping[str, GroupScores], classes: ClassSet) -> str:
    """Return the IoU of each class over all distances, a column per method, each value with a bar."""
    shown = _class_names(classes)
    rows = [
        _class_row(f"{swatch(color)}{shown[name]}", {m: s.iou_by_class[name] for m, s in scores.items()})
        for name, color in zip(classes.names, classes.colors, strict=True)
    ]
    ignored = {m: s.ignore_iou for m, s in scores.items()}
    rows.append(_class_row(f"{swatch(VOID_COLOR)}Ignore (void)", ignored, total=True))
    head = "".join(f'<th scope="col">{escape(method)}</th>' for method in scores)
    return _table(f'<th scope="col">class</th>{head}', rows, kind="classes")


def facts_list(facts: Mapping[str, str]) -> str:
    """Return names and values as a description list."""
    entries = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{''.join(entries)}</dl>"


def confidence_table(
    measured: Mapping[str, ConfidenceStatistics], classes: ClassSet, *, by_hand: Mapping[str, float]
) -> str:
    """Return the mean confidence of each class, a column per method, and how often it occurs.

    Args:
        measured: By method.
        by_hand: The share of each class in the key labels, in percent.
    """
    chosen, shown = measured[leading(measured)], _class_names(classes)
    rows = []
    for name, color in zip(classes.names, classes.colors, strict=True):
        values = {method: of_method.by_class[name] for method, of_method in measured.items()}
        label = f"{swatch(color)}{shown[name]}"
        shares = "".join(f"<td>{value:.2f}</td>" for value in (by_hand[name], chosen.shares[name]))
        rows.append(f'<tr><th scope="row">{label}</th>{_bars(values, marked=False)}{shares}</tr>')
    means = {method: of_method.mean_of_classes for method, of_method in measured.items()}
    rows.append(
        f'<tr class="total"><th scope="row">mean of the classes</th>{_bars(means, marked=False)}'
        "<td></td><td></td></tr>"
    )
    heads = [*measured, "share by hand", f"share in {leading(measured)}"]
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    return _table(f'<th scope="col">class</th>{head}', rows, kind="classes")


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of texts; the first column names the rows."""
    first, *others = (f'<th scope="col">{escape(text)}</th>' for text in head)
    lines = []
    for name, *cells in rows:
        values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{values}</tr>')
    return _table(f"{first}{''.join(others)}", lines)


def legend(classes: ClassSet) -> str:
    """Return the names of the classes beside their colours, and VOID, which the viewer leaves clear."""
    shown = _class_names(classes)
    entries = (
        f"<li>{swatch(color)}{shown[name]}</li>"
        for name, color in zip(classes.names, classes.colors, strict=True)
    )
    void = '<li><span class="swatch clear"></span>void (no class)</li>'
    return f'<ul class="legend">{"".join(entries)}{void}</ul>'


def _class_names(classes: ClassSet) -> dict[str, str]:
    """Return each name as HTML, with what stands for it in charts where no font can draw it."""
    drawn = legible_names(classes)
    return {
        name: escape(name if text == name else f"{name} ({text} in charts)") for name, text in drawn.items()
    }


def swatch(color: Color) -> str:
    """Return a small square of a colour."""
    return f'<span class="swatch" style="background:#{bytes(color).hex()}"></span>'


def _method_rows(
    columns: Mapping[str, Mapping[str, float | None]], *, mark_best: bool, total: str = "", kind: str = ""
) -> str:
    winners = {title: best(values) if mark_best else set() for title, values in columns.items()}
    kinds = {title: " total" if title == total else "" for title in columns}
    methods = list(next(iter(columns.values())))
    head = "".join(f'<th scope="col" class="{kinds[title]}">{escape(title)}</th>' for title in columns)
    rows = []
    for method in methods:
        cells = "".join(
            f'<td class="{"best" if method in winners[title] else ""}{kinds[title]}">'
            f"{format_percent(values[method])}</td>"
            for title, values in columns.items()
        )
        color = bytes.fromhex(method_color(method, methods)[1:])
        label = f"{swatch((color[0], color[1], color[2]))}{escape(method)}"
        rows.append(f'<tr><th scope="row">{label}</th>{cells}</tr>')
    return _table(f'<th scope="col">method</th>{head}', rows, kind=kind)


def _class_row(label: str, values: Mapping[str, float | None], *, total: bool = False) -> str:
    return f'<tr class="{"total" if total else ""}"><th scope="row">{label}</th>{_bars(values)}</tr>'


def _bars(values: Mapping[str, float | None], *, marked: bool = True) -> str:
    """Return a cell with a bar for each method; the best is bold if `marked`."""
    winners = best(values) if marked else set()
    return "".join(
        f'<td class="{"best" if method in winners else ""}">{format_percent(value)}'
        f'<span class="bar" style="--share:{value or 0:.1f};--color:{method_color(method, list(values))}">'
        "</span></td>"
        for method, value in values.items()
    )


def _table(head: str, rows: Sequence[str], *, kind: str = "") -> str:
    return (
        f'<div class="table"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
