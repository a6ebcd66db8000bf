"""Tests of io/video_index.py: the number of frames is what a decoder puts out, or an error."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from warprefine.core.errors import FrameError
from warprefine.io.video_index import index_video

Packets = list[av.Packet]

FAST = {"deadline": "realtime"}  # for the encoder of VP8
NOT_CODED = b"\0\0\1\xb6\x50\x4f"  # a picture of MPEG-4 part 2 whose vop_coded bit is 0


def from_second_key_frame(packets: Packets) -> Packets:
    keys = [position for position, packet in enumerate(packets) if packet.is_keyframe]
    return packets[keys[1] :]


def hidden(studio: Any, packet: av.Packet) -> av.Packet:
    """Return a packet of VP8 that is decoded, but not shown."""
    content = bytearray(bytes(packet))
    content[0] &= ~0x10  # the show_frame bit
    return studio.spoil(packet, bytes(content))


def decoded_by_hand(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"bf": "3"}),
        ("a.mkv", "libx264", {"bf": "3"}),
        ("a.avi", "libx264", {"bf": "3"}),
        ("a.avi", "mpeg4", {"bf": "2"}),
        ("a.mpg", "mpeg2video", {"bf": "2"}),
        ("a.webm", "libvpx", FAST),
    ],
)
def test_every_frame_is_counted(studio: Any, name: str, codec: str, options: dict[str, str]) -> None:
    """A video has as many frames as were put in, whatever its container makes of their times."""
    index = index_video(studio.write(name, codec, pictures=30, **options))

    assert index.count == 30
    assert index.size == (96, 160)


def test_times_that_lie_are_found_out(studio: Any) -> None:
    """H.264 in AVI numbers its packets in the order of decoding: such times are not used."""
    assert index_video(studio.write("a.avi", bf="3")).frame_pts == ()
    assert len(index_video(studio.write("a.mp4", bf="3")).frame_pts) == 40


def test_starts_are_the_frames_that_decoding_can_begin_at(studio: Any) -> None:
    """With a group of pictures of 12, decoding can begin at every twelfth frame."""
    index = index_video(studio.write("a.mp4", sc_threshold="0"))

    assert index.starts == (0, 12, 24, 36)
    assert index.starts_before(23) == (12, 0)
    assert index.starts_before(39) == (36, 12)
    assert index.starts_before(0) == (0, 0)


def test_packets_that_only_help_to_decode_others_do_not_count(studio: Any) -> None:
    """VP8 has packets that are decoded and not shown."""
    path = studio.remux(
        studio.write("a.webm", "libvpx", **FAST),
        "hidden.webm",
        lambda packets: [*packets[:20], hidden(studio, packets[20]), *packets[21:]],
    )

    assert index_video(path).count == decoded_by_hand(path) == 39


def test_packets_that_say_as_before_do_not_count(studio: Any) -> None:
    """MPEG-4 (DivX, Xvid) has packets that hold no picture where the scene stands still."""
    path = studio.remux(
        studio.write("a.avi", "mpeg4"),
        "still.avi",
        lambda packets: [*packets[:20], studio.spoil(packets[20], NOT_CODED), *packets[21:]],
    )

    assert index_video(path).count == decoded_by_hand(path) == 39


def test_frames_ahead_of_the_edit_list_do_not_count(studio: Any) -> None:
    """A video whose start was trimmed without encoding it again has only the frames that it shows."""

    def ten_frames_earlier(packets: Packets) -> Packets:
        for packet in packets:
            packet.pts -= 10 * packet.duration
            packet.dts -= 10 * packet.duration
        return packets

    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    path = studio.remux(studio.write("a.mp4", bf="3"), "trimmed.mp4", ten_frames_earlier, **options)

    assert index_video(path).count == decoded_by_hand(path) == 30


def test_frames_behind_the_edit_list_do_not_count(studio: Any) -> None:
    """A phone trims the end of a video by a number in its header: the first 800 of 1600 ms are shown."""
    path = studio.write("a.mp4", bf="3")
    content = path.read_bytes()
    shown_ms = content.index(b"elst") + 12
    path.write_bytes(content[:shown_ms] + struct.pack(">I", 800) + content[shown_ms + 4 :])

    assert index_video(path).count == decoded_by_hand(path) == 20


def test_times_that_repeat_late_are_found_out(studio: Any) -> None:
    """One pair of equal times, wherever it stands, and the frames are told apart by counting."""

    def as_the_one_before(packets: Packets) -> Packets:
        packets[31].pts, packets[31].dts = packets[30].pts, packets[30].dts
        return packets

    path = studio.remux(studio.write("a.mkv", "ffv1", g="1"), "twice.mkv", as_the_one_before)

    assert index_video(path).count == 40
    assert index_video(path).frame_pts == ()


def test_frames_that_lean_on_a_missing_part_do_not_count(studio: Any) -> None:
    """A video cut out of an open group of pictures begins with packets that cannot be decoded."""
    whole = studio.write(
        "a.mkv", **{"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0"}
    )
    path = studio.remux(whole, "cut_out.mkv", from_second_key_frame)
    with av.open(str(path)) as container:
        packets = sum(1 for packet in container.demux(video=0) if packet.size)

    assert index_video(path).count == decoded_by_hand(path) < packets


def test_a_changed_file_is_indexed_anew(studio: Any) -> None:
    """The index is remembered for as long as the file stays what it was."""
    path = studio.write("a.mp4", pictures=20)
    first = index_video(path)
    assert index_video(path) is first

    studio.write("a.mp4", pictures=10)

    assert index_video(path).count == 10


def test_a_colon_in_a_relative_path_is_no_protocol(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording named after the time of day can be opened from its own folder."""
    studio.write("10:30.mp4", pictures=5)
    monkeypatch.chdir(studio.folder)

    assert index_video(Path("10:30.mp4")).count == 5


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "left"),
    [
        ("a.mp4", "libx264", "yuv420p", range(1)),  # the table of frames stands at the end
        ("a.mkv", "ffv1", "yuv420p", range(15, 25)),
        ("a.avi", "mjpeg", "yuvj420p", range(15, 25)),
        ("a.gif", "gif", "rgb8", range(15, 25)),
    ],
)
def test_a_video_cut_short_is_refused(
    studio: Any, name: str, codec: str, pixel_format: str, left: range
) -> None:
    """Half a video is not taken for a shorter video; the message counts what is left of it."""
    path = studio.cut(studio.write(name, codec, pixel_format=pixel_format), 0.5)

    with pytest.raises(FrameError, match=rf"{path} is cut short: only its first \d+ frames") as caught:
        index_video(path)

    assert int(str(caught.value).split("first ")[1].split()[0]) in left


