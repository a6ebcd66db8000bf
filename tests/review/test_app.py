"""Tests of review/app.py: what the page is shown, and what it can change."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warprefine import FinishedRun
from warprefine.core.errors import RunFolderError
from warprefine.core.pseudolabel import Provenance
from warprefine.io.images import read_gray, read_labels
from warprefine.io.run import RunFolder
from warprefine.jobs.corrections import due_redos
from warprefine.review.app import make_app
from warprefine.review.reviewed import ReviewedRun

FRAME = "/api/videos/0/frames/5"


def put(client: Any, content: bytes, *, version: int = 0, frame: str = FRAME) -> Any:
    """Save a label map over a version."""
    return client.put(f"{frame}/labels", content=content, headers={"If-Match": f'"{version}"'})


# what is shown


def test_the_run_is_described(client: Any, run: Path) -> None:
    """Classes with colours, methods, and videos with their size and key frames."""
    about = client.get("/api/run").json()

    assert about["run"] == "run"
    assert (about["method"], about["methods"]) == ("motion-only", ["motion-only", "oracle"])
    assert about["classes"][3] == {"name": "road", "color": [128, 64, 128]}
    assert about["videos"][1] == {
        "name": "street-001",
        "frames": 7,
        "height": 48,
        "width": 64,
        "key_frames": [3],
        "cuts": [],
        "damaged": [],
    }


def test_columns_have_a_value_for_each_frame(client: Any, run: Path) -> None:
    """Labelled, key, decision and version; the expected error is known once it is read."""
    columns = client.get("/api/videos/0/frames").json()

    assert {name: len(values) for name, values in columns.items()} == dict.fromkeys(columns, 7)
    assert columns["stem"] == [f"{k:06d}" for k in range(7)]
    assert columns["key"] == [0, 0, 0, 1, 0, 0, 0]
    assert columns["labelled"] == [1] * 7
    assert columns["decision"] == [""] * 7
    assert columns["version"] == [0] * 7
    confidence = read_gray(run / "confidence" / "motion-only" / "street-000" / "000005.png")
    for _ in range(100):
        errors = client.get("/api/videos/0/frames").json()["error"]
        if None not in errors[4:]:
            break
        time.sleep(0.05)
    assert errors[5] == pytest.approx(float(1 - confidence.mean()), abs=1e-4)


def test_frames_and_their_labels_are_shown(
    client: Any, run: Path, pixels: Callable[[bytes], np.ndarray]
) -> None:
    """Picture, thumbnail, labels as class positions, and confidence; key frames are certain."""
    labels = client.get(f"{FRAME}/labels", params={"method": "oracle"})
    classes = FinishedRun.open(run).dataset.classes
    of_run = read_labels(run / "labels" / "oracle" / "street-000" / "000005.png", classes)

    assert pixels(labels.content).dtype == np.uint8
    assert (pixels(labels.content) == of_run[0].numpy()).all()
    assert labels.headers["ETag"] == '"0"'
    assert pixels(client.get(f"{FRAME}/image").content).shape == (48, 64, 3)
    assert pixels(client.get(f"{FRAME}/thumbnail").content).shape == (120, 160, 3)
    assert pixels(client.get(f"{FRAME}/confidence").content).shape == (48, 64)
    assert (pixels(client.get("/api/videos/0/frames/3/confidence").content) == 255).all()


@pytest.mark.parametrize("of", ["before", "after", "segmenter"])
def test_sources_that_the_run_does_not_have_are_explained(client: Any, of: str) -> None:
    """Labels of one side or of the segmenter alone are not there, and a line says why."""
    answer = client.get(f"{FRAME}/source", params={"of": of})

    assert answer.status_code == 404
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/videos/2/frames", 404, "there is no video 2; expected 0 to 1"),
        ("/api/videos/0/frames/7/image", 404, "there is no frame 7 to show; expected one of 0 to 6"),
        ("/api/videos/-1/frames", 422, "v: Input should be greater than or equal to 0"),
        ("/api/videos/x/frames", 422, "v: Input should be a valid integer"),
        (f"/api/videos/{'9' * 5000}/frames", 422, "v: "),
        ("/api/videos/0/frames?method=guess", 422, "no method of this run is called 'guess'"),
        (f"{FRAME}/source?of=nobody", 422, "of: Input should be 'before', 'after' or 'segmenter'"),
        ("/api/nothing", 404, "Not Found"),
        ("/../../etc/passwd", 404, "Not Found"),
    ],
)
def test_what_is_not_there_is_a_line(client: Any, path: str, status: int, message: str) -> None:
    """Videos, frames, methods and addresses that do not exist are answered by a line of JSON."""
    answer = client.get(path)

    assert answer.status_code == status
    assert message in answer.json()["error"]


# corrections


def test_a_correction_is_saved_and_shown(
    client: Any, run: Path, png: Callable[..., bytes], pixels: Callable[[bytes], np.ndarray]
) -> None:
    """The frame is a key frame with the drawn labels and a version of 1, and its gaps are due."""
    answer = put(client, png(2))

    assert (answer.status_code, answer.json()) == (200, {"version": 1, "redo": "queued"})
    shown = client.get(f"{FRAME}/labels")
    assert (pixels(shown.content) == 2).all()
    assert shown.headers["ETag"] == '"1"'
    assert (pixels(client.get(f"{FRAME}/confidence").content) == 255).all()
    columns = client.get("/api/videos/0/frames").json()
    assert (columns["key"][5], columns["version"][5]) == (2, 1)
    assert [(due.video, due.frame) for due in due_redos(run)] == [("street-000", 5)]
    assert FinishedRun.open(run).dataset.videos[0].corrected == (5,)


def test_a_correction_is_taken_back(client: Any, run: Path, png: Callable[..., bytes]) -> None:
    """The frame is none of the key frames any more; there is nothing to take back a second time."""
    put(client, png(2))

    answer = client.delete(f"{FRAME}/labels", headers={"If-Match": '"1"'})
    again = client.delete(f"{FRAME}/labels", headers={"If-Match": '"2"'})

    assert answer.json() == {"version": 2, "redo": "queued"}
    assert client.get("/api/videos/0/frames").json()["key"][5] == 0
    assert FinishedRun.open(run).dataset.videos[0].corrected == ()
    assert (again.status_code, again.json()["error"][:17]) == (422, "frame 5 of street")


def test_two_tabs_do_not_overwrite_each_other(
    client: Any, png: Callable[..., bytes], pixels: Callable[[bytes], np.ndarray]
) -> None:
    """The second of two corrections over the same version is refused, with the version that there is."""
    put(client, png(2))

    answer = put(client, png(4))

    assert answer.status_code == 409
    assert answer.json()["version"] == 1
    assert "changed meanwhile" in answer.json()["error"]
    assert (pixels(client.get(f"{FRAME}/labels").content) == 2).all()
    assert put(client, png(4), version=1).json()["version"] == 2


def test_frames_are_accepted_and_rejected(client: Any) -> None:
    """A decision is recorded with a version, and refused over an older one."""

    def decide(decision: str, version: int) -> Any:
        return client.post(f"{FRAME}/decision", json={"decision": decision, "version": version})

    assert decide("accepted", 0).json() == {"version": 1}
    assert decide("rejected", 0).status_code == 409
    assert decide("rejected", 1).json() == {"version": 2}
    columns = client.get("/api/videos/0/frames").json()
    assert (columns["decision"][5], columns["version"][5]) == ("rejected", 2)
    assert decide("", 2).json() == {"version": 3}
    assert decide("perhaps", 3).status_code == 422


def test_changes_are_told_of(client: Any, png: Callable[..., bytes]) -> None:
    """Whoever asks with the number of the last change gets the frames that changed since, as they are now."""
    before = client.get("/api/changes").json()["serial"]
    put(client, png(2))
    client.post("/api/videos/1/frames/2/decision", json={"decision": "accepted", "version": 0})

    answer = client.get("/api/changes", params={"since": before}).json()

    found = {(one["video"], one["frame"]): one for one in answer["changes"]}
    assert {(0, 5), (1, 2)} <= found.keys()
    assert (found[0, 5]["key"], found[0, 5]["version"], found[0, 5]["labelled"]) == (2, 1, 1)
    assert found[1, 2]["decision"] == "accepted"
    assert answer["serial"] > before
    assert not answer["reset"]
    assert client.get("/api/changes", params={"since": 5}).json()["reset"]
    assert client.get("/api/changes", params={"since": 2 * answer["serial"]}).json()["reset"]


def test_a_page_of_another_run_is_refused(client: Any, run: Path, png: Callable[..., bytes]) -> None:
    """What a page shows is in its requests; none of another run is answered, nor a change taken."""
    own = client.get("/api/run").json()["identity"]
    headers = {"If-Match": '"0"'}

    refused = client.put(f"{FRAME}/labels?run=other", content=png(2), headers=headers)

    assert refused.status_code == 410
    assert "the page shows another run than this server" in refused.json()["error"]
    assert client.get(f"{FRAME}/image?run=other").status_code == 410
    assert client.get("/api/videos/0/frames").json()["key"][5] == 0
    assert client.put(f"{FRAME}/labels?run={own}", content=png(2), headers=headers).status_code == 200


def test_a_run_is_another_one_when_its_numbers_stand_for_other_frames(run: Path) -> None:
    """Opened again it is the same run; in another place, or with other frames, it is not."""
    first = ReviewedRun(run)
    same = ReviewedRun(run)
    moved = ReviewedRun(shutil.copytree(run, run.with_name("moved")))
    video = first.finished.dataset.videos[0]
    shorter = replace(video, stems=video.stems[:-1], frame_paths=video.frame_paths[:-1])
    same.finished = replace(same.finished, dataset=replace(same.finished.dataset, videos=(shorter,)))

    assert first.identity == ReviewedRun(run).identity
    assert len({first.identity, same.identity, moved.identity}) == 3


# bodies that nobody draws


def bomb(h: int, w: int) -> bytes:
    """Return a small PNG whose header says h x w, and whose pixels unpack to a gigabyte of zeros."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 422, "is no PNG"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 80, 422, "is no PNG"),
        (lambda png: png()[:60], 422, "cannot read the label map"),
        (lambda png: png(h=24), 422, "is 24 x 64 (h x w), but its frame is 48 x 64"),
        (
            lambda png: png(mode="RGB"),
            422,
            "a PNG of 8 bits and colour type 2; expected a grey one of 8 bits",
        ),
        (lambda png: png(200), 422, "holds class 200"),
        (lambda png: png(255), 422, "labels no pixel"),
        (lambda png: bomb(30_000, 30_000), 422, "is 30000 x 30000 (h x w), but its frame is 48 x 64"),
        (bytes(200_000), 413, "the body is too large; expected at most 71680 bytes"),
    ],
)
def test_what_is_no_label_map_is_refused(
    client: Any, png: Callable[..., bytes], content: Any, status: int, message: str
) -> None:
    """Cut, foreign, oversized and empty label maps are refused with a line, and nothing is saved."""
    answer = put(client, content(png) if callable(content) else content)

    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert client.get("/api/videos/0/frames").json()["key"][5] == 0
    assert client.get(f"{FRAME}/labels").headers["ETag"] == '"0"'


