"""Tests of Hugging Face data sets: what names frames and classes, what is refused, what is written."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.interchange.projects import read_maps, write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, WarpRefineError
from warprefine.interchange import huggingface_export
from warprefine.interchange.imported import ImportOptions
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.import_labels import ImportSettings, import_labels

arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

CLASSES = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))
LABELS = np.array([[0, 1, 255], [1, 1, 0]], np.uint8)


def picture(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind, **options)
    return file.getvalue()


def row(**changes: Any) -> dict[str, Any]:
    """A row that is as it should be, with changes; None takes a column out."""
    image = {"bytes": picture(np.zeros((2, 3, 3), np.uint8)), "path": None}
    label = {"bytes": picture(LABELS), "path": None}
    sound = {"image": image, "label": label, "video": "drive", "frame": "000", **changes}
    return {name: value for name, value in sound.items() if value is not None}


def write(folder: Path, *rows: dict[str, Any], names: Any = ("road", "car")) -> Path:
    """Write a data set."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.Table.from_pylist(list(rows)), folder / "data" / "train-00000-of-00001.parquet")
    if names is not None:
        listed = names if isinstance(names, dict) else {str(n): name for n, name in enumerate(names)}
        (folder / "id2label.json").write_text(json.dumps(listed))
    return folder


def refusal(source: Path, target: Path, *, frames: Path | None = None, **options: Any) -> str:
    settings = ImportSettings(frames=frames, options=ImportOptions(**options))
    with pytest.raises(WarpRefineError) as caught:
        import_labels("huggingface", source, target / "new", settings=settings)
    assert not (target / "new").exists()
    return str(caught.value)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A data set folder of one frame, without label maps."""
    folder = write_project(tmp_path / "frames", CLASSES, {"drive": {"000": LABELS}})
    (folder / "videos" / "drive" / "labels" / "000.png").unlink()
    return folder


def test_pictures_lie_in_the_table_and_make_a_data_set_of_their_own(tmp_path: Path) -> None:
    """With a label map for each row that has one."""
    source = write(tmp_path / "in", row(), row(frame="001", label={"bytes": None, "path": None}))

    report = import_labels("huggingface", source, tmp_path / "new")

    assert (read_maps(tmp_path / "new")["drive"]["000"] == LABELS).all()
    assert report.classes.names == ("road", "car")
    assert any("1 rows have no label map" in note for note in report.notes)


def test_classes_are_named_by_the_features_or_a_configuration(tmp_path: Path, frames: Path) -> None:
    """Where there is no id2label.json."""
    project = write_project(tmp_path / "project", CLASSES, {"drive": {"000": LABELS}})
    export_labels("huggingface", project, tmp_path / "out")
    (tmp_path / "out" / "id2label.json").unlink()
    import_labels("huggingface", tmp_path / "out", tmp_path / "features")
    configured = write(tmp_path / "in", row(), names=None)
    (configured / "config.json").write_text('{"id2label": {"1": "road", "0": "car"}}')
    import_labels("huggingface", configured, tmp_path / "configured", settings=ImportSettings(frames=frames))
    (configured / "config.json").unlink()
    import_labels("huggingface", configured, tmp_path / "own", settings=ImportSettings(frames=frames))

    assert (read_maps(tmp_path / "features")["drive"]["000"] == LABELS).all()
    assert (read_maps(tmp_path / "own")["drive"]["000"] == LABELS).all()
    assert read_maps(tmp_path / "configured")["drive"]["000"].tolist() == [[1, 0, 255], [0, 0, 1]]
    assert "no id2label.json, and nothing else that names the classes" in refusal(configured, tmp_path)


def test_void_may_be_zero_or_have_a_name(tmp_path: Path, frames: Path) -> None:
    """Reducing labels by one and a class called unlabeled both give the same label maps."""
    shifted = {"bytes": picture(LABELS + 1), "path": None}
    source = write(tmp_path / "shifted", row(label=shifted))
    options = ImportOptions(reduce_zero_label=True)
    import_labels(
        "huggingface", source, tmp_path / "a", settings=ImportSettings(frames=frames, options=options)
    )
    source = write(tmp_path / "named", row(label=shifted), names={"0": "unlabeled", "1": "road", "2": "car"})
    import_labels("huggingface", source, tmp_path / "b", settings=ImportSettings(frames=frames))

    assert (read_maps(tmp_path / "a")["drive"]["000"] == LABELS).all()
    assert (read_maps(tmp_path / "b")["drive"]["000"] == LABELS).all()


def test_a_palette_that_datasets_keeps_as_tiff_is_read_and_a_smeared_one_refused(tmp_path: Path) -> None:
    """Packing by LZW keeps every value; packing by JPEG does not."""
    kept = {"bytes": picture(LABELS, "TIFF", compression="tiff_lzw"), "path": None}
    import_labels("huggingface", write(tmp_path / "in", row(label=kept)), tmp_path / "data")
    assert (read_maps(tmp_path / "data")["drive"]["000"] == LABELS).all()

    smeared = {"bytes": picture(LABELS, "TIFF", compression="jpeg"), "path": None}
    message = refusal(write(tmp_path / "in", row(label=smeared)), tmp_path)
    assert "row 0, label is a TIFF in L, packed as jpeg; expected an index PNG" in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": None, "image": None}, "expected one of label maps, called label or annotation; rename it"),
        ({"mask": {"bytes": b"", "path": None}}, "has the columns image, label, mask"),
        ({"video": None, "frame": None}, "nothing says which frame a row is"),
        ({"frame": None, "index": -3}, "row 0 has index = '-3'; expected the number of a frame"),
        ({"image": {"bytes": None, "path": None}}, "row 0, image holds no picture"),
        ({"label": {"bytes": None, "path": "../a.png"}}, "is the file '../a.png', which does not lie beside"),
        ({"label": {"bytes": b"no picture", "path": None}}, "row 0, label is no picture that can be read"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    """Columns are missing, too many or of wrong values, or a picture is absent or damaged."""
    assert words in refusal(write(tmp_path / "in", row(**changes)), tmp_path)


def test_a_link_that_leads_out_of_the_data_set_is_refused(tmp_path: Path, frames: Path) -> None:
    """Its own path lies beside the table, but the file that it leads to does not."""
    source = write(tmp_path / "in", row(label={"bytes": None, "path": "a.png"}))
    (tmp_path / "secret.png").write_bytes(picture(LABELS))
    (source / "data" / "a.png").symlink_to(tmp_path / "secret.png")

    assert "a link that leads elsewhere" in refusal(source, tmp_path, frames=frames)


@pytest.mark.parametrize(
    ("names", "words"),
    [({"x": "road"}, "has 'x'; expected values from 0"), ({"0": 5}, "has 0 = 5; expected a text")],
)
def test_names_of_another_form_are_refused(tmp_path: Path, names: dict[str, Any], words: str) -> None:
    """Keys of id2label.json are whole numbers, and what they stand for are texts."""
    assert words in refusal(write(tmp_path / "in", row(), names=names), tmp_path)


def test_tables_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """Damaged ones, and those of columns that are there twice."""
    source = write(tmp_path / "in", row())
    path = source / "data" / "train-00000-of-00001.parquet"
    twice = arrow.Table.from_arrays([arrow.array(["a"]), arrow.array(["b"])], names=["frame", "frame"])
    parquet.write_table(twice, path)
    assert "has a column twice: frame, frame" in refusal(source, tmp_path)
    path.write_bytes(b"PAR1 and no more")
    assert "train-00000-of-00001.parquet cannot be read" in refusal(source, tmp_path)
    path.unlink()
    assert "expected data/*.parquet, *.arrow or metadata.jsonl" in refusal(source, tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("metadata.jsonl", '{"file_name": "a.png"', "metadata.jsonl, line 1, is no JSON"),
        ("metadata.jsonl", "[1]\n", r"metadata.jsonl, line 1, is [1]; expected an object"),
        ("metadata.csv", 'file_name,label_file_name\n"a\n', "metadata.csv is no CSV"),
    ],
)
def test_lists_of_files_of_another_form_are_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    """The message says which file is damaged, and the line if it is one of JSON."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_text(text)

    assert words in refusal(tmp_path / "in", tmp_path)


