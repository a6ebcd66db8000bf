"""Tests of jobs/corrections.py and copy_corrections.py: corrected frames are key frames of the run alone."""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path

import pytest
import torch

from warprefine import FinishedRun, autolabel, load_recipe, open_dataset
from warprefine.core.errors import DatasetError, KeyFrameError, LabelError, RunFolderError
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.io.atomic import lock_of
from warprefine.io.images import read_labels
from warprefine.jobs.copy_corrections import copy_corrections
from warprefine.jobs.corrections import due_redos, put_correction, save_correction
from warprefine.jobs.export_labels import ExportSettings, export_labels

METHODS = ("motion-only", "oracle")
FRAME, KEY = 5, 3


def hashes(folder: Path) -> dict[str, str]:
    """Return a hash of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def labelled(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set and a run that labelled it by motion; copied for each test."""
    folder = tmp_path_factory.mktemp("corrected")
    shutil.copytree(tiny_data, folder / "data")
    recipe = load_recipe(tiny_recipe)
    autolabel(
        open_dataset(folder / "data"), folder / "run", horizon=3, methods=METHODS, recipe=recipe, reuse=False
    )
    return folder


@pytest.fixture
def run(labelled: Path) -> Path:
    """The run without corrections; its data set is the same for all tests, which none alters."""
    for name in ("corrections", "redo"):
        shutil.rmtree(labelled / "run" / name, ignore_errors=True)
    return labelled / "run"


def correct(run: Path, frame: int = FRAME) -> LabelMaps:
    """Correct a frame of the first video: everything is of class 2; return the labels."""
    finished = FinishedRun.open(run)
    labels = torch.full((1, 48, 64), 2, dtype=torch.uint8)
    save_correction(finished.dataset.videos[0], frame, labels, classes=finished.dataset.classes, root=run)
    return labels


def test_a_correction_is_a_key_frame_of_the_run(run: Path) -> None:
    """It is read as a key frame, certain and at distance 0, at once; truth of that frame is not scored."""
    before = FinishedRun.open(run)
    labels = correct(run)

    finished = FinishedRun.open(run)
    video = finished.dataset.videos[0]
    (shown,) = (one for one in finished.labels(video.name, "motion-only") if one.frame == FRAME)

    assert video.key_frames == (KEY, FRAME)
    assert video.corrected == (FRAME,)
    assert shown.labels.equal(labels)
    assert (shown.distance, shown.key_frames, shown.stage) == (0, (FRAME,), None)
    assert float(shown.confidence.min()) == 1
    assert FRAME in before.dataset.videos[0].truth
    assert FRAME not in video.truth
    assert finished.dataset.videos[1] == before.dataset.videos[1]
    assert finished.evaluate().keys() == {*METHODS}


def test_a_key_frame_of_the_data_is_replaced(run: Path) -> None:
    """A corrected key frame has the corrected labels in the run, and its own again when taken back."""
    own = FinishedRun.open(run).dataset.videos[0].labels[KEY]
    correct(run, KEY)
    corrected = FinishedRun.open(run).dataset.videos[0]
    put_correction(corrected, KEY, None, root=run)

    assert corrected.labels[KEY] == run / "corrections" / corrected.name / "000003.png"
    assert FinishedRun.open(run).dataset.videos[0].labels[KEY] == own
    assert FinishedRun.open(run).dataset.videos[0].corrected == ()


def test_the_data_are_not_altered(run: Path, labelled: Path) -> None:
    """Correcting writes below the run alone: the correction, and what is to be labelled again."""
    data, files = hashes(labelled / "data"), hashes(run)
    correct(run)

    new = {name for name, content in hashes(run).items() if files.get(name) != content}
    assert hashes(labelled / "data") == data
    assert {Path(name).parts[0] for name in new} == {"corrections", "redo"}
    assert [(due.video, due.frame) for due in due_redos(run)] == [("street-000", FRAME)]


def test_the_newest_correction_is_due_first(run: Path) -> None:
    """Frames beside which labels are due come in reverse order of time."""
    for frame in (1, 6, 2):
        correct(run, frame)

    assert [due.frame for due in due_redos(run)] == [2, 6, 1]


@pytest.mark.parametrize(
    ("frame", "labels", "error", "message"),
    [
        (
            7,
            torch.zeros(1, 48, 64),
            KeyFrameError,
            "no frame 7 that can be corrected; expected one of 0 to 6",
        ),
        (5, torch.zeros(1, 24, 64), LabelError, r"is 24 x 64 \(h x w\), but its frame is 48 x 64; draw it"),
        (5, torch.full((1, 48, 64), VOID), LabelError, "labels no pixel, which makes no key frame"),
        (5, torch.full((1, 48, 64), 77), LabelError, "holds class 77"),
    ],
)
def test_what_makes_no_key_frame_is_refused(
    run: Path, frame: int, labels: torch.Tensor, error: type[Exception], message: str
) -> None:
    """Frames that are not there, other sizes, void and foreign classes: one line each, nothing is written."""
    finished, before = FinishedRun.open(run), hashes(run)

    with pytest.raises(error, match=message):
        save_correction(
            finished.dataset.videos[0],
            frame,
            labels.to(torch.uint8),
            classes=finished.dataset.classes,
            root=run,
        )
    assert hashes(run) == before