def test_a_bomb_unpacks_no_more_than_the_frame(client: Any) -> None:
    """A PNG of the frame's size with far more pixels than that is no burden: the rest is not unpacked."""
    answer = put(client, bomb(48, 64)[: 1 << 16])

    assert answer.status_code in {200, 422}


@pytest.mark.parametrize("version", ["", "0", '"', '"x"', '"-1"', '"1" "2"', f'"{"9" * 99}"', "*"])
def test_changes_without_a_version_are_refused(client: Any, png: Callable[..., bytes], version: str) -> None:
    """Nobody saves without saying what the change is based on."""
    answer = client.put(f"{FRAME}/labels", content=png(), headers={"If-Match": version})

    assert answer.status_code == 428
    assert "If-Match" in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[" * 4000,
        b"\xff",
        b'{"decision": "accepted"}',
        b'{"version": true}',
        b'{"version": 1e999}',
    ],
)
def test_a_decision_that_is_none_is_refused(client: Any, body: bytes) -> None:
    """Bodies that are no JSON, or other JSON, are refused with a line."""
    answer = client.post(f"{FRAME}/decision", content=body)

    assert answer.status_code == 400
    assert "the body is no JSON such as" in answer.json()["error"]


def test_a_long_decision_is_refused(client: Any) -> None:
    """A decision takes no more than four kilobytes."""
    answer = client.post(f"{FRAME}/decision", content=b" " * 5000)

    assert answer.status_code == 413