def test_a_list_of_files_may_be_a_table_with_commas(tmp_path: Path, frames: Path) -> None:
    """Its paths are relative to metadata.csv, and its columns name video and frame."""
    (tmp_path / "in" / "masks").mkdir(parents=True)
    (tmp_path / "in" / "masks" / "000.png").write_bytes(picture(LABELS))
    text = "file_name,label_file_name,video,frame\nimages/000.png,masks/000.png,drive,000\n"
    (tmp_path / "in" / "metadata.csv").write_text(text)

    settings = ImportSettings(frames=frames)
    import_labels("huggingface", tmp_path / "in", tmp_path / "new", settings=settings)

    assert (read_maps(tmp_path / "new")["drive"]["000"] == LABELS).all()


def test_an_export_is_cut_into_shards_and_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their number is in their names, and the features name the classes."""
    maps = {video: {f"{number:03d}": LABELS for number in range(4)} for video in ("a", "b")}
    project = write_project(tmp_path / "project", CLASSES, maps)
    monkeypatch.setattr(huggingface_export, "_MOST_IN_GROUP", 2)
    monkeypatch.setattr(huggingface_export, "_LARGEST_SHARD", 1)

    settings = ExportSettings(split=0.5, min_confidence=0.25)
    export_labels("huggingface", project, tmp_path / "out", settings=settings)

    assert sorted(path.name for path in (tmp_path / "out" / "data").iterdir()) == [
        f"{split}-{number:05d}-of-00002.parquet" for split in ("train", "validation") for number in (0, 1)
    ]
    schema = parquet.read_schema(tmp_path / "out" / "data" / "train-00000-of-00002.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["classes"] == [{"names": ["road", "car"], "_type": "ClassLabel"}]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "path: data/validation-*" in card
    assert "Labels less sure than 0.25 are void." in card
    assert "| 1 | car | 0, 0, 142 | 50.00 % |" in card


def test_ids_are_told_to_be_lost(tmp_path: Path) -> None:
    """The note lists the ids that the classes had, and is the only one."""
    classes = ClassSet(names=("road", "car"), colors=CLASSES.colors, file_ids=(7, 26))
    project = write_project(tmp_path / "project", classes, {"drive": {"000": LABELS}})

    notes = export_labels("huggingface", project, tmp_path / "out").notes

    assert notes == ("values are the positions of the classes from 0, and not their ids (7, 26)...",)


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow an import ends with a message that says so, not with an ImportError."""
    source = write(tmp_path / "in", row())
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)

    with pytest.raises(DatasetError, match=r"needs the package pyarrow, which is missing"):
        import_labels("huggingface", source, tmp_path / "new")
