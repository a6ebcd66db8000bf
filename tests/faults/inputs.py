"""Write inputs that are small enough for a command to read them in a fraction of a second."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from tests.conftest import write_nyuv2
from warprefine.datasets.street import write_street
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.motion.raft import RAFT
from warprefine.motion.raft_parts import published_name

STUDENT = """\
widths = [4, 4, 4, 4, 4]
offsets = [1]

[optimisation]
steps = 2
batch = 2
warmup = 0
checkpoint_every = 1

[augmentation]
crop = [32, 32]
"""


def write_inputs(root: Path) -> None:
    """Write a data set folder, a video file, archives to convert, published weights and recipes."""
    write_street(root / "data", videos=2, length=4, start=1, step=4, h=48, w=64)
    export_labels("index-png", root / "data", root / "index", settings=ExportSettings(pictures=False))
    shutil.copytree(root / "data", root / "unlabelled", ignore=shutil.ignore_patterns("labels"))
    _write_video(root / "clip.mp4")
    _write_camvid(root / "camvid")
    write_nyuv2(root / "nyuv2")
    _write_apolloscape(root / "apolloscape/road01_ins/ColorImage")
    _write_raft(root / "raft.pth")
    shutil.copy(Path(__file__).parents[1] / "tiny.toml", root / "tiny.toml")
    (root / "student.toml").write_text(STUDENT)


def _write_video(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for number in range(4):
            picture = np.full((48, 64, 3), number * 50, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _write_camvid(root: Path) -> None:
    """Two pictures, in the colours of Road and Animal."""
    for stem in ("0001TP_006690", "0016E5_07959"):
        for folder, ending in (("701_StillsRaw_full", ""), ("LabeledApproved_full", "_L")):
            (root / folder).mkdir(parents=True, exist_ok=True)
            colors = np.array([[(128, 64, 128), (64, 128, 64)]], np.uint8)
            Image.fromarray(colors).save(root / folder / f"{stem}{ending}.png")


def _write_apolloscape(pictures: Path) -> None:
    """Two records of 21 frames; only names are read."""
    for record in ("Record001", "Record002"):
        folder, labels = pictures / record / "Camera 5", pictures.with_name("Label") / record / "Camera 5"
        folder.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(21):
            stem = f"170908_{61502408 + 400 * number:09d}_Camera_5"
            (folder / f"{stem}.jpg").touch()
            (labels / f"{stem}_bin.png").touch()


def _write_raft(path: Path) -> None:
    network = RAFT("small")
    count = len(network.layout.gru_kernels)
    weights = {published_name(own, gru_count=count): values for own, values in network.state_dict().items()}
    torch.save(weights, path)
