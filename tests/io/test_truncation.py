"""Tests of io/truncation.py: a file that was copied by half is told from a whole one."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from warprefine.io.truncation import is_cut_short

BOX = struct.Struct(">I4s")


# A header, two colours, a picture of 9 x 9 with two colours, a block of three bytes, a block of none.
GIF = b"GIF89a" + bytes(4) + b"\x80\0\0" + bytes(6) + b"," + bytes(8) + b"\x80" + bytes(6) + b"\x02\x03...\0"


def box(name: bytes, size: int, content: bytes = b"") -> bytes:
    return BOX.pack(size, name) + content


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "mpeg4", "yuv420p"),
        ("a.mkv", "libx264", "yuv420p"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.gif", "gif", "rgb8"),
    ],
)
def test_a_cut_file_is_told_from_a_whole_one(studio: Any, name: str, codec: str, pixel_format: str) -> None:
    """Whether a tenth or two bytes of the end are missing, the format's structure shows it."""
    whole = studio.write(name, codec, pictures=6, pixel_format=pixel_format)

    assert not is_cut_short(whole)
    assert is_cut_short(studio.cut(whole, 0.9))
    assert is_cut_short(studio.cut(whole, 1 - 2 / whole.stat().st_size))


def test_a_recording_that_was_never_finished_is_not_called_cut(studio: Any) -> None:
    """Matroska of unknown size, as a live recorder writes it, ends where it ends."""
    whole = studio.write("a.mkv", pictures=6)
    live = studio.remux(whole, "live.mkv", lambda packets: packets, live="1")

    assert not is_cut_short(studio.cut(live, 0.9))


@pytest.mark.parametrize(
    ("content", "cut"),
    [
        pytest.param(
            box(b"ftyp", 8) + box(b"mdat", 0, box(b"free", 99)), False, id="last box reaches to the end"
        ),
        pytest.param(
            box(b"wide", 8) + box(b"mdat", 1, struct.pack(">Q", 20) + b"...."), False, id="long box"
        ),
        pytest.param(
            box(b"wide", 8) + box(b"mdat", 1, struct.pack(">Q", 21) + b"...."), True, id="long box cut"
        ),
        pytest.param(
            box(b"wide", 8) + box(b"mdat", 1, b"\0\0"), True, id="cut within the size of a long box"
        ),
        pytest.param(
            box(b"moov", 8) + b"SEFT trailer of a phone", False, id="camera data behind the last box"
        ),
        pytest.param(
            b"RIFF" + struct.pack("<I", 4) + b"AVI RIFF" + struct.pack("<I", 4) + b"AVIX",
            False,
            id="two RIFFs",
        ),
        pytest.param(
            b"RIFF" + struct.pack("<I", 4) + b"AVI RIFF" + struct.pack("<I", 5) + b"AVIX",
            True,
            id="second cut",
        ),
        pytest.param(
            b"RIFF" + struct.pack("<I", 0) + b"AVI LIST", False, id="RIFF of a recorder that crashed"
        ),
        pytest.param(b"GIF89a" + bytes(7) + b";\0\0", False, id="padded GIF"),
        pytest.param(GIF, False, id="GIF without its last byte"),
        pytest.param(GIF[:-1], True, id="GIF without its last two bytes"),
        pytest.param(GIF[:20], True, id="GIF that ends in a picture's size"),
        pytest.param(b"GIF89a", True, id="GIF that ends in its header"),
        pytest.param(box(b"free", 8) * 200, False, id="boxes of nothing"),
        pytest.param(b"\x1a\x45\xdf\xa3", False, id="Matroska without anything"),
        pytest.param(b"\x1a\x45\xdf\xa3\x80....\x81", False, id="Matroska without a segment"),
        pytest.param(b"\x00\x00\x01\xba", False, id="MPEG streams do not say"),
        pytest.param(b"", False, id="nothing at all"),
    ],
)
def test_what_the_headers_say_counts(tmp_path: Path, content: bytes, cut: bool) -> None:
    """Only a size that the file itself states can show that its end is missing."""
    (tmp_path / "a").write_bytes(content)

    assert is_cut_short(tmp_path / "a") is cut
