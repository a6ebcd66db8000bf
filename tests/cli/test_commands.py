"""Tests of cli/commands.py: what each command does, prints and returns."""

from __future__ import annotations

import errno
import json
import logging
import re
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from warprefine import Dataset, Recipe, open_dataset
from warprefine.cli import commands, main
from warprefine.core.engine import Engine
from warprefine.core.errors import TrainingStopped
from warprefine.core.progress import Progress
from warprefine.io.run import RunFolder
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.networks import Networks
from warprefine.propagation.methods import DEFAULT_METHODS, METHODS


def table_in(text: str) -> list[str]:
    """Return the lines of the table of scores in what a command printed."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("mIoU %"))
    return lines[start : start + 1 + sum(line.split(" ")[0] in METHODS for line in lines)]


def finished_in(run: RunFolder, dataset: Dataset) -> FinishedRun:
    """Return a run that has labelled nothing."""
    return FinishedRun(run=run, dataset=dataset, horizon=3, recipe=Recipe(), methods=())


# autolabel and evaluate


def test_autolabel_and_evaluate_print_the_same_table(
    warprefine: Any, tiny_data: Path, tmp_path: Path
) -> None:
    """The scores that a run printed can be printed again."""
    labelled = warprefine(
        *("autolabel", tiny_data, "--out", tmp_path / "run", "--horizon=3"),
        *("--method=oracle", "--method=motion-only"),
    )
    evaluated = warprefine("evaluate", tmp_path / "run")

    assert (labelled.exit_code, evaluated.exit_code) == (0, 0)
    assert re.fullmatch(r"mIoU % +k=1 +k=2 +k=3 +mean", table_in(evaluated.stdout)[0])
    assert [line.split()[0] for line in table_in(evaluated.stdout)[1:]] == ["motion-only", "oracle"]
    assert table_in(labelled.stdout) == table_in(evaluated.stdout)
    assert f"labels: {tmp_path / 'run/labels'}" in labelled.stdout
    assert f"report: {tmp_path / 'run/report.html'}" in labelled.stdout
    assert labelled.stderr == ""


def test_void_can_be_scored_as_a_class(warprefine: Any, tiny_data: Path, tmp_path: Path) -> None:
    """The table with VOID as a class is another one."""
    warprefine("autolabel", tiny_data, "--out", tmp_path, "--horizon=3", "--method=motion-only")

    plain = table_in(warprefine("evaluate", tmp_path).stdout)

    assert table_in(warprefine("evaluate", tmp_path, "--void-as-class").stdout) != plain


def test_autolabel_runs_the_methods_that_are_named(
    warprefine: Any, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some methods run in the usual order; `all` runs all; none named runs ours and the cheap ones."""
    calls: list[Any] = []

    def note(networks: Networks, methods: Any, **_: object) -> FinishedRun:
        calls.append(methods)
        return finished_in(networks.context.run, networks.context.dataset)

    monkeypatch.setattr(commands, "label_in_stages", note)
    words = ("autolabel", tiny_data, "--out", tmp_path / "run", "--horizon=3")
    warprefine(*words)
    warprefine(*words, "--method=oracle", "--method=motion-only")
    warprefine(*words, "--method=all", "--method=motion-only")

    assert calls == [DEFAULT_METHODS, ("motion-only", "oracle"), tuple(METHODS)]


def test_a_broken_clip_is_reported_when_the_others_are_done(
    warprefine: Any, data: Path, tmp_path: Path
) -> None:
    """Exit code 1, one line for the clip, and labels for all other clips."""
    (data / "videos/street-000/frames/000005.jpg").write_bytes(b"")

    result = warprefine("autolabel", data, "--out", tmp_path / "run", "--horizon=3", "--method=motion-only")

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert re.fullmatch(r"error: .*street-000/frames/000005\.jpg .*", line)
    assert len(list((tmp_path / "run/labels/motion-only/street-001").iterdir())) == 7
    assert "report: " in result.stdout
    assert re.search(r"ERROR .*left out: .*000005\.jpg", (tmp_path / "run/log.txt").read_text())
    evaluated = warprefine("evaluate", tmp_path / "run")
    assert table_in(evaluated.stdout) == table_in(result.stdout)


