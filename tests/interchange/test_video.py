"""Tests of videos: labels read from them exactly or not at all, and labels shown over pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from tests.interchange.projects import read_maps, write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, KeyFrameError, LabelError, RecipeError, WarpRefineError
from warprefine.core.tensors import VOID
from warprefine.interchange import overlay
from warprefine.interchange.imported import ImportOptions
from warprefine.interchange.legend import draw_legend
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.import_labels import ImportSettings, import_labels

CLASSES = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))
FRAMES = [np.full((32, 48), number, np.uint8) for number in (0, 1)]
LISTED = [
    {"name": "car", "color": [0, 0, 142]},
    {"name": "road", "color": [128, 64, 128]},
    {"name": "void", "color": [0, 0, 0]},
]


def write_video(path: Path, frames: Sequence[np.ndarray], *, codec: str = "ffv1", kind: str = "gray") -> Path:
    """Write a video of grey or RGB pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = kind
        for pixels in frames:
            given = "gray" if pixels.ndim == 2 else "rgb24"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=given)))
        container.mux(stream.encode())
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A data set folder of one video of two frames, without label maps."""
    folder = write_project(tmp_path / "project", CLASSES, {"drive": {"000": FRAMES[0], "001": FRAMES[1]}})
    for path in (folder / "videos" / "drive" / "labels").iterdir():
        path.unlink()
    return folder


def refusal(source: Path, project: Path, options: ImportOptions | None = None) -> str:
    """Import into a data set folder, which must be refused."""
    settings = ImportSettings(options=options or ImportOptions(video="drive"))
    with pytest.raises(WarpRefineError) as caught:
        import_labels("video", source, project, add=True, settings=settings)
    return str(caught.value)


def test_a_value_is_the_place_in_the_list_beside_the_video(tmp_path: Path, project: Path) -> None:
    """Whatever the order of the classes in the project; 255 is void."""
    first = FRAMES[0].copy()
    first[3, 4] = VOID
    write_video(tmp_path / "in" / "drive.mkv", [first, FRAMES[1]])
    (tmp_path / "in" / "classes.json").write_text(json.dumps(LISTED))

    import_labels("video", tmp_path / "in", project, add=True)

    found = read_maps(project)["drive"]
    assert found["000"][3, 4] == VOID
    assert np.count_nonzero(found["000"] == 1) == first.size - 1
    assert (found["001"] == 0).all()


def test_values_are_named_by_the_user_or_are_those_of_the_project(tmp_path: Path, project: Path) -> None:
    """The same video starts with road without names, and with car where they say so."""
    video = write_video(tmp_path / "in" / "drive.mkv", FRAMES)
    named = ImportSettings(options=ImportOptions(names=("car", "road")))

    import_labels("video", video, tmp_path / "new", settings=ImportSettings(frames=project))
    import_labels("video", video, project, add=True, settings=named)

    assert (read_maps(tmp_path / "new")["drive"]["000"] == 0).all()
    assert (read_maps(project)["drive"]["000"] == 1).all()


def test_values_are_the_ids_of_a_class_file_beside_the_video(tmp_path: Path, project: Path) -> None:
    """They are neither places in that list nor positions in the project."""
    write_video(tmp_path / "in" / "drive.mkv", [frame + 6 for frame in FRAMES])
    (tmp_path / "in" / "classes.toml").write_text(
        '[[class]]\nname = "car"\ncolor = [0, 0, 142]\nid = 7\n'
        '[[class]]\nname = "road"\ncolor = [128, 64, 128]\nid = 6\n'
    )

    import_labels("video", tmp_path / "in", project, add=True)

    assert (read_maps(project)["drive"]["000"] == 0).all()


def test_a_colour_is_a_class_where_no_colour_is_smeared(tmp_path: Path, project: Path) -> None:
    """A lossless RGB video keeps the colours of the list beside it."""
    colors = np.array([*CLASSES.colors], np.uint8)
    write_video(tmp_path / "in" / "drive.mkv", [colors[frame] for frame in FRAMES], kind="bgr0")
    (tmp_path / "in" / "label_colors.txt").write_text("128 64 128 road\n0 0 142 car\n")

    import_labels("video", tmp_path / "in", project, add=True)

    assert (read_maps(project)["drive"]["001"] == 1).all()


def test_a_video_with_other_frames_than_it_labels_is_refused(tmp_path: Path, project: Path) -> None:
    """The message counts the frames of both and says what to export."""
    video = write_video(tmp_path / "drive.mkv", [FRAMES[0]])

    with pytest.raises(
        KeyFrameError, match=r"one of 1 frames, but the video 'drive' has 2; .*export all of them"
    ):
        import_labels("video", video, project, add=True)


def test_a_video_of_no_known_name_is_refused(tmp_path: Path, project: Path) -> None:
    """The file's name counts, and the message says how to give another."""
    video = write_video(tmp_path / "labels.mkv", FRAMES)

    message = refusal(video, project, ImportOptions())

    assert "is frame 0 of the video 'labels'; expected one of drive; say --video NAME" in message