def record_as_labelled_again(run: Path) -> None:
    """Give the labels of frame 5 another record, as if they had been computed from other key frames."""
    with closing(sqlite3.connect(run / "manifest.sqlite")) as connection, connection:
        connection.execute("UPDATE pseudo_label SET fingerprint = 'other' WHERE frame = 5")


def test_a_decision_is_about_the_labels_that_were_there(
    client: Any, run: Path, png: Callable[..., bytes]
) -> None:
    """New labels leave a frame that was accepted before they changed, until it is accepted again."""

    def decide(version: int) -> None:
        answer = client.post(f"{FRAME}/decision", json={"decision": "accepted", "version": version})
        assert answer.status_code == 200

    def standing() -> tuple[str, int]:
        columns = client.get("/api/videos/0/frames").json()
        return columns["decision"][5], columns["stale"][5]

    decide(0)
    assert standing() == ("accepted", 0)
    record_as_labelled_again(run)
    assert standing() == ("accepted", 0)  # the same labels once more
    since = client.get("/api/changes").json()["serial"]

    (run / "labels/motion-only/street-000/000005.png").write_bytes(png(2))
    client.post("/api/videos/0/frames/4/decision", json={"decision": "accepted", "version": 0})

    assert standing() == ("accepted", 1)
    (found,) = client.get("/api/changes", params={"since": since}).json()["changes"]
    assert (found["frame"], found["stale"]) == (4, 0)
    decide(1)
    assert standing() == ("accepted", 0)


