"""Check what the viewer in the report is given."""

from __future__ import annotations

import json

import pytest

from warprefine.report.gallery import read_views
from warprefine.report.viewer import viewer_data


@pytest.fixture
def views(run, dataset, world):
    return read_views(run, dataset, dataset.videos[0], frames=[2, 4, 5], methods=world.methods, most_w=100)


def test_every_frame_comes_with_every_layer(views, world):
    """Labels of each method, where they are wrong, and how sure they are."""
    data = json.loads(viewer_data([("near", views)], world.classes, methods=world.methods[::-1]))

    assert (data["methods"], data["leading"]) == (["motion-only", "warp-refine"], "warp-refine")
    assert data["classes"][1] == {"name": "car", "color": [0, 0, 142]}
    (clip,) = data["clips"]
    key, labelled, without_truth = clip["frames"]
    assert (clip["name"], labelled["stem"], labelled["number"], labelled["distance"]) == ("near", "004", 4, 2)
    assert (list(key["labels"]), key["errors"], key["right"]) == (["truth"], {}, {})
    assert list(labelled["labels"]) == ["truth", "motion-only", "warp-refine"]
    assert list(labelled["errors"]) == ["motion-only", "warp-refine"]
    assert list(labelled["confidence"]) == ["warp-refine"]
    assert list(without_truth["labels"]) == ["motion-only", "warp-refine"]
    assert without_truth["errors"] == {}
    assert all(frame["image"].startswith("data:image/webp;base64,") for frame in clip["frames"])


def test_the_share_of_right_pixels_ignores_void_truth(views, world):
    """Motion-only calls two columns of car road, below the border; the void corner does not count."""
    frame = json.loads(viewer_data([("near", views)], world.classes, methods=world.methods))["clips"][0][
        "frames"
    ][1]

    wrong, known = 2 * (world.h - 6), world.h * world.w - 2 * 5
    assert frame["right"] == {"motion-only": round(100 * (1 - wrong / known), 1), "warp-refine": 100.0}


def test_names_cannot_end_the_script(views, world):
    """A video called </script> stays a name."""
    data = viewer_data([("</script><b>", views)], world.classes, methods=world.methods)

    assert "<" not in data
    assert json.loads(data)["clips"][0]["name"] == "</script><b>"
