"""Data of the report's frame viewer: a few frames per clip, each with every layer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from PIL import Image
from torch.nn.functional import avg_pool2d

from warprefine.core.classes import ClassSet
from warprefine.core.parallel import map_in_order, thread_count
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.metrics.scores import in_order, leading
from warprefine.report import embed, paint
from warprefine.report.gallery import View


def viewer_data(
    clips: Sequence[tuple[str, Sequence[View]]], classes: ClassSet, *, methods: Sequence[str]
) -> str:
    """Return the input of `static/viewer.js` as JSON that is safe inside a script element.

    Pictures are data URIs, label maps and errors with exact pixels. `right` is the pixel accuracy in
    percent, on pixels whose truth is a class.
    """
    data = {
        "methods": in_order(methods),
        "leading": leading(methods) if methods else None,
        "classes": [
            {"name": name, "color": list(color)}
            for name, color in zip(classes.names, classes.colors, strict=True)
        ],
        "clips": [
            {
                "name": name,
                "frames": [*map_in_order(partial(_frame, classes), views, threads=thread_count())],
            }
            for name, views in clips
        ],
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _frame(classes: ClassSet, view: View) -> dict[str, Any]:
    labels = dict(view.predictions) if view.truth is None else {"truth": view.truth, **view.predictions}
    truth = view.truth
    return {
        "stem": view.stem,
        "number": view.number,
        "distance": view.distance,
        "stages": dict(view.stages),
        "image": embed.photo(Image.fromarray(paint.paint_frame(view.frame))),
        "labels": {name: embed.label_layer(map_, classes) for name, map_ in labels.items()},
        "errors": {}
        if truth is None
        else {method: embed.error_layer(map_, truth) for method, map_ in view.predictions.items()},
        "confidence": {
            method: embed.photo(Image.fromarray(paint.paint_confidence(avg_pool2d(values, 2))))
            for method, values in view.confidences.items()
        },
        "right": {}
        if truth is None
        else {m: _percent_right(map_, truth) for m, map_ in view.predictions.items()},
    }


def _percent_right(prediction: LabelMaps, truth: LabelMaps) -> float | None:
    valid = truth != VOID
    return round(100 * float((prediction == truth)[valid].float().mean()), 1) if bool(valid.any()) else None