def test_a_frame_that_was_accepted_without_labels_has_some_now(client: Any, run: Path) -> None:
    """Labels that came later are others than none."""
    path = run / "labels/motion-only/street-000/000005.png"
    kept = path.rename(path.with_suffix(".kept"))
    with closing(sqlite3.connect(run / "manifest.sqlite")) as connection, connection:
        connection.execute("DELETE FROM pseudo_label WHERE frame = 5 AND video = 'street-000'")
    client.post(f"{FRAME}/decision", json={"decision": "accepted", "version": 0})
    assert client.get("/api/videos/0/frames").json()["stale"][5] == 0

    kept.rename(path)

    assert client.get("/api/videos/0/frames").json()["stale"][5] == 1


# what may be reviewed


def test_a_run_without_labels_is_refused(tmp_path: Path) -> None:
    """A folder that is no finished run is not opened."""
    with pytest.raises(RunFolderError, match="expected a folder made by `warprefine autolabel`"):
        make_app(tmp_path, token="t")


def test_a_killed_save_is_ended_when_the_run_is_opened(run: Path, png: Callable[..., bytes]) -> None:
    """A correction that was put in place before the kill has its version, one that was not is forgotten."""
    reviewed = ReviewedRun(run)
    with pytest.raises(KeyboardInterrupt):
        reviewed.decisions.save(
            "street-000", 5, version=0, digest="other", write=lambda: (_ for _ in ()).throw(KeyboardInterrupt)
        )
    reviewed.correct(0, 5, png(2), version=0)

    again = ReviewedRun(run)

    assert again.columns(0, "motion-only")["version"] == [0, 0, 0, 0, 0, 1, 0]


