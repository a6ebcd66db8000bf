"""What the cases do not show of Pascal VOC, CVAT's masks and CamVid: refusals, and what is written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.interchange.projects import read_maps, send, write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, WarpRefineError
from warprefine.core.tensors import VOID
from warprefine.interchange import IMPORTERS
from warprefine.interchange.imported import Imported, ImportOptions
from warprefine.interchange.labelmap import read_labelmap, voc_colors
from warprefine.interchange.source import open_source
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.import_labels import ImportSettings, import_labels

ROAD, CAR = (128, 64, 128), (0, 0, 142)
LINES = "background:0,0,0::\nroad:128,64,128::\ncar:0,0,142::\n"


def write(folder: Path, pixels: np.ndarray, labelmap: str | None = LINES, *, palette: bool = False) -> Path:
    """Write a label map and labelmap.txt; as a palette PNG, it has the colours of VOC."""
    picture = Image.fromarray(pixels.astype(np.uint8))
    if palette:
        picture.putpalette([channel for color in voc_colors(256) for channel in color])
    (folder / "SegmentationClass" / "a").mkdir(parents=True)
    picture.save(folder / "SegmentationClass" / "a" / "1.png")
    if labelmap is not None:
        (folder / "labelmap.txt").write_text(labelmap, encoding="utf-8")
    return folder


def read(folder: Path, options: ImportOptions | None = None) -> tuple[Imported, np.ndarray]:
    with open_source(folder) as source:
        imported = IMPORTERS["voc"].read(source, options or ImportOptions())
        return imported, imported.frames[0].draw((1, 2))


def test_a_grey_png_has_the_numbers_of_lines(tmp_path: Path) -> None:
    """They count from 0, and 255 is void."""
    _, labels = read(write(tmp_path, np.array([[2, 255]])))

    assert labels.tolist() == [[2, VOID]]


def test_colours_of_a_palette_count_where_all_are_listed(tmp_path: Path) -> None:
    """Here the colour and the value are of the same line."""
    lines = "red:128,0,0::\nblack:0,0,0::\n"
    _, labels = read(write(tmp_path, np.array([[1, 1]]), "\n".join(["x:9,9,9::", lines]), palette=True))

    assert labels.tolist() == [[1, 1]]


def test_a_palette_whose_colours_and_values_are_different_classes_is_refused(tmp_path: Path) -> None:
    """The message names a value with its colour and says what to save instead."""
    folder = write(tmp_path, np.array([[1, 1]]), "red:128,0,0::\ngreen:0,128,0::\n", palette=True)

    with pytest.raises(WarpRefineError, match=r"value 1 in the colour \(128, 0, 0\).*; save it as RGB"):
        read(folder)


def test_values_of_a_palette_count_where_its_colours_are_not_listed(tmp_path: Path) -> None:
    """They are the numbers of lines, as in a grey PNG."""
    _, labels = read(write(tmp_path, np.array([[2, 255]]), palette=True))

    assert labels.tolist() == [[2, VOID]]


def test_black_and_the_colour_of_borders_are_void_unless_a_class_has_them(tmp_path: Path) -> None:
    """The list has neither of them."""
    pixels = np.array([[(0, 0, 0), (224, 224, 192)]])

    _, labels = read(write(tmp_path, pixels, "road:128,64,128::\n"))

    assert labels.tolist() == [[VOID, VOID]]


def test_a_line_without_a_colour_is_a_class_of_values(tmp_path: Path) -> None:
    """Those beside it keep their positions, in colours too."""
    imported, labels = read(write(tmp_path, np.array([[CAR, (0, 0, 0)]]), "road:::\ncar:0,0,142::\n"))

    assert [one.color for one in imported.classes] == [None, CAR]
    assert labels.tolist() == [[1, VOID]]


def test_lines_without_any_colour_have_those_of_voc(tmp_path: Path) -> None:
    """In the order of the lines, from black on."""
    imported, _ = read(write(tmp_path, np.array([[(128, 0, 0), (0, 0, 0)]]), "a:::\nb:::\n"))

    assert [one.color for one in imported.classes] == [(0, 0, 0), (128, 0, 0)]


@pytest.mark.parametrize(
    ("lines", "void"),
    [
        (LINES, ["background"]),
        ("_unlabelled:1,1,1::\n_dummy7:2,2,2::\nroad:3,3,3::", ["_unlabelled", "_dummy7"]),
        ("background:1,2,3::\nignored:224,224,192::", ["ignored"]),
        ("background:0,0,0::\nignore:224,224,192::", ["background", "ignore"]),
        ("dummy:1,2,3:: # a comment\n#car:1,2,3::\na:b:4,5,6::", []),
    ],
)
def test_lines_stand_for_void_by_their_names(lines: str, void: list[str], tmp_path: Path) -> None:
    """A background that is not black is a class, where another line is for what has no label."""
    (tmp_path / "labelmap.txt").write_text(lines, encoding="utf-8")

    classes = read_labelmap(tmp_path / "labelmap.txt", named="labelmap.txt")

    assert [one.name for one in classes if one.is_void] == void


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("road\n", "labelmap.txt, line 1, is 'road'; expected name:r,g,b::"),
        ("road:1,2,256::\n", "line 1, is 'road:1,2,256::'; expected name:r,g,b:: with numbers from 0 to 255"),
        ("# nothing\n", "lists no classes; expected a line name:r,g,b::"),
        ("road:1,2,3::\nroad:1,2,4::\n", "lists the class 'road' twice"),
        ("road:1,2,3::\ncar:1,2,3::\n", "gives the classes 'road' and 'car' the same colour"),
        ("road:0,0,0::\n", "holds the value 7 at x=1, y=0; expected the number of a line of labelmap.txt"),
    ],
)
def test_a_label_map_of_voc_that_cannot_be_meant_is_refused(lines: str, words: str, tmp_path: Path) -> None:
    """Lines of another form, none at all, a class or a colour listed twice, and a value of no line."""
    with pytest.raises(WarpRefineError, match=re.escape(words)):
        read(write(tmp_path, np.array([[0, 7]]), lines))


def test_an_export_without_label_maps_is_refused(tmp_path: Path) -> None:
    """The message names the folder that is missing."""
    with pytest.raises(DatasetError, match="holds no SegmentationClass with PNGs"):
        read(tmp_path)


def test_names_say_what_values_are_and_colours_are_refused_then(tmp_path: Path) -> None:
    """There is no labelmap.txt beside the label maps."""
    options = ImportOptions(names=("road", "car"))
    _, labels = read(write(tmp_path / "values", np.array([[1, 0]]), None), options)

    assert labels.tolist() == [[1, 0]]
    with pytest.raises(WarpRefineError, match="is in colours, and --names has none"):
        read(write(tmp_path / "colours", np.array([[CAR, ROAD]]), None), options)


def test_without_a_labelmap_the_classes_are_those_of_voc_if_the_project_has_them(tmp_path: Path) -> None:
    """A note says so, and a project of other classes needs the file."""
    folder = write(tmp_path, np.array([[7, 0]]), None)
    project = ClassSet(names=("road",), colors=(ROAD,))

    imported, labels = read(folder)

    assert imported.classes[labels[0, 0]].name == "car"
    assert "no labelmap.txt" in imported.notes[0]
    with pytest.raises(DatasetError, match=r"but the project has road; expected labelmap.txt"):
        read(folder, ImportOptions(project=project))


def test_names_of_labelme_begin_behind_ignore(tmp_path: Path) -> None:
    """The third line is the value 1; a file without names is refused."""
    folder = write(tmp_path, np.array([[1, 0]]), None)
    (folder / "class_names.txt").write_text("__ignore__\n_background_\nroad\n", encoding="utf-8")

    imported, labels = read(folder)

    assert imported.classes[labels[0, 0]].name == "road"
    (folder / "class_names.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"class_names.txt lists no classes"):
        read(folder)


def test_two_label_maps_of_one_name_are_refused(tmp_path: Path) -> None:
    """Lying in folders of different years does not tell them apart."""
    write(tmp_path / "VOC2007", np.array([[0, 0]]), None)
    write(tmp_path / "VOC2012", np.array([[0, 0]]), None)

    with pytest.raises(DatasetError, match="are both of 'a/1'; expected each name once"):
        read(tmp_path)


def project(folder: Path, classes: ClassSet) -> Path:
    labels = np.full((2, len(classes) + 1), VOID, np.uint8)
    labels[0, :-1] = range(len(classes))
    return write_project(folder / "project", classes, {"a": {"1": labels}})


@pytest.mark.parametrize("name", ["camvid", "cvat-masks", "voc"])
@pytest.mark.parametrize("names", [("road", "car"), ("road", "background", "ignored")])
def test_colours_that_files_need_for_void_are_given_up_and_void_survives(
    name: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    """A note names the classes whose colours change; a class may even be called background."""
    colors = ((0, 0, 0), (224, 224, 192), (224, 224, 192))[: len(names)]
    source = project(tmp_path, ClassSet(names=names, colors=colors))

    report = export_labels(name, source, tmp_path / "again")
    back, _ = send(name, source, tmp_path)

    assert (read_maps(back)["a"]["1"] == read_maps(source)["a"]["1"]).all()
    assert "another one: road" in report.notes[0]


def test_black_stands_for_void_in_line_0_and_classes_follow(tmp_path: Path) -> None:
    """Regions are counted from 1 as well, so that 0 is void in both folders."""
    source = project(tmp_path, ClassSet(names=("road", "car"), colors=(ROAD, CAR)))

    export_labels("voc", source, tmp_path / "export", settings=ExportSettings(instances=True))

    text = (tmp_path / "export" / "labelmap.txt").read_text(encoding="utf-8")
    assert text == f"# label:color_rgb:parts:actions\n{LINES}"
    with Image.open(tmp_path / "export" / "SegmentationClass" / "a" / "1.png") as picture:
        assert np.array(picture).tolist() == [[1, 2, 0], [0, 0, 0]]
    with Image.open(tmp_path / "export" / "SegmentationObject" / "a" / "1.png") as picture:
        assert np.array(picture).tolist() == [[1, 2, 0], [0, 0, 0]]


def test_more_regions_than_a_palette_holds_are_told(tmp_path: Path) -> None:
    """The folder of regions is left out then."""
    labels = np.full((32, 32), VOID, np.uint8)
    labels[::2, ::2] = 0
    source = write_project(
        tmp_path / "project", ClassSet(names=("road",), colors=(ROAD,)), {"a": {"1": labels}}
    )

    report = export_labels("voc", source, tmp_path / "export", settings=ExportSettings(instances=True))

    assert "1 frames have more than 255 regions" in report.notes[0]
    assert not (tmp_path / "export" / "SegmentationObject").exists()


@pytest.mark.parametrize(
    ("format_name", "name", "words"),
    [
        ("voc", "a:b", "cannot be listed in labelmap.txt"),
        ("cvat-masks", "#a", "cannot be listed in labelmap.txt"),
        ("camvid", "Void", "cannot be listed in label_colors.txt"),
    ],
)
def test_a_name_that_a_list_cannot_hold_is_refused(
    format_name: str, name: str, words: str, tmp_path: Path
) -> None:
    """A colon, a hash sign and the word for void mean something else there."""
    source = project(tmp_path, ClassSet(names=(name,), colors=(ROAD,)))
    with pytest.raises(DatasetError, match=words):
        export_labels(format_name, source, tmp_path / "export")


def test_more_classes_than_values_are_refused(tmp_path: Path) -> None:
    """255 classes are one too many."""
    names = tuple(f"class {number}" for number in range(255))
    source = project(tmp_path, ClassSet(names=names, colors=voc_colors(256)[1:]))
    with pytest.raises(DatasetError, match="would list 255 classes; expected at most 254"):
        export_labels("voc", source, tmp_path / "export")


def test_camvid_lists_pictures_beside_label_maps_in_quotes_where_names_have_blanks(tmp_path: Path) -> None:
    """All is read back as it was; a note names classes that others cannot read."""
    classes = ClassSet(names=("traffic light", ",a:1,2,3"), colors=(ROAD, CAR))
    labels = np.array([[0, 1, VOID]], np.uint8)
    source = write_project(tmp_path / "project", classes, {"a video": {"1": labels}})

    report = export_labels("camvid", source, tmp_path / "export", settings=ExportSettings(pictures=True))

    listed = (tmp_path / "export" / "default.txt").read_text(encoding="utf-8")
    assert listed == '"/default/a video/1.png" "defaultannot/a video/1.png"\n'
    assert "cannot read those of 'traffic light'" in report.notes[0]
    with open_source(tmp_path / "export") as opened:
        imported = IMPORTERS["camvid"].read(opened, ImportOptions())
        assert [one.name for one in imported.classes] == list(classes.names)
        assert imported.frames[0].picture == tmp_path / "export" / "default" / "a video" / "1.png"
        assert imported.frames[0].draw((1, 3)).tolist() == labels.tolist()


def test_camvid_cannot_list_a_video_with_quotes(tmp_path: Path) -> None:
    """They are what the list puts around names with blanks."""
    maps = {'a "b"': {"1": np.zeros((1, 1), np.uint8)}}
    source = write_project(tmp_path / "project", ClassSet(names=("road",), colors=(ROAD,)), maps)
    with pytest.raises(DatasetError, match="expected a name of one line without quotes"):
        export_labels("camvid", source, tmp_path / "export")


@pytest.mark.parametrize("kept", [False, True])
def test_pixels_of_a_background_become_void_with_a_note(tmp_path: Path, kept: bool) -> None:
    """Who has a class of that name is told how it is kept, and keeps it so."""
    pixels = np.array([[[0, 0, 0], ROAD]])
    source = write(tmp_path / "in", pixels)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "1.png")
    (tmp_path / "frames" / "a").mkdir(parents=True)
    (tmp_path / "1.png").rename(tmp_path / "frames" / "a" / "1.png")
    settings = ImportSettings(frames=tmp_path / "frames", background="background" if kept else None)

    report = import_labels("voc", source, tmp_path / "data", settings=settings)

    assert ("background" in report.classes.names) == kept
    assert any("`--background background`" in note for note in report.notes) == (not kept)
