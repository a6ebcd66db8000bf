"""Labels that are exported and imported again are the same, in every format that loses nothing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interchange.projects import (
    Maps,
    class_lists,
    class_set,
    label_maps,
    read_maps,
    send,
    without_label_maps,
    write_project,
)
from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID
from warprefine.datasets import open_dataset
from warprefine.datasets.class_file import read_classes
from warprefine.interchange import EXPORTERS, IMPORTERS
from warprefine.io.images import read_labels
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.import_labels import ImportSettings, import_labels

LOSSLESS = sorted(name for name in EXPORTERS if name in IMPORTERS and EXPORTERS[name].lossless)
FIXED_CLASSES: set[str] = set()
"""Formats whose classes are fixed, so that they cannot hold any class list; they have tests of their own."""


@pytest.mark.parametrize("name", sorted({*LOSSLESS} - FIXED_CLASSES))
@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_any_label_map_and_any_class_list_survive_a_round_trip(name: str, data: st.DataObject) -> None:
    """Void too, and a class whose index is 0; only a map of nothing but void is no label map."""
    classes = class_set(*data.draw(class_lists()))
    labels = data.draw(label_maps(len(classes)))
    maps = {"a video": {"000007": labels, "000010": np.zeros((3, 4), np.uint8)}}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        project = write_project(folder / "project", classes, maps)

        back, _ = send(name, project, folder)

        found = read_maps(back)["a video"]
        wanted = {stem: one for stem, one in maps["a video"].items() if (one != VOID).any()}
        assert found.keys() == wanted.keys()
        for stem, one in wanted.items():
            assert (found[stem] == one).all()


@pytest.mark.parametrize("name", sorted({*LOSSLESS} - FIXED_CLASSES))
@pytest.mark.parametrize("instances", [False, True])
def test_label_maps_of_the_street_come_back_byte_by_byte(
    name: str, instances: bool, tiny_data: Path, tmp_path: Path
) -> None:
    """With a region an instance, or all of a class one."""
    back, report = send(name, tiny_data, tmp_path, settings=ExportSettings(instances=instances))

    labels = sorted(path.relative_to(tiny_data) for path in tiny_data.glob("videos/*/labels/*.png"))
    assert sum(report.labels.values()) == len(labels) > 0
    for path in labels:
        assert (back / path).read_bytes() == (tiny_data / path).read_bytes()


@pytest.mark.parametrize("name", sorted({*LOSSLESS} - FIXED_CLASSES))
def test_an_archive_and_a_new_data_set_have_the_same_labels_by_name(
    name: str, tiny_data: Path, tmp_path: Path
) -> None:
    """The classes of a new data set may have another order."""
    export_labels(name, tiny_data, tmp_path / "export.zip")
    frames = without_label_maps(tiny_data, tmp_path / "frames")
    (frames / "classes.toml").unlink()

    report = import_labels(
        name, tmp_path / "export.zip", tmp_path / "data", settings=ImportSettings(frames=frames)
    )

    truth = _names(read_maps(tiny_data), read_classes(tiny_data / "classes.toml"))
    assert _names(read_maps(tmp_path / "data"), report.classes) == truth


@pytest.mark.parametrize("name", sorted({*LOSSLESS} - FIXED_CLASSES))
def test_label_maps_of_camvid_come_back_byte_by_byte(name: str, shared: Path, tmp_path: Path) -> None:
    """As many as there are, of a real video."""
    camvid = open_dataset(shared / "data" / "camvid", reader="camvid", split="clip15hz")
    (video,) = camvid.videos
    chosen = list(video.labels.items())[::4]
    maps = {"clip": {video.stems[n]: read_labels(path, camvid.classes)[0].numpy() for n, path in chosen}}
    project = write_project(tmp_path / "project", camvid.classes, maps)

    back, _ = send(name, project, tmp_path)

    for stem in maps["clip"]:
        path = f"videos/clip/labels/{stem}.png"
        assert (back / path).read_bytes() == (project / path).read_bytes()


def _names(maps: Maps, classes: ClassSet) -> dict[tuple[str, str], list[list[str]]]:
    """Return the names of the classes of all pixels, "" for void."""
    names = np.array([*classes.names, *[""] * (256 - len(classes))])
    return {
        (video, stem): names[labels].tolist()
        for video, frames in maps.items()
        for stem, labels in frames.items()
    }