def test_a_video_damaged_at_its_start_is_refused(studio: Any) -> None:
    """A video whose first packet is rubbish is told as damaged."""

    def spoil_all(packets: Packets) -> Packets:
        return [studio.spoil(packet, b"rubbish" * 20) for packet in packets]

    path = studio.remux(studio.write("a.avi", "mjpeg", pixel_format="yuvj420p"), "bad.avi", spoil_all)

    with pytest.raises(FrameError, match=r"bad\.avi is damaged: only its first 0 frames can be decoded"):
        index_video(path)


def test_a_missing_video_is_named(tmp_path: Path) -> None:
    """A video that is not there is one line."""
    with pytest.raises(FrameError, match=r"there is no file .*gone\.mp4; expected a video"):
        index_video(tmp_path / "gone.mp4")


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    """What the operating system refuses to read is told with its reason."""
    (tmp_path / "a.mp4").mkdir()

    with pytest.raises(FrameError, match=r"cannot read .*a\.mp4: Is a directory; expected a video file"):
        index_video(tmp_path / "a.mp4")


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 9])
def test_other_files_are_no_videos(tmp_path: Path, content: bytes) -> None:
    """An ending does not make a video."""
    (tmp_path / "a.mp4").write_bytes(content)

    with pytest.raises(FrameError, match=r"cannot read .*a\.mp4: Invalid data.*expected a video"):
        index_video(tmp_path / "a.mp4")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    """A file with sound only has no frames."""
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        assert isinstance(stream, av.AudioStream)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        container.mux(stream.encode(silence))
        container.mux(stream.encode())

    with pytest.raises(FrameError, match=r"a\.mp4 has no video stream"):
        index_video(tmp_path / "a.mp4")


def test_a_video_of_no_frames_is_refused(studio: Any) -> None:
    """A video stream of which no picture is ever shown is no video."""
    whole = studio.write("a.webm", "libvpx", pictures=1, **FAST)
    path = studio.remux(whole, "none.webm", lambda packets: [hidden(studio, packet) for packet in packets])

    with pytest.raises(FrameError, match=r"none\.webm holds no frames"):
        index_video(path)


def test_the_time_of_a_file_is_enough_to_see_a_change(studio: Any) -> None:
    """A file of the same length and another time is read again."""
    path = studio.write("a.mp4", pictures=10)
    first = index_video(path)
    os.utime(path, (1, 1))

    assert index_video(path) is not first