def test_a_save_that_a_full_disk_left_unfinished_is_finished_by_the_next_change(
    client: Any, run: Path, png: Callable[..., bytes]
) -> None:
    """Where the label map is in place but its version is not, no other change is based on the old version."""
    put(client, png(2))
    digest = hashlib.sha256((run / "corrections/street-000/000005.png").read_bytes()).hexdigest()
    with closing(sqlite3.connect(run / "review" / "review.sqlite")) as connection, connection:
        connection.execute("DELETE FROM frame")
        connection.execute("INSERT INTO saving VALUES ('street-000', 5, 1, ?)", (digest,))

    answer = client.post(f"{FRAME}/decision", json={"decision": "accepted", "version": 0})

    assert (answer.status_code, answer.json()["version"]) == (409, 1)
    assert client.get(f"{FRAME}/labels").headers["ETag"] == '"1"'
    assert put(client, png(4), version=1).json()["version"] == 2


# many frames


@pytest.fixture(scope="module")
def long_run(reviewed: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a video of ten thousand frames, all of them links to the same files."""
    folder, count = tmp_path_factory.mktemp("long"), 10_000
    frames, labels = (folder / "data" / "videos" / "long" / name for name in ("frames", "labels"))
    outputs = [folder / "run" / kind / "motion-only" / "long" for kind in ("labels", "confidence")]
    for place in (frames, labels, *outputs):
        place.mkdir(parents=True)
    shutil.copy(tiny_data / "classes.toml", folder / "data")
    shutil.copy(tiny_data / "videos" / "street-000" / "labels" / "000003.png", labels / "000003.png")
    source = next((tiny_data / "videos" / "street-000" / "frames").iterdir())
    of_run = [
        reviewed / kind / "motion-only" / "street-000" / "000005.png" for kind in ("labels", "confidence")
    ]
    for k in range(count):
        (frames / f"{k:06d}{source.suffix}").hardlink_to(source)
        for place, file in zip(outputs, of_run, strict=True):
            (place / f"{k:06d}.png").hardlink_to(file)
    job = json.loads((reviewed / "job.json").read_text())
    job["data"]["root"], job["horizon"] = str(folder / "data"), "all"
    run = RunFolder(folder / "run")
    run.claim(job)
    run.manifest.mark_done(
        "long",
        {k: Provenance(method="motion-only", key_frames=(3,), distance=abs(k - 3)) for k in range(count)},
        "motion-only",
        "fingerprint",
        files={k: [place / f"{k:06d}.png" for place in outputs] for k in range(count)},
    )
    return folder / "run"


def test_of_ten_thousand_frames_only_those_that_are_shown_are_read(long_run: Path) -> None:
    """Opening the run and its columns reads no picture of a frame, showing a frame its own three."""
    with files_opened() as opened:
        reviewed = ReviewedRun(long_run)
        about, columns = reviewed.about(), reviewed.columns(0, "motion-only")
    reviewed.close()
    with files_opened() as shown:
        reviewed.image(0, 5000)
        reviewed.labels(0, 5000, "motion-only")
        reviewed.confidence(0, 5000, "motion-only")
    reviewed.close()

    assert about["videos"][0]["frames"] == len(columns["error"]) == 10_000
    assert not [path for path in opened if path.suffix in (".png", ".jpg") and path.stem > "000003"]
    assert len({path for path in shown if path.suffix in (".png", ".jpg")}) <= 4  # links count twice


@contextmanager
def files_opened() -> Iterator[list[Path]]:
    """Collect the files that this thread opens meanwhile."""
    collected: list[Path] = []
    running, own = [True], threading.get_ident()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if running and event == "open" and isinstance(arguments[0], str) and threading.get_ident() == own:
            collected.append(Path(arguments[0]))

    sys.addaudithook(hook)  # it cannot be removed
    try:
        yield collected
    finally:
        running.clear()
