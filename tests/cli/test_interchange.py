"""Tests of cli/interchange.py: labels are imported, exported and inspected from the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from warprefine.interchange import EXPORTERS, IMPORTERS, format_name
from warprefine.interchange.formats import ALIASES


@pytest.fixture
def coco(warprefine: Any, data: Path, tmp_path: Path) -> Path:
    """The labels of a data set in COCO's format."""
    done = warprefine("export", "coco", data, tmp_path / "coco")
    assert done.exit_code == 0, done.output
    return tmp_path / "coco"


@pytest.mark.parametrize(("command", "formats"), [("import", IMPORTERS), ("export", EXPORTERS)])
def test_formats_are_listed_with_what_they_keep_and_lose(
    warprefine: Any, command: str, formats: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any other argument; each text in full in a column of its own, on a terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")
    done = warprefine(command, "--list")

    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 100
    names = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert names == sorted(formats)
    indent = max(map(len, formats)) + 2
    texts = " ".join(line[indent:].strip() for line in done.stdout.splitlines())
    for one in formats.values():
        assert f"{one.about} keeps: {one.keeps} loses: {one.loses}" in texts


def test_formats_have_further_names_and_any_hyphens(warprefine: Any, data: Path, tmp_path: Path) -> None:
    """As tools and the folders of their exports are called; an unknown name is refused as it was typed."""
    done = warprefine("export", "COCO_instances", data, tmp_path / "out")
    back = warprefine("import", "coco_instances", tmp_path / "out", tmp_path / "back", "--frames", data)
    shown = warprefine("inspect", tmp_path / "out", "--reader", "coco_instances", "--frames", data)
    unknown = warprefine("import", "Coco_Instance", tmp_path / "out", tmp_path / "other")

    assert (done.exit_code, back.exit_code, shown.exit_code) == (0, 0, 0), done.output + back.output
    assert "no format is called 'Coco_Instance'" in unknown.output
    assert format_name("cvat_smask") == "cvat-masks"
    assert not ALIASES.keys() & {*IMPORTERS, *EXPORTERS}
    assert {*ALIASES.values()} <= {*IMPORTERS, *EXPORTERS}


def test_labels_go_out_and_in(warprefine: Any, data: Path, coco: Path, tmp_path: Path) -> None:
    """The frames are those of a data set folder, and so are the classes."""
    done = warprefine("import", "coco", coco, tmp_path / "new", "--frames", data)

    assert done.exit_code == 0, done.output
    assert "street-000: 1 label map" in done.stdout
    assert f"data: {tmp_path / 'new'}, " in done.stdout
    for path in data.glob("videos/*/labels/*.png"):
        assert (tmp_path / "new" / path.relative_to(data)).read_bytes() == path.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["coco", "data", "new"]


def test_labels_are_added_to_a_data_set(warprefine: Any, data: Path, coco: Path) -> None:
    """For frames that have none; label maps that are there are kept, and never replaced by others."""
    gone, kept = (data / "videos" / name / "labels" / "000003.png" for name in ("street-000", "street-001"))
    labels, other = gone.read_bytes(), kept.read_bytes()
    gone.unlink()
    done = warprefine("import", "coco", coco, data, "--add")
    kept.write_bytes(labels)
    gone.unlink()
    refused = warprefine("import", "coco", coco, data, "--add")

    assert done.exit_code == 0, done.output
    assert refused.exit_code == 2
    assert "000003.png is there already with other labels; expected frames without" in refused.stderr
    assert not gone.exists()
    assert kept.read_bytes() == labels != other


def test_an_existing_folder_is_not_overwritten(
    warprefine: Any, data: Path, coco: Path, tmp_path: Path, content: Callable[[Path], Any]
) -> None:
    """Neither as DATA nor as DEST."""
    before = content(tmp_path)

    for words in (("import", "coco", coco, data), ("export", "coco", data, coco)):
        done = warprefine(*words)
        assert done.exit_code == 2
        assert "exists already; expected a new name" in done.stderr
        assert done.stderr.count("\n") == 1

    assert content(tmp_path) == before


def test_classes_are_mapped_and_what_is_unlabelled_is_filled(
    warprefine: Any, data: Path, coco: Path, tmp_path: Path
) -> None:
    """By options; a pair that is none is refused."""
    words = ("import", "coco", coco, tmp_path / "new", "--frames", data, "--background", "sky")
    done = warprefine(*words, "--map", "road=", "--map", "car=sky")
    odd = warprefine("import", "coco", coco, tmp_path / "odd", "--map", "sky")
    twice = warprefine("import", "coco", coco, tmp_path / "odd", "--map", "sky=a", "--map", "sky=b")

    assert done.exit_code == 0, done.output
    shown = warprefine("inspect", tmp_path / "new")
    assert re.search(r"^sky +[1-9]", shown.stdout, re.MULTILINE)
    assert re.search(r"^(road|void) +0.00 %", shown.stdout, re.MULTILINE)
    assert odd.exit_code == twice.exit_code == 2
    assert "--map 'sky' is not OLD=NEW" in odd.stderr
    assert "--map leads 'sky' to 'a' and to 'b'" in twice.stderr


def test_classes_are_mapped_on_their_way_out(warprefine: Any, data: Path, tmp_path: Path) -> None:
    """By the option of the import; without it the refusal names it."""
    words = ("export", "cityscapes", data, tmp_path / "out", "--map", "sign=traffic sign", "--map", "tree=")
    people = ("--map", "pedestrian=person", "--map", "bicyclist=rider")
    refused = warprefine(*words, *people)
    odd = warprefine(*words, "--map", "pavement")
    done = warprefine(*words, *people, "--map", "pavement=sidewalk")

    assert refused.exit_code == odd.exit_code == 2
    assert "has the class 'pavement', which Cityscapes does not have" in refused.stderr
    assert "say --map pavement=CLASS, or --map pavement= for void" in refused.stderr
    assert "--map 'pavement' is not OLD=NEW" in odd.stderr
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out").rglob("*_labelIds.png"))) == 2


def test_unknown_formats_and_frames_are_refused(warprefine: Any, data: Path, tmp_path: Path) -> None:
    """With the nearest name."""
    done = warprefine("import", "cocoa", data, tmp_path / "new")
    wanted = warprefine("export", "coco", data, tmp_path / "new", "--frames", "some")

    assert done.exit_code == wanted.exit_code == 2
    assert "no format is called 'cocoa'; did you mean 'coco'" in done.stderr
    assert "--frames is 'some'; expected key, labelled or all" in wanted.stderr


def test_an_export_is_inspected_directly(warprefine: Any, data: Path, coco: Path) -> None:
    """By the name of its format; nothing is left behind."""
    plain = warprefine("inspect", data)
    by_reader = warprefine("inspect", coco, "--reader", "coco", "--frames", data)
    by_format = warprefine("inspect", coco, "--format", "coco", "--frames", data)

    assert by_reader.exit_code == by_format.exit_code == 0, by_reader.output
    shown = [line for line in plain.stdout.splitlines() if "%" in line or "street-" in line]
    assert len(shown) > 3
    shares = [line for line in shown if "%" in line]
    assert all(line in by_reader.stdout for line in shares)
    assert by_format.stdout.split("street-000", 1)[-1] == by_reader.stdout.split("street-000", 1)[-1]


def test_index_pngs_without_names_are_inspected_with_those_of_the_user(
    warprefine: Any, data: Path, tmp_path: Path
) -> None:
    """By the options of an import, which the message about missing names advises."""
    assert warprefine("export", "index-png", data, tmp_path / "out").exit_code == 0
    listed = tmp_path / "out" / "classes.txt"
    names = listed.read_text().splitlines()
    (tmp_path / "out" / "classes.toml").unlink()
    listed.unlink()

    refused = warprefine("inspect", tmp_path / "out", "--reader", "index-png")
    named = warprefine("inspect", tmp_path / "out", "--reader", "index-png", "--names", ",".join(names))

    assert refused.exit_code == 2
    assert "say --names road,car,... in the order of the values" in " ".join(refused.stderr.split())
    assert named.exit_code == 0, named.output
    assert all(name in named.stdout for name in names)


def test_a_format_that_is_called_like_a_reader_is_inspected_too(
    warprefine: Any, data: Path, tmp_path: Path
) -> None:
    """What is an archive, or comes with `--frames`, is an export and no research data set."""
    assert warprefine("export", "camvid", data, tmp_path / "out").exit_code == 0
    assert warprefine("export", "camvid", data, tmp_path / "out.zip", "--pictures").exit_code == 0

    folder = warprefine("inspect", tmp_path / "out", "--reader", "camvid", "--frames", data)
    archive = warprefine("inspect", tmp_path / "out.zip", "--reader", "camvid")

    assert folder.exit_code == 0, folder.output
    assert archive.exit_code == 0, archive.output
    assert "street-000" in folder.stdout
    assert "street-000" in archive.stdout


def test_a_run_takes_an_export_as_data(
    warprefine: Any, data: Path, coco: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """It is imported beside the run once; another export is refused there."""
    words = ("autolabel", coco, "--format", "coco", "--frames", data, "--out", tmp_path / "run")
    how = ("--method", "motion-only", "--recipe", tiny_recipe)

    done = warprefine(*words, *how)
    again = warprefine(*words, *how)
    (coco / "annotations" / "instances_train.json").touch()
    changed = warprefine(*words, *how)

    assert done.exit_code == again.exit_code == 0, done.output
    record = json.loads((tmp_path / "run-data" / "import.json").read_text())
    assert (record["format"], record["source"]) == ("coco", str(coco))
    assert changed.exit_code == 2
    assert "holds an import with another content" in changed.stderr


def test_classes_are_proposed_for_label_maps_without_any(warprefine: Any, data: Path) -> None:
    """The data set can then be inspected."""
    (data / "classes.toml").unlink()

    done = warprefine("classes", data)
    shown = warprefine("inspect", data)
    again = warprefine("classes", data)

    assert done.exit_code == 0, done.output
    assert "class-0" in done.stdout
    assert f"classes: {data / 'classes.toml'}, " in done.stdout
    assert shown.exit_code == 0, shown.output
    assert again.exit_code == 2
    assert "exists already" in again.stderr


def test_classes_of_colour_pictures_are_proposed(warprefine: Any, tmp_path: Path) -> None:
    """They keep their colours, so that they are read as they are, and by the importer of colour PNGs."""
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[:4], pixels[4:5] = (200, 0, 0), (0, 200, 0)
    for part in ("frames", "labels"):
        path = tmp_path / "data" / "videos" / "drive" / part / "000.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(pixels).save(path)

    done = warprefine("classes", tmp_path / "data", "--names", "road, car")
    shown = warprefine("inspect", tmp_path / "data", "--check")

    assert done.exit_code == 0, done.output
    assert "2 from the colours of 1 label PNG" in done.stdout
    assert shown.exit_code == 0, shown.output
    assert "66.67 %" in shown.stdout
    assert "road" in shown.stdout