def test_export_has_corrections_as_key_frames(run: Path, tmp_path: Path) -> None:
    """Key frames alone are exported with the correction among them, as it was drawn."""
    labels = correct(run)
    settings = ExportSettings(method="motion-only", frames="key")

    report = export_labels("index-png", run, tmp_path / "out", settings=settings)

    assert report.frames == {"street-000": 2, "street-001": 1}
    classes = FinishedRun.open(run).dataset.classes
    (path,) = (path for path in (tmp_path / "out").rglob("000005.png") if "images" not in str(path))
    assert read_labels(path, classes).equal(labels)


def test_autolabel_labels_from_corrections(
    labelled: Path, tiny_recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Frames come from their nearest key frame, a correction among them."""
    shutil.copytree(labelled / "run", tmp_path / "run")
    correct(tmp_path / "run")
    dataset, recipe = open_dataset(labelled / "data"), load_recipe(tiny_recipe)

    finished = autolabel(dataset, tmp_path / "run", horizon=3, methods=METHODS, recipe=recipe, reuse=False)

    keys = {one.frame: one.key_frames for one in finished.labels("street-000", "motion-only")}
    assert keys == {0: (3,), 1: (3,), 2: (3,), 3: (3,), 4: (3,), 5: (5,), 6: (5,)}
    again = FinishedRun.open(tmp_path / "run")
    assert again.evaluate() == finished.scores
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_networks_that_have_not_learned_from_corrections_are_told_of(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Labelling again says that corrections were not trained on, and `retrain` trains on them."""
    dataset, recipe, run = open_dataset(tiny_data), load_recipe(tiny_recipe), tmp_path / "run"
    autolabel(dataset, run, horizon=2, methods=["semantic-only"], recipe=recipe, reuse=False)
    weights = (run / "checkpoints" / "segmenter.safetensors").read_bytes()
    correct(run)

    autolabel(dataset, run, horizon=2, methods=["semantic-only"], recipe=recipe, reuse=False)
    assert "the data changed since the networks" in caplog.text
    assert "(corrections: 1); frames are labelled with the old networks" in caplog.text
    assert (run / "checkpoints" / "segmenter.safetensors").read_bytes() == weights

    autolabel(dataset, run, horizon=2, methods=["semantic-only"], recipe=recipe, reuse=False, retrain=True)
    assert (run / "checkpoints" / "segmenter.safetensors").read_bytes() != weights
    caplog.clear()
    autolabel(dataset, run, horizon=2, methods=["semantic-only"], recipe=recipe, reuse=False)
    assert "the data changed" not in caplog.text


# copied into the data set


def test_corrections_are_copied_into_the_data_on_request(run: Path, labelled: Path, tmp_path: Path) -> None:
    """A label map for each corrected frame is written, once; the folder then has another key frame."""
    data = shutil.copytree(labelled / "data", tmp_path / "data")
    labels = correct(run)

    written = copy_corrections(run, data)

    assert written == [data / "videos" / "street-000" / "labels" / "000005.png"]
    dataset = open_dataset(data)
    assert dataset.videos[0].key_frames == (KEY, FRAME)
    assert read_labels(written[0], dataset.classes).equal(labels)
    assert copy_corrections(run, data) == []


def test_copying_again_clears_up_after_a_killed_copy(run: Path, labelled: Path, tmp_path: Path) -> None:
    """The lock that is left beside a label map which is in place already goes, and nothing is written."""
    data = shutil.copytree(labelled / "data", tmp_path / "data")
    correct(run)
    (target,) = copy_corrections(run, data)
    lock_of(target).touch()

    again = copy_corrections(run, data)

    assert again == []
    assert [path.name for path in target.parent.iterdir() if path.name.startswith(".")] == []


def test_label_maps_of_the_data_are_not_overwritten_unasked(
    run: Path, labelled: Path, tmp_path: Path
) -> None:
    """A label map of other content is in the way of all, unless overwriting is asked for."""
    data = shutil.copytree(labelled / "data", tmp_path / "data")
    before = hashes(data)
    for frame in (KEY, FRAME):
        correct(run, frame)

    with pytest.raises(
        LabelError, match=r"1 label map of .* with other labels than the corrections: .*add --overwrite"
    ):
        copy_corrections(run, data)
    assert hashes(data) == before
    assert len(copy_corrections(run, data, overwrite=True)) == 2


def test_corrections_are_copied_into_their_own_data_set_alone(
    run: Path, labelled: Path, tmp_path: Path
) -> None:
    """Folders without classes, with other classes or without the frame are refused."""
    correct(run)
    with pytest.raises(DatasetError, match=r"has no classes.toml; expected a data set folder"):
        copy_corrections(run, tmp_path)
    data = shutil.copytree(labelled / "data", tmp_path / "data")
    for path in data.rglob("000005.*"):
        path.unlink()
    with pytest.raises(
        DatasetError, match="has no frame 000005 of a video 'street-000', which was corrected"
    ):
        copy_corrections(run, data)
    text = (data / "classes.toml").read_text(encoding="utf-8")
    (data / "classes.toml").write_text(text.replace('"car"', '"lorry"'), encoding="utf-8")
    with pytest.raises(LabelError, match="expected the same classes in the same order"):
        copy_corrections(run, data)


def test_a_damaged_record_is_named(run: Path) -> None:
    """A record of what is to be labelled again that holds no JSON is named."""
    (run / "redo").mkdir()
    (run / "redo" / "1.json").write_text("{")

    with pytest.raises(RunFolderError, match=r"redo/1\.json"):
        due_redos(run)