def test_a_video_that_cannot_be_opened_joins_once_it_is_mended(
    warprefine: Any, data: Path, tmp_path: Path
) -> None:
    """It is reported like any broken clip, and the same command labels it later."""
    words = ("autolabel", data, "--out", tmp_path / "run", "--horizon=3", "--method=motion-only")
    frames = data / "videos/street-000/frames"
    frames.rename(data / "elsewhere")
    (data / "videos/street-000.mp4").write_bytes(b"no video")

    broken = warprefine(*words)

    assert broken.exit_code == 1
    assert re.fullmatch(r"error: .*street-000\.mp4.*\n", broken.stderr)
    assert "street-000.mp4" in (tmp_path / "run/left_out.json").read_text()
    (data / "videos/street-000.mp4").unlink()
    (data / "elsewhere").rename(frames)
    assert warprefine(*words).exit_code == 0
    assert len(list(tmp_path.glob("run/labels/motion-only/*/*.png"))) == 14
    assert not (tmp_path / "run/left_out.json").exists()


def test_what_is_not_labelled_is_said_and_recorded(warprefine: Any, data: Path, tmp_path: Path) -> None:
    """Screen, log, report and left_out.json name a clip without labels and a blank key frame."""
    shutil.rmtree(data / "videos/street-000/labels")
    Image.new("L", (64, 48), 255).save(data / "videos/street-001/labels/000001.png")
    (data / "videos/street-001/truth/000001.png").unlink()
    run = tmp_path / "run"

    result = warprefine("autolabel", data, "--out", run, "--horizon=1", "--method=motion-only")

    assert result.exit_code == 0, result.output
    for text in (result.stdout, (run / "log.txt").read_text(), (run / "report.html").read_text()):
        assert "1 of 2 videos have no key frame and are not labelled: street-000" in text
        assert "1 of 2 label maps of key frames hold no labelled pixel" in text
    assert list(json.loads((run / "left_out.json").read_text())) == ["street-000", "street-001/000001"]
    assert sorted(path.stem for path in (run / "labels/motion-only/street-001").iterdir()) == [
        "000002", "000003", "000004",
    ]  # fmt: skip
    finished = FinishedRun.open(run)
    assert [frame.frame for frame in finished.labels("street-001")] == [2, 3, 4]
    assert warprefine("evaluate", run).exit_code == 0