def test_grey_values_of_a_codec_that_mixes_neighbours_are_refused(tmp_path: Path, project: Path) -> None:
    """Even where all pixels of a frame have one value: the codec decides."""
    video = write_video(tmp_path / "drive.mov", FRAMES, codec="jpeg2000")

    assert "is grey in jpeg2000, which may mix the values of neighbours; expected a codec" in refusal(
        video, project
    )


def test_colours_that_nothing_lists_are_refused(tmp_path: Path, project: Path) -> None:
    """A file that leaves out the colour of one class is no list of colours either."""
    colors = np.array([(1, 2, 3), (0, 0, 142)], np.uint8)
    video = write_video(tmp_path / "drive.mkv", [colors[frame] for frame in FRAMES], kind="bgr0")

    assert "drive.mkv, frame 0, has the colour 1,2,3 at x=0, y=0" in refusal(video, project)
    (tmp_path / "classes.json").write_text(
        json.dumps([{"name": "road"}, {"name": "car", "color": [0, 0, 142]}])
    )
    assert "is in colours, but classes.json does not list the colour of each class" in refusal(video, project)


def test_values_of_no_class_are_refused(tmp_path: Path, project: Path) -> None:
    """The message says in which frame and where."""
    video = write_video(tmp_path / "drive.mkv", [FRAMES[0], FRAMES[1] + 8])

    assert "drive.mkv, frame 1, holds the value 9 at x=0, y=0" in refusal(video, project)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("3", "classes.json holds a int; expected a list of classes"),
        (
            '[{"name": "road", "color": [1, 2]}]',
            r"classes.json 0 has color = \[1, 2\]; expected three numbers",
        ),
        ('[{"color": [1, 2, 3]}]', "classes.json 0 has no 'name'"),
    ],
)
def test_a_list_of_classes_of_another_form_is_refused(
    tmp_path: Path, project: Path, content: str, message: str
) -> None:
    """It is no list, a colour lacks a number, or a class lacks its name."""
    write_video(tmp_path / "in" / "drive.mkv", FRAMES)
    (tmp_path / "in" / "classes.json").write_text(content)

    with pytest.raises(DatasetError, match=message):
        import_labels("video", tmp_path / "in", project, add=True)


def test_without_a_video_or_names_nothing_is_imported(tmp_path: Path, project: Path) -> None:
    """An empty folder, one of two videos, and one without a list of classes."""
    (tmp_path / "in").mkdir()
    assert "holds nothing; expected a video of labels, such as labels.mkv" in refusal(
        tmp_path / "in", project
    )
    write_video(tmp_path / "in" / "drive.mkv", FRAMES)
    write_video(tmp_path / "in" / "other.mkv", FRAMES)
    assert "expected one video, as --video names one" in refusal(tmp_path / "in", project)
    with pytest.raises(DatasetError, match=r"no file that names the classes; expected one of classes\.json"):
        import_labels("video", tmp_path / "in", tmp_path / "new")


