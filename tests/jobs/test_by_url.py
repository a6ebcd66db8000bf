"""Data and run by URL: the same labels as on a disk, through any cache, killed and gone on with elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import pytest

from warprefine import autolabel, evaluate, load_recipe
from warprefine.cluster.processes import ProcessEngine
from warprefine.core.engine import Here
from warprefine.core.errors import ClusterError, RunFolderError, StorageError
from warprefine.io.publishing import MANIFEST
from warprefine.io.storage import Storage
from warprefine.io.storage_lock import LOCK
from warprefine.jobs.export_labels import export_labels
from warprefine.jobs.finished import FinishedRun

METHODS = ("motion-only",)
LABELS = ("labels/", "confidence/", "raw_confidence/")
KILLED_BEFORE_THE_MANIFEST = """
import os, signal, sys
from warprefine.cli import main
from warprefine.io import publishing
from warprefine.io.storage import Storage

publishing.INTERVAL_S = 0.2
upload, manifests = Storage.upload, 0

def upload_or_die(self, files):
    global manifests
    manifests += "manifest.sqlite" in files
    if manifests == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    upload(self, files)

Storage.upload = upload_or_die
main()
"""


class Elsewhere(Here):
    """An engine that says that its workers are elsewhere."""

    is_here = False
    is_on_this_machine = False
    cores_here = 1


@dataclass(frozen=True)
class Store:
    """A storage: the URL of a folder in it, and the environment that commands reach it with."""

    url: str
    environment: dict[str, str] = field(default_factory=dict)


def files_of(url: str) -> dict[str, bytes]:
    """Return the labels of a run in a storage."""
    storage = Storage(url)
    return {name: storage.read(name) for name in storage.files() if name.startswith(LABELS)}


def files_in(run: Path) -> dict[str, bytes]:
    """Return the labels of a run on the disk."""
    names = {path.relative_to(run).as_posix(): path for path in run.rglob("*.png")}
    return {name: path.read_bytes() for name, path in names.items() if name.startswith(LABELS)}


def upload(data: Path, url: str) -> None:
    """Put a data set into a storage."""
    Storage(url).upload({p.relative_to(data).as_posix(): p for p in data.rglob("*") if p.is_file()})


@pytest.fixture(scope="module")
def on_disk(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the disk."""
    run = tmp_path_factory.mktemp("disk") / "run"
    autolabel(tiny_data, run, methods=METHODS, recipe=load_recipe(tiny_recipe))
    return run


def test_a_run_by_url_has_the_labels_of_a_run_on_the_disk(
    on_disk: Path, tiny_data: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data in a storage give the same bytes, even where nothing stays here; so do scores and exports."""
    monkeypatch.setenv("WARPREFINE_MIRRORS", str(tmp_path / "mirrors"))
    monkeypatch.setenv("WARPREFINE_MIRROR_SIZE", "1B")
    data, out = f"memory://{tmp_path}/data", f"memory://{tmp_path}/run"
    upload(tiny_data, data)
    recipe = load_recipe(tiny_recipe)

    with pytest.raises(ClusterError, match="is a URL of the memory of this process"):
        autolabel(data, out, methods=METHODS, recipe=recipe, engine=ProcessEngine(workers=2))
    with pytest.raises(ClusterError, match="is a URL, which only the machine of the command reads"):
        autolabel(Path(tiny_data).as_uri(), tmp_path / "run", methods=METHODS, engine=Elsewhere())
    with pytest.raises(RunFolderError, match="which is read"):
        autolabel(data, f"{data}/run", methods=METHODS, recipe=recipe)
    autolabel(data, out, methods=METHODS, recipe=recipe)
    monkeypatch.setenv("WARPREFINE_MIRRORS", str(tmp_path / "of another machine"))
    finished = FinishedRun.open(out)
    export_labels("index-png", finished.run.root, tmp_path / "export")

    assert files_of(out) == files_in(on_disk)
    assert evaluate(out)["motion-only"].miou == evaluate(on_disk)["motion-only"].miou
    assert finished.run.job()["data"]["root"] == data
    assert len([*(tmp_path / "export").rglob("*.png")]) == 14
    with pytest.raises(StorageError, match="cannot be written by this command"):
        finished.pseudo_labels("motion-only", offsets=(1,))


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A folder by URL, and a bucket of an S3 server that runs here."""
    if request.param == "file":
        yield Store((tmp_path / "store").as_uri())
        return
    pytest.importorskip("s3fs", reason="not installed: s3fs")
    address = os.environ.get("WARPREFINE_S3")
    server = None
    if address is None:
        pytest.importorskip("moto", reason="no S3 server: moto[server], or WARPREFINE_S3")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    keys = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # those of a test before reach its server
    try:
        bucket = f"warprefine-{os.getpid()}-{time.time_ns()}"
        _make_bucket(bucket)
        yield Store(f"s3://{bucket}", keys)
    finally:
        if server is not None:
            server.kill()
            server.wait()


def _make_bucket(name: str) -> None:
    """Make a bucket once the server is there."""
    s3: Any = fsspec.filesystem("s3", skip_instance_cache=True)
    for attempt in range(60):
        try:
            s3.mkdir(name)
        except OSError:
            if attempt == 59:
                raise
            time.sleep(0.5)
        else:
            return


def test_workers_of_one_machine_share_its_mirrors(
    store: Store, on_disk: Path, tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """Two processes label data by URL into a run by URL, and the labels are those of a run on the disk."""
    data, out = f"{store.url}/data", f"{store.url}/run"
    upload(tiny_data, data)
    options = ["--method", "motion-only", "--recipe", str(tiny_recipe), "--threads", "1", "--workers", "2"]

    done = subprocess.run(
        [sys.executable, "-m", "warprefine", "autolabel", data, "--out", out, *options],
        env={
            **os.environ,
            **store.environment,
            "WARPREFINE_MIRRORS": str(tmp_path / "mirrors"),
            "WARPREFINE_MIRROR_SIZE": "1B",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )

    assert done.returncode == 0, done.stderr
    assert files_of(out) == files_in(on_disk)


def test_a_run_that_was_killed_goes_on_on_another_machine(
    store: Store, on_disk: Path, tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """Killed between files and manifest, a run by URL goes on elsewhere, and ends with the same bytes."""
    data, out = f"{store.url}/data", f"{store.url}/run"
    upload(tiny_data, data)
    options = ["--method", "motion-only", "--recipe", str(tiny_recipe), "--threads", "1"]
    words = ["autolabel", data, "--out", out, *options]

    def run(machine: str, *command: str) -> subprocess.CompletedProcess[str]:
        mirrors = {"WARPREFINE_MIRRORS": str(tmp_path / machine)}
        return subprocess.run(
            [sys.executable, *command, *words],
            env={**os.environ, **store.environment, **mirrors},
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )

    killed = run("first", "-c", KILLED_BEFORE_THE_MANIFEST)
    before, lock = Storage(out).files(), Storage(out).info(LOCK)
    resumed = run("second", "-m", "warprefine")

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert lock is not None
    assert before[MANIFEST].version != Storage(out).files()[MANIFEST].version
    assert resumed.returncode == 0, resumed.stderr
    assert f"labels: {out}/labels" in resumed.stdout
    assert files_of(out) == files_in(on_disk)