def test_frames_are_extracted_under_their_numbers(warprefine: Any, tmp_path: Path) -> None:
    """A label map that is drawn on one of them keeps its name."""
    with av.open(str(tmp_path / "drive.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for _ in range(5):
            picture = np.zeros((32, 48, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())

    result = warprefine("frames", tmp_path / "drive.mp4", "--out", tmp_path / "out", "--every=2")

    assert result.exit_code == 0, result.output
    assert f"frames: {tmp_path / 'out'}, 3 of them, numbered from 0" in result.stdout
    assert sorted(path.name for path in tmp_path.glob("out/*.png")) == [
        "000000.png", "000002.png", "000004.png",
    ]  # fmt: skip


def test_frames_out_of_reach_are_announced_and_counted(warprefine: Any, data: Path, tmp_path: Path) -> None:
    """Before the work as a note, at the end for each video."""
    (data / "videos/street-000/labels/000003.png").rename(data / "videos/street-000/labels/000000.png")

    result = warprefine("autolabel", data, "--out", tmp_path / "run", "--horizon=3", "--method=motion-only")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines.index(
        "note: 3 of 7 frames of street-000 are farther than 3 from every key frame and get no labels; label "
        "more key frames, or raise --horizon ('all': every frame)"
    ) < next(i for i, line in enumerate(lines) if line.startswith("propagating"))
    assert "street-000: 4 of 7 frames labelled, 3 out of reach (4 to 6)" in lines
    assert "street-001: 7 of 7 frames labelled" in lines
    assert "2 videos: 11 of 14 frames labelled" in lines


def test_a_clip_shorter_than_the_horizon_is_labelled_as_far_as_it_goes(
    warprefine: Any, data: Path, tmp_path: Path
) -> None:
    """Nobody has to count frames before the first call; the run can be evaluated with the same distances."""
    (data / "videos/street-000/labels/000003.png").rename(data / "videos/street-000/labels/000000.png")
    words = ("--horizon=100", "--method=motion-only")

    labelled = warprefine("autolabel", data, "--out", tmp_path / "run", *words)

    assert labelled.exit_code == 0
    assert len(list((tmp_path / "run/labels/motion-only/street-000").iterdir())) == 7
    assert re.fullmatch(r"mIoU % +k=1 +k=2 +k=3 +k=4 +k=5 +k=6 +mean", table_in(labelled.stdout)[0])
    assert table_in(warprefine("evaluate", tmp_path / "run").stdout) == table_in(labelled.stdout)


# train and propagate


def test_train_refiner_trains_all_that_it_needs(trained: Any) -> None:
    """A refiner is trained on cycles, and those need segmenters; no frame is labelled yet."""
    run, called = trained

    assert called.exit_code == 0
    assert f"weights: {run / 'checkpoints/refiner.safetensors'}" in called.stdout
    assert {path.stem for path in (run / "checkpoints").iterdir()} == {
        "segmenter",
        "segmenter-fold0",
        "segmenter-fold1",
        "refiner",
    }
    assert not (run / "labels").exists()


def test_train_two_sided_refiner_trains_all_that_it_needs(
    warprefine: Any, tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """It is trained beside segmenters, like the refiner, but neither needs the other; another run uses it."""
    words = (tiny_data, "--horizon=3", "--recipe", tiny_recipe, "--out")
    trained = warprefine("train", "two-sided-refiner", *words, tmp_path / "trained")
    checkpoints = tmp_path / "trained/checkpoints"
    written = {path.stem for path in checkpoints.iterdir()}
    weights = {part: checkpoints / f"{part}.safetensors" for part in ("segmenter", "two-sided-refiner")}

    used = warprefine(
        *("propagate", *words, tmp_path / "run", "--method=warp-refine-plus"),
        *(word for part, path in weights.items() for word in (f"--{part}", path)),
    )

    assert (trained.exit_code, used.exit_code) == (0, 0), trained.output + used.output
    assert f"weights: {checkpoints / 'two-sided-refiner.safetensors'}" in trained.stdout
    assert written == {"segmenter", "segmenter-fold0", "segmenter-fold1", "two-sided-refiner"}
    for part, path in weights.items():
        assert (tmp_path / f"run/checkpoints/{part}.safetensors").read_bytes() == path.read_bytes()
    assert len(list((tmp_path / "run/checkpoints").iterdir())) == 2
    assert len(list(tmp_path.glob("run/labels/warp-refine-plus/*/*.png"))) == 14


def test_train_segmenter_trains_that_alone(
    warprefine: Any, tiny_data: Path, tiny_recipe: Path, tmp_path: Path, trained: Any
) -> None:
    """The segmenter is the same as one that was trained on the way to a refiner."""
    words = ("train", "segmenter", tiny_data, "--out", tmp_path, "--horizon=3", "--recipe", tiny_recipe)
    result = warprefine(*words)

    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    assert result.exit_code == 0
    assert f"weights: {checkpoint}" in result.stdout
    assert checkpoint.read_bytes() == (trained[0] / "checkpoints/segmenter.safetensors").read_bytes()


def test_train_says_which_clip_it_did_without(
    warprefine: Any, data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """A training on fewer key frames than there are does not pass in silence."""
    (data / "videos/street-000/frames/000003.jpg").write_bytes(b"")

    result = warprefine(
        "train", "segmenter", data, "--out", tmp_path / "run", "--horizon=3", "--recipe", tiny_recipe
    )

    assert result.exit_code == 1
    assert re.fullmatch(r"error: .*street-000/frames/000003\.jpg .*\n", result.stderr)
    assert (tmp_path / "run/checkpoints/segmenter.safetensors").exists()


def test_motion_is_trained_without_labels_and_then_used(
    warprefine: Any, tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """What it came to is printed; another run then carries labels along it."""
    shared = (tiny_data, "--horizon=3", "--recipe", tiny_recipe)
    trained = warprefine("train", "motion", *shared, "--out", tmp_path / "motion")
    checkpoint = tmp_path / "motion/checkpoints/motion.safetensors"

    used = warprefine(
        *("propagate", *shared, "--out", tmp_path / "run", "--method=motion-only", "--motion", checkpoint)
    )

    assert (trained.exit_code, used.exit_code) == (0, 0), trained.output + used.output
    assert f"weights: {checkpoint}" in trained.stdout
    assert re.search(r"photometric error on held-out frames: 0\.\d+ before, 0\.\d+ after", trained.stdout)
    flows = [path.name for path in (tmp_path / "run/cache/flow").iterdir()]
    assert len(flows) == 1
    assert re.fullmatch(r"sdcnet-[0-9a-f]{16}-dis-ultrafast", flows[0])


def test_motion_that_was_trained_in_a_run_is_used_there(
    warprefine: Any, tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """Nobody has to name what lies in the run's own folder; without it, DIS carries the labels."""
    shared = (tiny_data, "--horizon=3", "--recipe", tiny_recipe, "--out", tmp_path)
    label = ("propagate", *shared, "--method=motion-only")

    before = warprefine(*label)
    trained = warprefine("train", "motion", *shared)
    after = warprefine(*label)

    assert [done.exit_code for done in (before, trained, after)] == [0, 0, 0]
    flows = {path.name.split("-")[0] for path in (tmp_path / "cache/flow").iterdir()}
    assert flows == {"dis", "sdcnet"}


def test_propagate_by_motion_needs_no_weights(warprefine: Any, tiny_data: Path, tmp_path: Path) -> None:
    """Nothing is trained, and no recipe is needed."""
    result = warprefine("propagate", tiny_data, "--out", tmp_path, "--horizon=3", "--method=motion-only")

    assert result.exit_code == 0
    assert len(list(tmp_path.glob("labels/motion-only/*/*.png"))) == 14
    assert not (tmp_path / "checkpoints").exists()


def test_runs_can_share_a_cache(warprefine: Any, tiny_data: Path, tmp_path: Path) -> None:
    """What can be computed again lies in the folder that is named, and not in the run."""
    cache = tmp_path / "cache"
    written = []
    for run in ("one", "two"):
        words = ("propagate", tiny_data, "--out", tmp_path / run, "--horizon=3", "--method=motion-only")
        assert warprefine(*words, "--cache", cache).exit_code == 0
        assert not (tmp_path / run / "cache").exists()
        written.append({path: path.stat().st_mtime_ns for path in cache.rglob("*.bin")})

    assert len([path for path in written[0] if path.is_relative_to(cache / "flow")]) == 2 * 6
    assert written[0] == written[1]


def test_propagate_uses_the_weights_of_another_run(
    warprefine: Any, tiny_data: Path, tmp_path: Path, trained: Any
) -> None:
    """Other key frames, another horizon, the default recipe: frames are labelled, nothing is trained."""
    weights = {part: trained[0] / f"checkpoints/{part}.safetensors" for part in ("segmenter", "refiner")}
    result = warprefine(
        *("propagate", tiny_data, "--out", tmp_path, "--horizon=2", "--keyframes=1::3"),
        *("--method=warp-inpaint", "--method=warp-refine"),
        *(word for part, path in weights.items() for word in (f"--{part}", path)),
    )

    assert result.exit_code == 0
    for part, path in weights.items():
        assert (tmp_path / f"checkpoints/{part}.safetensors").read_bytes() == path.read_bytes()
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    assert len(list(tmp_path.glob("labels/warp-refine/*/*.png"))) == 14


# inspect and demo


def test_inspect_lists_videos_and_classes(warprefine: Any, tiny_data: Path) -> None:
    """One line per video, the share of each class, and totals."""
    result = warprefine("inspect", tiny_data, "--check")

    assert result.exit_code == 0
    assert re.search(r"street-000 +7 +1 +6 +3 +64 x 48", result.stdout)
    assert "2 videos, 14 frames, 2 key frames" in result.stdout
    assert re.search(r"road +\d+\.\d\d %", result.stdout)
    assert result.stderr == ""


def test_inspect_tells_of_videos_that_cannot_be_opened(warprefine: Any, data: Path) -> None:
    """Also without --check no video is left out in silence."""
    (data / "videos/street-002.mp4").write_bytes(b"no video")

    result = warprefine("inspect", data)

    assert result.exit_code == 1
    assert "2 videos, 14 frames" in result.stdout
    assert re.fullmatch(r"error: .*street-002\.mp4.*\n", result.stderr)


def test_inspect_finds_every_broken_file(warprefine: Any, data: Path) -> None:
    """One line for each, and exit code 1."""
    for name in ("street-000/frames/000006.jpg", "street-001/truth/000000.png"):
        (data / "videos" / name).write_bytes(b"")

    result = warprefine("inspect", data, "--check")

    assert result.exit_code == 1
    assert [re.search(r"street-\S+(?:jpg|png)", line)[0] for line in result.stderr.splitlines()] == [
        "street-000/frames/000006.jpg",
        "street-001/truth/000000.png",
    ]


def test_demo_hands_its_options_on(
    warprefine: Any, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo's command is its job with a progress bar, by several processes if these are more than one."""
    options: dict[str, Any] = {}

    def run_demo(out: Path, *, device: str, seed: int, engine: Engine, progress: Progress) -> FinishedRun:
        options.update(out=out, device=device, seed=seed, is_here=engine.is_here)
        return finished_in(RunFolder(out), open_dataset(tiny_data))

    monkeypatch.setattr(commands, "run_demo", run_demo)
    for given, is_here in {"--threads=1": True, "--workers=1": True, "--workers=2": False}.items():
        result = warprefine("demo", "--out", tmp_path / "run", "--seed=4", given)

        assert result.exit_code == 0
        assert options == {"out": tmp_path / "run", "device": "cpu", "seed": 4, "is_here": is_here}


# how commands end


def test_ctrl_c_says_how_to_go_on(
    warprefine: Any, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is stopped by hand is not lost, and its user hears so."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "label_in_stages", interrupted)
    result = warprefine("autolabel", tiny_data, "--out", tmp_path, "--horizon=3")

    assert result.exit_code == 130
    assert result.stderr == "error: stopped; run the same command again, it continues where it stopped\n"


def test_ctrl_c_says_which_labels_there_are(
    warprefine: Any, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the line that says how to go on."""

    def stop(*_: object, **__: object) -> None:
        stopped = KeyboardInterrupt()
        stopped.add_note("12 frames are labelled: stage first")
        raise stopped

    monkeypatch.setattr(commands, "label_in_stages", stop)

    stopped = warprefine("autolabel", tiny_data, "--out", tmp_path / "run", "--method=motion-only")

    assert stopped.exit_code == 128 + signal.SIGINT
    assert "note: 12 frames are labelled: stage first" in stopped.stdout


def test_a_time_limit_is_no_error(
    warprefine: Any, tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """One line says what is there and that the same command goes on, and the exit code is 0."""
    ended = warprefine(
        *("autolabel", tiny_data, "--out", tmp_path / "run", "--horizon=3", "--recipe", tiny_recipe),
        *("--method=warp-refine-plus", "--time-limit=0.001s"),
    )

    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1] == (
        "note: the time limit is over: no frame is labelled yet; run the same command again, it goes on from "
        "there"
    )
    refused = warprefine("autolabel", tiny_data, "--out", tmp_path / "run", "--time-limit=5 parsecs")
    assert refused.exit_code == 2
    assert "'5 parsecs' is no time" in refused.stderr
    unknown = warprefine("autolabel", tiny_data, "--out", tmp_path / "run", "--until=worst")
    assert unknown.exit_code == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_says_what_was_saved(
    warprefine: Any,
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    number: int,
    code: int,
) -> None:
    """The line is the training's own, and the exit code is that of the signal."""
    saved = "stopped training segmenter after step 7 of 20; state saved in segmenter.state; run it again"

    def stopped(*_: object, **__: object) -> None:
        raise TrainingStopped(saved, signal=number)

    monkeypatch.setattr(commands, "label_in_stages", stopped)
    result = warprefine("autolabel", tiny_data, "--out", tmp_path, "--horizon=3")

    assert (result.exit_code, result.stderr) == (code, f"error: {saved}\n")


def test_warnings_are_notes_on_the_screen(
    warprefine: Any, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors are not printed twice, and what is only of interest later stays in the log."""

    def warning(networks: Networks, methods: Any, **_: object) -> FinishedRun:
        for level in (logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger("warprefine.somewhere").log(level, "level %d\x1b[31m", level)
        return finished_in(networks.context.run, networks.context.dataset)

    monkeypatch.setattr(commands, "label_in_stages", warning)
    for _ in range(2):
        result = warprefine("autolabel", tiny_data, "--out", tmp_path / "run", "--horizon=3")

        assert result.stdout.count("note: level 30\\x1b[31m\n") == 1
        assert "level 20" not in result.output
        assert "level 40" not in result.output


def test_a_mistake_of_ours_keeps_its_traceback(
    warprefine: Any, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the mistakes of users are cut to a line."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "label_in_stages", broken)
    result = warprefine("autolabel", tiny_data, "--out", tmp_path, "--horizon=3")

    assert isinstance(result.exception, ZeroDivisionError)
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EIO, "x", "run/labels/a.png"), "refused: Input/output error (run/labels/a.png); see"),
        (OSError(errno.EROFS, "x", b"run/\xff"), r"refused: Read-only file system (run/\xff); see to"),
        (OSError(errno.ENAMETOOLONG, "x"), "refused: File name too long; see to that and run the same"),
        (OSError(errno.ENAMETOOLONG, "x", "a" * 999), f"({'a' * 100}...{'a' * 100}); see to that and run"),
        (PermissionError(errno.EACCES, "x", "job.json"), "refused: Permission denied (job.json); see"),
        (OSError("image file is truncated"), "refused: image file is truncated; see to that"),
        (UnicodeEncodeError("utf-8", "v\udcff", 1, 2, "surrogates not allowed"), "is not UTF-8"),
        (sqlite3.OperationalError("unable to open database file"), "manifest of the run: unable to open"),
    ],
    ids=["EIO", "EROFS", "ENAMETOOLONG", "which name", "EACCES", "no number", "no UTF-8", "manifest"],
)  # fmt: skip
def test_what_the_operating_system_refuses_is_one_line(
    warprefine: Any, data: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    """Wherever it is refused, nobody has to read a traceback, which is in the log."""

    def refused(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(commands, "label_in_stages", refused)
    result = warprefine("autolabel", data, "--out", data.parent / "run", "--horizon=3")

    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert "Traceback" in (data.parent / "run/log.txt").read_text()


def test_another_error_of_encoding_is_ours(
    warprefine: Any, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only names that are not UTF-8 are their owner's to mend."""

    def broken(*_: object, **__: object) -> None:
        raise UnicodeEncodeError("ascii", "ä", 0, 1, "ordinal not in range(128)")

    monkeypatch.setattr(commands, "label_in_stages", broken)

    assert isinstance(
        warprefine("autolabel", tiny_data, "--out", tmp_path, "--horizon=3").exception, UnicodeEncodeError
    )


@pytest.mark.parametrize(
    "words",
    [
        ("autolabel", "{data}"),
        ("autolabel", "{data}", "--out={out}", "--horizon=0"),
        ("autolabel", "{data}", "--out={out}", "--horzion=3"),
        ("propagate", "{data}", "--out={out}"),
        ("train", "emotion", "{data}", "--out={out}"),
        ("lable", "{data}"),
    ],
    ids=["no folder", "no horizon", "unknown option", "no method", "unknown part", "unknown command"],
)
def test_a_command_that_makes_no_sense_is_refused(
    warprefine: Any, tiny_data: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Exit code 2, and nothing is done."""
    result = warprefine(*(word.format(data=tiny_data, out=tmp_path / "run") for word in words))

    assert result.exit_code == 2
    assert "Usage" in result.stderr
    assert not (tmp_path / "run").exists()


def test_the_log_belongs_to_its_run(warprefine: Any, tiny_data: Path, data: Path, tmp_path: Path) -> None:
    """Two runs in one process write two logs."""
    (data / "videos/street-000/frames/000005.jpg").write_bytes(b"")
    for folder, name in ((data, "one"), (tiny_data, "two")):
        warprefine("autolabel", folder, "--out", tmp_path / name, "--horizon=3", "--method=motion-only")

    assert "000005.jpg" in (tmp_path / "one/log.txt").read_text()
    two = (tmp_path / "two/log.txt").read_text()
    assert "000005.jpg" not in two
    assert "propagating: done, 12 of 12" in two
    assert "street-001: 7 of 7 frames labelled by motion-only" in two


def test_the_program_shows_its_help_when_called_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever types its name alone learns what it can do."""
    monkeypatch.setattr("sys.argv", ["warprefine"])

    with pytest.raises(SystemExit):
        main()

    assert "autolabel" in "".join(capsys.readouterr())


def test_a_copy_of_the_data_elsewhere_is_another_job(
    warprefine: Any, tiny_data: Path, tmp_path: Path
) -> None:
    """A run knows its data set by place, so that it can be opened again."""
    words = ("--out", tmp_path / "run", "--horizon=3", "--method=motion-only")
    warprefine("autolabel", tiny_data, *words)
    moved = shutil.copytree(tiny_data, tmp_path / "moved")

    assert "holds a run with data.root = " in warprefine("autolabel", moved, *words).stderr


def test_a_score_does_not_stand_alone_where_void_hides_a_class(
    warprefine: Any, data: Path, tmp_path: Path
) -> None:
    """The table of scores is followed by what no truth shows."""
    words = ("autolabel", data, "--out", tmp_path / "run", "--horizon=1", "--method=motion-only")
    for path in data.glob("videos/*/truth/*.png"):
        with Image.open(path) as picture:
            numbers = np.array(picture)
        Image.fromarray(np.where(numbers == 3, 255, numbers).astype(np.uint8)).save(path)
    name = open_dataset(data).classes.names[3]

    labelled, evaluated = warprefine(*words), warprefine("evaluate", tmp_path / "run")

    for result in (labelled, evaluated):
        assert result.exit_code == 0, result.output
        assert re.search(
            rf"note: no truth shows {name}, and .* % of it is void: the scores leave", result.stdout
        )


def test_what_is_kept_for_later_runs_is_shown_and_deleted(
    warprefine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its size; nothing else in the user's cache is touched."""
    monkeypatch.setenv("WARPREFINE_CACHE", str(tmp_path))
    (tmp_path / "base-segmenters").mkdir()
    (tmp_path / "base-segmenters/one.safetensors").write_bytes(bytes(2_000_000))
    (tmp_path / "other.txt").write_text("stays")

    assert "1 base segmenter kept in" in warprefine("cache").stdout
    assert ", 2 MB" in warprefine("cache", "--clear").stdout
    assert "0 base segmenters kept" in warprefine("cache").stdout
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["other.txt"]
    monkeypatch.setenv("WARPREFINE_CACHE", "off")
    assert "nothing is kept" in warprefine("cache").stdout
