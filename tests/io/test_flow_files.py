"""Tests of io/flow_files.py: measured motion, whatever the file that holds it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from warprefine.core.errors import FrameError
from warprefine.io.flow_files import read_disparity, read_kitti_flow


def write_png(path: Path, rgb: NDArray[np.uint16]) -> Path:
    """Write a PNG of 16-bit colours byte by byte, so that no library decides which channel is red."""
    h, w = rgb.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rgb)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", w, h, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks.items():
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)
    return path


def test_convention_kitti_holds_x_in_red_and_y_in_green(tmp_path: Path) -> None:
    """Red 2^15 + 64 means one pixel to the right, green 2^15 - 32 half a pixel up; blue 0 means unknown."""
    zero = 1 << 15
    rgb = np.array([[[zero + 64, zero - 32, 1], [zero + 64, zero, 0], [0, 65535, 1]]], np.uint16)

    measured = read_kitti_flow(write_png(tmp_path / "flow.png", rgb))

    assert measured.known.tolist() == [[[True, False, True]]]
    assert measured.flow.dtype == torch.float32
    assert measured.flow[0, :, 0].T.tolist() == [[1.0, -0.5], [0.0, 0.0], [-512.0, 511.984375]]


@pytest.mark.parametrize(("dtype", "steps_per_px"), [(np.uint8, 1), (np.uint8, 2), (np.uint16, 256)])
def test_convention_what_is_near_lies_farther_left_in_the_right_picture(
    tmp_path: Path, dtype: type, steps_per_px: int
) -> None:
    """A disparity of d pixels is a flow of (-d, 0) from the left picture to the right; 0 is unknown."""
    path = tmp_path / "disparity.png"
    Image.fromarray(np.array([[0, 3], [200, 255]], dtype)).save(path)

    measured = read_disparity(path, steps_per_px=steps_per_px)

    assert measured.known.tolist() == [[[False, True], [True, True]]]
    assert (measured.flow[0, 0] * steps_per_px).tolist() == [[0, -3], [-200, -255]]
    assert not measured.flow[0, 1].any()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is told by its path."""
    with pytest.raises(FrameError, match=r"there is no file .*nothing\.png; expected a picture"):
        read_kitti_flow(tmp_path / "nothing.png")


def test_colours_of_eight_bits_are_no_flow(tmp_path: Path) -> None:
    """A frame taken for a flow file is told from it."""
    path = tmp_path / "frame.png"
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(path)

    with pytest.raises(FrameError, match="holds 3 channels of 8 bits; expected KITTI flow, 3 channels of 16"):
        read_kitti_flow(path)
    with pytest.raises(FrameError, match="holds 3 channels of 8 bits; expected a disparity, 1 channel;"):
        read_disparity(path, steps_per_px=1)


def test_a_disparity_is_no_kitti_flow(tmp_path: Path) -> None:
    """A grey picture of 16 bits lacks the second direction."""
    path = tmp_path / "disparity.png"
    Image.fromarray(np.zeros((4, 5), np.uint16)).save(path)

    with pytest.raises(FrameError, match="holds 1 channel of 16 bits; expected KITTI flow"):
        read_kitti_flow(path)


def test_other_pictures_are_no_png(tmp_path: Path) -> None:
    """JPEG would change the numbers, and text holds none."""
    path = tmp_path / "flow.png"
    path.write_text("no picture")
    with pytest.raises(FrameError, match=r"is no picture that can be read; expected a PNG file"):
        read_kitti_flow(path)
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(path, format="JPEG")
    with pytest.raises(FrameError, match="expected a PNG file"):
        read_kitti_flow(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_png_cut_short_is_never_read(tmp_path: Path, rng: np.random.Generator, share: float) -> None:
    """Half a flow is no flow, wherever the file ends."""
    path = write_png(tmp_path / "flow.png", rng.integers(0, 65536, (20, 30, 3)).astype(np.uint16))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])

    with pytest.raises(
        FrameError, match=r"cannot read .*flow\.png: .*; copy or export it again, it may be cut short"
    ):
        read_kitti_flow(path)


def test_pixels_that_cannot_be_decoded_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenCV gives up without a word, the file is named."""
    path = write_png(tmp_path / "flow.png", np.zeros((2, 2, 3), np.uint16))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)

    with pytest.raises(FrameError, match=r"flow\.png: its pixels cannot be decoded; copy it again"):
        read_kitti_flow(path)
