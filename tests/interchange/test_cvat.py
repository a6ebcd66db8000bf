"""What the cases do not show of CVAT's XML: every refusal, tracks between key frames, and what is written."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.interchange.projects import read_maps, send, write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, WarpRefineError
from warprefine.core.tensors import VOID
from warprefine.interchange import IMPORTERS
from warprefine.interchange.cvat_shapes import Outline, Shape, between, draw_shape, outline_of
from warprefine.interchange.cvat_writing import masks_of
from warprefine.interchange.imported import Imported, ImportOptions
from warprefine.interchange.shapes import class_masks, mask_of_counts, regions
from warprefine.interchange.source import open_source
from warprefine.jobs.export_labels import ExportSettings, export_labels

CLASSES = ClassSet(names=("road", "a <b> & 'c'"), colors=((128, 64, 128), (0, 0, 0)))
LABELS = "<labels><label><name>road</name><color>#804080</color></label></labels>"
POLYGON = "0,0;8,0;8,8;0,8"


def images(inside: str, *, meta: str = f"<task>{LABELS}</task>", version: str = "1.1") -> str:
    return f"<annotations><version>{version}</version><meta>{meta}</meta>{inside}</annotations>"


def image(shapes: str, attributes: str = 'name="a/1.png" width="10" height="10"') -> str:
    return images(f'<image id="0" {attributes}>{shapes}</image>')


def video(tracks: str, *, task: str = "<start_frame>0</start_frame><stop_frame>4</stop_frame>") -> str:
    return images(tracks, meta=f"<task><name>clip</name>{task}{LABELS}</task>")


def track(*shapes: str) -> str:
    return f'<track id="7" label="road">{"".join(shapes)}</track>'


def box(frame: int, x: float, *, more: str = "", key: int = 1) -> str:
    return f'<box frame="{frame}" keyframe="{key}" xtl="{x}" ytl="0" xbr="{x + 2}" ybr="2" {more}/>'


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str, str], Imported]:
    def read(name: str, xml: str) -> Imported:
        (tmp_path / "annotations.xml").write_text(xml, encoding="utf-8")
        with open_source(tmp_path / "annotations.xml") as source:
            imported = IMPORTERS[name].read(source, ImportOptions())
            for frame in imported.frames:
                frame.draw((10, 10))
            return imported

    return read


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        ("<html/>", "an element 'html'; expected annotations.xml of CVAT"),
        (images("", version="2.0"), "of version '2.0'; expected 1.1"),
        (images(""), "holds no image; expected pictures with shapes"),
        (images(track(box(0, 0))), "holds no images; expected pictures with shapes; import tracks as"),
        (images("", meta="<task><start_frame>x</start_frame></task>"), "start_frame = 'x'; expected a whole"),
        (images("", meta="<task><frame_filter>odd</frame_filter></task>"), "frame_filter = 'odd'; expected"),
        (images("", meta=f"<task>{LABELS}{LABELS}</task>"), "lists the label 'road' twice"),
        (image("", 'width="1" height="1"'), "has no name; expected the path of a picture"),
        (image('<tag label="road"/><circle label="road"/>'), "holds an element 'circle'; expected box"),
        (
            image(f'<polygon label="car" points="{POLYGON}"/>'),
            "has the label 'car', which the labels in meta lack: 'road'",
        ),
        (
            image(f'<polygon label="road" points="{POLYGON}"/>', 'name="a" width="x" height="1"'),
            "has height='1' and width='x'; expected whole numbers",
        ),
        (image('<polygon label="road" points="0,0;1,1"/>'), "has 2 points; expected at least 3"),
        (image('<polygon label="road" points="0,0;1;2,2"/>'), "has the point '1'; expected x,y in pixels"),
        (image('<polygon label="road" z_order="1.5" points="0,0"/>'), "z_order = '1.5'; expected a whole"),
        (image('<box label="road" xtl="nan"/>'), "has xtl = 'nan'; expected a number"),
        (image('<box label="road" xtl="1"/>'), "has ytl = nothing; expected a number"),
        (image('<ellipse label="road" cx="1" cy="1" rx="-1" ry="1"/>'), r"radii [-1.0, 1.0]; expected num"),
        (
            image('<mask label="road" rle="0, 4" left="9" top="0" width="2" height="2"/>'),
            "left=9, top=0, width=2, height=2; expected one inside the picture of 10 x 10",
        ),
        (
            image('<mask label="road" rle="0, x" left="0" top="0" width="2" height="2"/>'),
            "has rle = '0, x'; expected run lengths",
        ),
        (
            image('<mask label="road" rle="0,,4" left="0" top="0" width="2" height="2"/>'),
            "has rle = '0,,4'; expected run lengths",
        ),
        (
            image('<mask label="road" rle="0, 3" left="0" top="0" width="2" height="2"/>'),
            "an RLE of 3 pixels; expected 4, those of 2 x 2",
        ),
        (image('<polygon label="road" points="0,0;1e9,0;0,1"/>'), "reaches 1e+09 pixels"),
    ],
)
def test_a_file_of_images_that_cannot_be_meant_is_refused(
    read: Callable[[str, str], Imported], xml: str, words: str
) -> None:
    """Each message says which element is wrong, what it holds and what was expected."""
    with pytest.raises(WarpRefineError, match=re.escape(words)):
        read("cvat-images", xml)


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (images(""), "holds no track; expected tracks of a video"),
        (images('<image id="0" name="a"/>'), "holds no tracks; expected tracks of a video; import pictures"),
        (video(track(box(2, 0), box(2, 1))), "track 7 (road) has two shapes in frame 2; expected one"),
        (video(track(box(5, 0))), "a shape in frame 5, which is no frame of the task; expected those from 0"),
        (
            video(track(box(0, 0), f'<polygon frame="3" points="{POLYGON}"/>')),
            "turns from box to polygon between the key frames 0 and 3",
        ),
        (
            video(track(box(0, 0)), task="<stop_frame>999999999</stop_frame>"),
            "is of frames 0 to 999999999; expected at most 1,000,000",
        ),
        (
            images(
                '<track id="0" label="road" task_id="9"/>',
                meta="<project><tasks><task><id>1</id></task><task><id>2</id></task></tasks></project>",
            ),
            "track '0', has task_id='9'; expected one of 1, 2",
        ),
    ],
)
def test_a_file_of_tracks_that_cannot_be_meant_is_refused(
    read: Callable[[str, str], Imported], xml: str, words: str
) -> None:
    """Tracks need a shape per frame, of one kind, in frames and tasks that the file lists."""
    with pytest.raises(WarpRefineError, match=re.escape(words)):
        read("cvat-video", xml)


def test_an_export_without_xml_is_refused(tmp_path: Path) -> None:
    """The message names the file that a folder has to hold."""
    (tmp_path / "a.txt").touch()
    with (
        open_source(tmp_path) as source,
        pytest.raises(DatasetError, match=r"expected annotations\.xml of CV"),
    ):
        IMPORTERS["cvat-images"].read(source, ImportOptions())


def test_shapes_without_an_area_are_told_and_label_nothing(read: Callable[[str, str], Imported]) -> None:
    """Points and tags are counted in the notes, as are the images that they leave without a map."""
    imported = read("cvat-images", image('<points label="road" points="1,1"/><tag label="road"/>'))

    assert not imported.frames
    assert imported.notes == [
        "annotations.xml: elements without an area label no pixel: 1 points, 1 tag",
        "annotations.xml: 1 images have no shape with an area and get no label map",
    ]


def columns(imported: Imported) -> dict[int | None, list[int]]:
    """Return the columns that are labelled in the first row of each frame."""
    return {
        frame.index: np.flatnonzero(frame.draw((10, 10))[0] != VOID).tolist() for frame in imported.frames
    }


def test_shapes_between_key_frames_move_and_the_last_one_is_held(
    read: Callable[[str, str], Imported],
) -> None:
    """A box is halfway in the frame between, and stays up to the end of the task."""
    imported = read("cvat-video", video(track(box(0, 0), box(2, 4))))

    assert columns(imported) == {0: [0, 1], 1: [2, 3], 2: [4, 5], 3: [4, 5], 4: [4, 5]}
    assert "key frames alone" in imported.notes[0]


def test_what_is_outside_is_not_drawn_up_to_the_next_shape(read: Callable[[str, str], Imported]) -> None:
    """Frames in which nothing else is drawn get no label map."""
    imported = read("cvat-video", video(track(box(0, 0), box(2, 0, more='outside="1"'), box(4, 6))))

    assert columns(imported) == {0: [0, 1], 1: [0, 1], 4: [6, 7]}


def test_where_cvat_has_written_every_frame_one_without_shapes_was_deleted(
    read: Callable[[str, str], Imported],
) -> None:
    """A gap between shapes that are no key frames is not filled, and the last shape is not held."""
    imported = read("cvat-video", video(track(box(0, 0), box(1, 1, key=0), box(3, 3, key=0))))

    assert columns(imported) == {0: [0, 1], 1: [1, 2], 3: [3, 4]}


def test_a_frame_that_another_track_has_was_not_deleted_and_is_filled(
    read: Callable[[str, str], Imported],
) -> None:
    """One track of every frame is enough for the shapes of the other to move between its key frames."""
    both = track(box(0, 0), box(2, 4)) + track(*(box(frame, 8, key=0) for frame in range(3)))
    imported = read("cvat-video", video(both))

    assert columns(imported) == {0: [0, 1, 8, 9], 1: [2, 3, 8, 9], 2: [4, 5, 8, 9]}


def test_a_shape_that_nothing_ends_or_carries_on_is_of_its_own_frame_and_told(
    read: Callable[[str, str], Imported],
) -> None:
    """CVAT ends a shape of one frame a step later, but not where that is the last frame."""
    both = track(box(0, 0), box(1, 0, more='outside="1"')) + track(box(3, 4))
    imported = read("cvat-video", video(both))

    assert columns(imported) == {0: [0, 1], 3: [4, 5]}
    assert "frames 3 go on" in imported.notes[0]


def test_masks_of_tracks_are_of_their_own_frames(read: Callable[[str, str], Imported]) -> None:
    """They are neither moved nor held in the frames between."""
    mask = 'rle="0, 2" left="1" top="0" width="2" height="1"'
    shapes = [f'<mask frame="{frame}" {mask}/>' for frame in (0, 3)]

    assert columns(read("cvat-video", video(track(*shapes)))) == {0: [1, 2], 3: [1, 2]}


def test_labels_without_meta_are_those_of_the_shapes(read: Callable[[str, str], Imported]) -> None:
    """Their order is that in which they first appear."""
    shapes = f'<polygon label="b" points="{POLYGON}"/><polygon label="a" points="{POLYGON}"/>'
    xml = f'<annotations><image id="0" name="a/1.png">{shapes}</image></annotations>'

    assert [one.name for one in read("cvat-images", xml).classes] == ["b", "a"]


def test_a_turned_box_is_turned_clockwise_around_its_middle() -> None:
    """Four pixels wide and two high, and the other way round after a quarter."""
    fields = {"xtl": "2", "ytl": "3", "xbr": "6", "ybr": "5", "rotation": "90"}
    mask = draw_shape(Shape("box", fields, "a box"), (10, 10))

    assert mask.sum() == 8
    assert mask[2:6, 3:5].all()


def test_a_turn_goes_the_short_way_round() -> None:
    """Halfway from 350 to 30 degrees is 10, and not 190."""
    fields = {"xtl": "0", "ytl": "0", "xbr": "1", "ybr": "1"}
    before, after = (
        outline_of(Shape("box", {**fields, "rotation": rotation}, "a box")) for rotation in ("350", "30")
    )

    assert between(before, after, 0.5).rotation == pytest.approx(10)


def test_corners_of_polygons_are_matched_by_how_far_along_they_are() -> None:
    """A corner that only the later polygon has comes out of the nearest one; a twin is thinned out again."""
    square = np.array([(0.0, 0), (4, 0), (4, 4), (0, 4)])
    pointed = np.array([(0.0, 0), (4, 0), (6, 2), (4, 4), (0, 4)])

    found = between(Outline("polygon", square), Outline("polygon", pointed), 0.5).points

    assert [4.0, 0.0] in found.tolist()
    assert found[:, 0].max() == pytest.approx(5)
    assert between(Outline("polygon", square), Outline("polygon", square + 2), 0.5).points.tolist() == (
        (square + 1).tolist()
    )


@pytest.mark.parametrize("instances", [False, True])
def test_masks_are_written_as_runs_inside_their_boxes(instances: bool) -> None:
    """Each box is as tight as can be, and its runs give back the mask of the class or region."""
    labels = np.random.default_rng(3).integers(0, 4, (9, 7)).astype(np.uint8)
    labels[labels == 3] = VOID
    wanted = list(regions(labels) if instances else class_masks(labels))

    found = list(masks_of(labels, instances=instances))

    assert [position for position, _ in found] == [position for position, _ in wanted]
    for (_, text), (_, mask) in zip(found, wanted, strict=True):
        fields = dict(re.findall(r'(\w+)="([^"]*)"', text))
        left, top, width, height = (int(fields[key]) for key in ("left", "top", "width", "height"))
        inside = mask_of_counts(
            [int(count) for count in fields["rle"].split(", ")], (height, width), where="a mask", order="rows"
        )
        assert inside.any(axis=0)[[0, -1]].all()
        assert inside.any(axis=1)[[0, -1]].all()
        drawn = np.zeros_like(mask)
        drawn[top : top + height, left : left + width] = inside
        assert (drawn == mask).all()


def project(folder: Path, stems: tuple[str, ...], classes: ClassSet = CLASSES) -> Path:
    maps = {stem: np.full((3, 4 + n), n % 2, np.uint8) for n, stem in enumerate(stems)}
    return write_project(folder / "project", classes, {"a video": maps})


@pytest.mark.parametrize("name", ["cvat-images", "cvat-video"])
def test_names_with_marks_of_xml_and_frames_of_several_sizes_survive(name: str, tmp_path: Path) -> None:
    """Written and read again, class names and label maps are the same."""
    source = project(tmp_path, ("000003", "000007", "000011"))

    back, report = send(name, source, tmp_path)

    assert report.classes.names == CLASSES.names
    for stem, labels in read_maps(source)["a video"].items():
        assert (read_maps(back)["a video"][stem] == labels).all()


def test_a_written_video_has_the_frames_and_the_step_of_its_numbers(tmp_path: Path) -> None:
    """Masks are ended a step later, but not where that is the last frame."""
    export_labels("cvat-video", project(tmp_path, ("000003", "000007", "000011")), tmp_path / "export")

    root = ET.parse(tmp_path / "export" / "a video" / "annotations.xml").getroot()
    told = [root.findtext(f"meta/task/{key}") for key in ("start_frame", "stop_frame", "frame_filter")]
    assert told == ["3", "11", "step=4"]
    assert [[int(mask.get("frame", "")) for mask in one] for one in root.iter("track")] == [[3, 7], [7], [11]]


@pytest.mark.parametrize(
    ("stems", "words"),
    [(("a", "b"), "called 'a'; expected a number of up to nine"), (("a1", "b1"), "a number of its own")],
)
def test_frames_without_numbers_of_their_own_are_no_video_of_cvat(
    stems: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    """Letters alone, or one number for two frames, are refused before anything is written."""
    with pytest.raises(DatasetError, match=words):
        export_labels("cvat-video", project(tmp_path, stems), tmp_path / "export")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [(" road", "cannot be a label of CVAT; expected a name of one line"), ("a\x01", "which XML cannot hold")],
)
def test_a_class_that_xml_cannot_hold_is_refused(name: str, words: str, tmp_path: Path) -> None:
    """A space at the start and a control character are errors; nothing is changed silently."""
    classes = ClassSet(names=("car", name), colors=((1, 2, 3), (4, 5, 6)))
    with pytest.raises(DatasetError, match=words):
        export_labels("cvat-images", project(tmp_path, ("1",), classes), tmp_path / "export")


def test_a_split_is_the_subset_of_an_image_and_told_where_there_is_none(tmp_path: Path) -> None:
    """Images of one export are of the subsets train and val."""
    source, settings = project(tmp_path, ("1", "2", "3")), ExportSettings(split=0.5)

    export_labels("cvat-images", source, tmp_path / "images", settings=settings)

    root = ET.parse(tmp_path / "images" / "annotations.xml").getroot()
    assert {one.get("subset") for one in root.iter("image")} == {"train", "val"}
