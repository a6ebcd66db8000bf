"""Tests of interchange/cityscapes.py, cityscapes_codes.py and kitti.py: what their files mean."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.interchange.projects import label_maps, read_maps, send, write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import WarpRefineError
from warprefine.core.tensors import VOID
from warprefine.datasets import open_dataset
from warprefine.datasets.cityscapes_labels import CITYSCAPES_CLASSES
from warprefine.io.images import read_labels
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.import_labels import ImportReport, ImportSettings, import_labels

LABELS = np.array([[0, 1, 13, VOID]] * 3, np.uint8)
IDS = np.array([[7, 8, 26, 0]] * 3, np.uint8)
KINDS = ("labelIds", "labelTrainIds", "color", "polygons", "instanceIds")


def project_of(folder: Path, *, video: str = "aachen_000001", stem: str = "000019") -> Path:
    """A data set of one frame of 3 x 4 pixels in the classes of Cityscapes."""
    return write_project(folder / "project", CITYSCAPES_CLASSES, {video: {stem: LABELS}})


def imported(name: str, folder: Path, frames: Path) -> ImportReport:
    """Import into folder/new, with pictures of a data set folder and classes of the export."""
    (frames / "classes.toml").unlink(missing_ok=True)
    return import_labels(name, folder, folder.parent / "new", settings=ImportSettings(frames=frames))


@given(data=st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_any_label_map_survives_a_round_trip_through_cityscapes(data: st.DataObject) -> None:
    """Whatever the name of its video and its frames; all files of a frame mean the same."""
    labels = data.draw(label_maps(len(CITYSCAPES_CLASSES)))
    maps = {"a_video 1": {"left 7": labels}, "aachen_000001": {"19": labels, "20": labels}}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        project = write_project(folder / "project", CITYSCAPES_CLASSES, maps)
        if (labels == VOID).all():
            return

        back, _ = send("cityscapes", project, folder, settings=ExportSettings(instances=True))

        assert all((read_maps(back)[v][s] == labels).all() for v, stems in maps.items() for s in stems)


@pytest.mark.parametrize("instances", [False, True])
def test_label_maps_of_the_street_come_back_byte_by_byte(
    instances: bool, tiny_data: Path, tmp_path: Path
) -> None:
    """In the classes of Cityscapes, as the format has no others."""
    project = write_project(tmp_path / "project", CITYSCAPES_CLASSES, read_maps(tiny_data))

    back, _ = send("cityscapes", project, tmp_path, settings=ExportSettings(instances=instances))

    check_label_files(project, back)


def test_label_maps_of_camvid_come_back_byte_by_byte(shared: Path, tmp_path: Path) -> None:
    """A few frames of a real video: their polygons take long."""
    camvid = open_dataset(shared / "data" / "camvid", reader="camvid", split="clip15hz")
    (video,) = camvid.videos
    chosen = list(video.labels.items())[::20]
    maps = {"clip": {video.stems[n]: read_labels(path, camvid.classes)[0].numpy() for n, path in chosen}}
    project = write_project(tmp_path / "project", CITYSCAPES_CLASSES, maps)

    back, _ = send("cityscapes", project, tmp_path)

    check_label_files(project, back)


def check_label_files(project: Path, back: Path) -> None:
    """Compare the files of label maps."""
    paths = sorted(path.relative_to(project) for path in project.glob("videos/*/labels/*.png"))
    assert paths
    assert all((back / path).read_bytes() == (project / path).read_bytes() for path in paths)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_file_alone_gives_the_labels(kind: str, tmp_path: Path) -> None:
    """In a new data set with the ids and colours of Cityscapes."""
    project = project_of(tmp_path)
    export_labels("cityscapes", project, tmp_path / "export", settings=ExportSettings(instances=True))
    for path in (tmp_path / "export").rglob("*_gtFine_*"):
        if kind not in path.name:
            path.unlink()

    report = imported("cityscapes", tmp_path / "export", project)

    assert (read_maps(tmp_path / "new")["aachen_000001"]["000019"] == LABELS).all()
    assert (report.classes.names, report.classes.ids) == (CITYSCAPES_CLASSES.names, CITYSCAPES_CLASSES.ids)
    assert report.classes.colors == CITYSCAPES_CLASSES.colors


def test_names_become_those_of_cityscapes(tmp_path: Path) -> None:
    """Programs of the benchmark split them at underscores; a file says what they were."""
    project = project_of(tmp_path, video="my clip_1", stem="left_3")

    report = export_labels("cityscapes", project, tmp_path / "out", settings=ExportSettings(pictures=True))

    core = "my-clip-1_000000_000000"
    assert (tmp_path / "out" / "gtFine" / "train" / "my-clip-1" / f"{core}_gtFine_labelIds.png").is_file()
    assert (tmp_path / "out" / "leftImg8bit" / "train" / "my-clip-1" / f"{core}_leftImg8bit.png").is_file()
    assert json.loads((tmp_path / "out" / "frame_names.json").read_text()) == {core: "my clip_1/left_3"}
    assert "frame_names.json" in report.notes[0]


def test_labels_that_are_not_scored_are_void_unless_the_project_has_them(tmp_path: Path) -> None:
    """As the benchmark has it; a project may be about parking."""
    place = tmp_path / "export" / "gtFine" / "val" / "ulm"
    place.mkdir(parents=True)
    Image.fromarray(np.array([[7, 9, 9, 255]] * 3, np.uint8)).save(
        place / "ulm_000000_000019_gtFine_labelIds.png"
    )
    classes = ClassSet(names=("parking", "road"), colors=((1, 1, 1), (2, 2, 2)))
    project = write_project(tmp_path / "project", classes, {"ulm_000000": {"000019": LABELS * 0}})

    imported_to = tmp_path / "with"
    import_labels("cityscapes", tmp_path / "export", imported_to, settings=ImportSettings(frames=project))
    imported("cityscapes", tmp_path / "export", project)

    assert read_maps(imported_to)["ulm_000000"]["000019"].tolist() == [[1, 0, 0, VOID]] * 3
    assert read_maps(tmp_path / "new")["ulm_000000"]["000019"].tolist() == [[0, VOID, VOID, VOID]] * 3


def polygons(**changes: Any) -> dict[str, Any]:
    """Polygons of a frame of 3 x 4 pixels."""
    corners = [[0, 0], [1, 0], [1, 2], [0, 2]]
    return {"imgHeight": 3, "imgWidth": 4, "objects": [{"label": "cargroup", "polygon": corners}]} | changes


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"imgHeight": 4}, "has imgHeight = 4 and imgWidth = 4, but the frame is 3 x 4 (h x w)"),
        (
            {"objects": [{"label": "ufo", "polygon": []}]},
            "has the label 'ufo', which labels.py of Cityscapes does",
        ),
        ({"objects": [{"label": "car", "polygon": [1, 2]}]}, "has a polygon that is no list of [x, y]"),
        ({"objects": [{"label": "car", "polygon": [[1, 2]]}]}, "is a polygon of 2 numbers"),
    ],
)
def test_polygons_that_mean_nothing_are_refused(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    """In one line that names the place."""
    project = project_of(tmp_path)
    (tmp_path / "export").mkdir()
    path = tmp_path / "export" / "aachen_000001_000019_gtFine_polygons.json"
    path.write_text(json.dumps(polygons(**changes)))

    with pytest.raises(WarpRefineError) as caught:
        imported("cityscapes", tmp_path / "export", project)

    assert told in str(caught.value)


def test_deleted_polygons_and_number_plates_are_not_drawn(tmp_path: Path) -> None:
    """What lies below them stays; a group is of its class."""
    project = project_of(tmp_path)
    told = polygons()
    first = told["objects"][0]
    told["objects"] += [first | {"label": "road", "deleted": 1}, first | {"label": "license plate"}]
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "aachen_000001_000019_gtFine_polygons.json").write_text(json.dumps(told))

    imported("cityscapes", tmp_path / "export", project)

    assert read_maps(tmp_path / "new")["aachen_000001"]["000019"].tolist() == [[13, 13, VOID, VOID]] * 3


def listed_export(folder: Path, lines: str, kinds: dict[str, np.ndarray]) -> Path:
    """What CVAT or datumaro writes: label_colors.txt and files of the frame aachen_000001/000019."""
    place = folder / "export" / "gtFine" / "default" / "aachen_000001"
    place.mkdir(parents=True)
    (folder / "export" / "label_colors.txt").write_text(lines)
    for kind, pixels in kinds.items():
        Image.fromarray(pixels).save(place / f"000019_gtFine_{kind}.png")
    return folder / "export"


def test_with_a_list_of_colours_these_decide(tmp_path: Path) -> None:
    """Ids are lines of the list then; of labels of Cityscapes with one colour, the scored one counts."""
    colors = np.array([[[0, 0, 142], [153, 153, 153], [9, 9, 9], [0, 0, 0]]] * 3, np.uint8)
    doubles = "0 0 142 license plate\n0 0 142 car\n153 153 153 polegroup\n153 153 153 pole\n"
    lines = f"0 0 0 unlabeled\n{doubles}9 9 9 cat\n"
    ids = np.full((3, 4), 200, np.uint8)

    report = imported(
        "cityscapes", listed_export(tmp_path, lines, {"color": colors, "labelIds": ids}), project_of(tmp_path)
    )

    labels = read_maps(tmp_path / "new")["aachen_000001"]["000019"]
    names = [*report.classes.names, *[""] * 256]
    assert [names[value] for value in labels[0]] == ["car", "pole", "cat", ""]


def test_ids_alone_are_lines_of_a_list_that_begins_with_background(tmp_path: Path) -> None:
    """So CVAT counts; datumaro counts from 0 or from 1."""
    export = listed_export(
        tmp_path, "0 0 0 background\n1 1 1 cat\n", {"labelIds": np.eye(3, 4, dtype=np.uint8)}
    )

    report = imported("cityscapes", export, project_of(tmp_path))

    assert report.classes.names == ("cat",)


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        ({"labelIds": IDS}, "has no picture in colours beside it"),
        ({"labelTrainIds": IDS}, "has neither colours nor ids beside it"),
    ],
)
def test_ids_that_may_count_from_0_or_1_are_refused(
    kinds: dict[str, np.ndarray], told: str, tmp_path: Path
) -> None:
    """Nothing says what they mean."""
    with pytest.raises(WarpRefineError, match=told):
        imported("cityscapes", listed_export(tmp_path, "1 1 1 cat\n", kinds), project_of(tmp_path))


@pytest.mark.parametrize(
    ("name", "told"), [("cityscapes", "no file of Cityscapes"), ("kitti", "no label map of KITTI")]
)
def test_other_folders_are_refused(name: str, told: str, tmp_path: Path) -> None:
    """With what was expected."""
    (tmp_path / "export").mkdir()

    with pytest.raises(WarpRefineError, match=told):
        imported(name, tmp_path / "export", project_of(tmp_path))


def test_a_class_that_cityscapes_does_not_have_is_refused(tmp_path: Path) -> None:
    """With the classes of both sides, if a frame has it."""
    classes = ClassSet(names=("road", "ufo", "cat"), colors=((1, 1, 1), (2, 2, 2), (3, 3, 3)))
    known = write_project(tmp_path / "a", classes, {"v": {"0": np.zeros((2, 2), np.uint8)}})
    unknown = write_project(tmp_path / "b", classes, {"v": {"0": np.ones((2, 2), np.uint8)}})

    export_labels("cityscapes", known, tmp_path / "out")
    with pytest.raises(
        WarpRefineError,
        match=r"v/0 has the class 'ufo', .* are 'ufo', 'cat'; it has 'ego vehicle', .*; did you mean '.*'\?; "
        "say --map ufo=CLASS, or --map ufo= for void",
    ):
        export_labels("cityscapes", unknown, tmp_path / "none")

    assert not (tmp_path / "none").exists()


def test_classes_of_other_names_are_led_to_those_of_cityscapes(tmp_path: Path) -> None:
    """By --map: two of them may become one class, and one may become void."""
    classes = ClassSet(names=("Car", "logo", "Van"), colors=((1, 1, 1), (2, 2, 2), (3, 3, 3)))
    labels = np.array([[0, 1, 2, VOID]], np.uint8)
    project = write_project(tmp_path / "p", classes, {"ulm_000000": {"000000": labels}})
    renames = {"Car": "car", "Van": "car", "logo": ""}

    export_labels("cityscapes", project, tmp_path / "out", settings=ExportSettings(renames=renames))

    (path,) = (tmp_path / "out").rglob("*labelIds.png")
    assert np.array(Image.open(path)).tolist() == [[26, 0, 26, 0]]


def test_classes_that_are_not_scored_have_no_train_id(tmp_path: Path) -> None:
    """Their ids are there."""
    classes = ClassSet(names=("parking",), colors=((1, 1, 1),))
    project = write_project(tmp_path / "p", classes, {"ulm_000000": {"000000": np.zeros((2, 2), np.uint8)}})

    report = export_labels("cityscapes", project, tmp_path / "out")

    values = {
        path.name.split("_")[-1]: np.unique(Image.open(path)).tolist()
        for path in (tmp_path / "out").rglob("*Ids.png")
    }
    assert values == {"labelIds.png": [9], "labelTrainIds.png": [255]}
    assert report.notes == ("the benchmark does not score parking: they have no train id",)


@pytest.mark.parametrize("kind", ["semantic", "instance", "semantic_rgb"])
def test_each_kind_of_picture_of_kitti_gives_the_labels(kind: str, tmp_path: Path) -> None:
    """A pixel of instance is id · 256 + number."""
    colors = np.zeros((256, 3), np.uint8)
    for number, color in zip(CITYSCAPES_CLASSES.ids, CITYSCAPES_CLASSES.colors, strict=True):
        colors[number] = color
    pixels = {
        "semantic": IDS,
        "instance": IDS.astype(np.uint16) * 256 + np.array([[0, 0, 3, 0]], np.uint16),
        "semantic_rgb": colors[IDS],
    }
    path = tmp_path / "export" / "training" / kind / "000004_10.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels[kind]).save(path)

    imported("kitti", tmp_path / "export", project_of(tmp_path, video="000004", stem="10"))

    assert (read_maps(tmp_path / "new")["000004"]["10"] == LABELS).all()