def frames_of(path: Path) -> list[np.ndarray]:
    """Return the frames of a video, RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize(("opacity", "grey", "red"), [(0.0, 128, 128), (0.5, 128, 192), (1.0, 128, 255)])
def test_labels_lie_over_pictures_and_void_shows_them(
    tmp_path: Path, opacity: float, grey: int, red: int
) -> None:
    """As strong as the user says."""
    labels = np.full((32, 48), VOID, np.uint8)
    labels[:, 24:] = 1
    classes = ClassSet(names=("road", "car"), colors=((0, 255, 0), (255, 128, 128)))
    project = write_project(tmp_path / "project", classes, {"drive": {"000": labels, "001": labels}})

    export_labels("video", project, tmp_path / "out", settings=ExportSettings(opacity=opacity))

    found = frames_of(tmp_path / "out" / "drive.mp4")
    assert len(found) == 2
    assert abs(int(found[0][16, 8, 0]) - grey) <= 4
    assert abs(int(found[1][16, 40, 0]) - red) <= 4


def test_a_video_has_the_rate_of_the_one_that_it_shows(tmp_path: Path) -> None:
    """Where all of its frames are shown."""
    project = tmp_path / "project"
    write_video(project / "videos" / "drive.mkv", [np.zeros((32, 48, 3), np.uint8)] * 3, kind="bgr0")
    write_project(project, CLASSES, {"drive": {"000000": FRAMES[0], "000002": FRAMES[0]}})
    for path in (project / "videos" / "drive" / "frames").iterdir():
        path.unlink()
    (project / "videos" / "drive" / "frames").rmdir()

    every = export_labels("video", project, tmp_path / "every", settings=ExportSettings(frames="all")).notes
    labelled = export_labels("video", project, tmp_path / "labelled").notes

    assert every == ()
    assert labelled == ("drive.mp4 shows 10 frames a second, as no rate is known or frames are left out",)


def test_a_frame_that_no_codec_takes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder is left behind."""
    project = write_project(tmp_path / "project", CLASSES, {"drive": {"000": FRAMES[0]}})
    monkeypatch.setattr(overlay, "_WIDEST", 100)

    with pytest.raises(DatasetError, match=r"drive/000 is 32 x 48 .* expected at most 100; export it as"):
        export_labels("video", project, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_opacity_beyond_one_is_refused() -> None:
    """The settings refuse it, before any export begins."""
    with pytest.raises(RecipeError, match=r"--opacity is 1\.5; expected 0 to 1"):
        ExportSettings(opacity=1.5)


def test_the_legend_shows_each_class_and_ends_somewhere() -> None:
    """Up to 64; a name that no letters are there for is a number."""
    few = draw_legend(CLASSES, width=200, letters=12)
    names = tuple(f"class {number}" for number in range(200))
    colors = tuple((number, 1, 2) for number in range(1, 201))
    many = draw_legend(ClassSet(names=names, colors=colors), width=400, letters=12)
    foreign = draw_legend(ClassSet(names=("道路",), colors=((1, 200, 3),)), width=200, letters=12)
    number = draw_legend(ClassSet(names=("class 0",), colors=((1, 200, 3),)), width=200, letters=12)

    assert all((few == color).all(axis=-1).any() for color in CLASSES.colors)
    assert many.shape[1] == 400
    assert (many == colors[62]).all(axis=-1).any()
    assert not (many == colors[63]).all(axis=-1).any()
    assert (foreign == number).all()


def test_an_overlay_is_no_video_of_labels(tmp_path: Path) -> None:
    """Its colours are smeared, and nothing takes them for the nearest class."""
    project = write_project(tmp_path / "project", CLASSES, {"drive": {"000": FRAMES[0], "001": FRAMES[1]}})
    export_labels("video", project, tmp_path / "out", settings=ExportSettings(opacity=1.0))

    with pytest.raises(LabelError, match="has the colour"):
        import_labels("video", tmp_path / "out", tmp_path / "new", settings=ImportSettings(frames=project))
