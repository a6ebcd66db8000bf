"""Tests of io/video_index.py: the number of frames is what a decoder puts out, or an error."""

from __future__ import annotations

import os
import struct
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from warprefine.core.errors import FrameError
from warprefine.io import video_stream
from warprefine.io.video_file import VideoFile
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

    with pytest.raises(FrameError, match=r"bad\.avi holds no frames that can be decoded; expected a video"):
        index_video(path)


def test_a_missing_video_is_named(tmp_path: Path) -> None:
    """A video that is not there is one line."""
    with pytest.raises(FrameError, match=r"there is no file .*gone\.mp4; expected a video"):
        index_video(tmp_path / "gone.mp4")


def test_what_is_no_file_is_no_video(tmp_path: Path) -> None:
    """A folder, a pipe into which nobody writes, a device without end."""
    (tmp_path / "a.mp4").mkdir()
    os.mkfifo(tmp_path / "b.mp4")

    with pytest.raises(FrameError, match=r"b\.mp4 is a pipe; expected a video"):
        index_video(tmp_path / "b.mp4")
    with pytest.raises(FrameError, match=r"/dev/zero is a device; expected a video"):
        index_video(Path("/dev/zero"))

    with pytest.raises(FrameError, match=r"a\.mp4 is a folder; expected a video"):
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


@pytest.mark.parametrize("ending", ["mp4", "avi", "mkv"])
def test_titles_in_any_encoding_are_passed_over(studio: Any, ending: str) -> None:
    """What a file carries besides its frames does not decide whether it can be read."""
    path = studio.write(f"a.{ending}", title="Q" * 13, pictures=5)
    path.write_bytes(path.read_bytes().replace(b"Q" * 13, "Камера двор 1".encode("cp1251")))

    assert index_video(path).count == 5


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile 'a.mp4'\n", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.mp4\n"]
)
def test_a_list_of_other_files_is_no_video(studio: Any, text: str) -> None:
    """A file does not open its neighbours, or addresses, whatever its ending."""
    studio.write("a.mp4", pictures=3)
    (studio.folder / "b.mp4").write_text(text)

    with pytest.raises(FrameError, match=r"b\.mp4.*(format that holds no video|Invalid data).*; expected a"):
        index_video(studio.folder / "b.mp4")


def test_a_video_that_nothing_decodes_is_told(studio: Any) -> None:
    """A code that no decoder is there for is no damage."""
    path = studio.write("a.mp4", pictures=3)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zz\x01\x02"))

    with pytest.raises(
        FrameError, match=r"a\.mp4 is coded in a way that there is no decoder for; convert it"
    ):
        index_video(path)


def test_a_video_that_would_fill_the_memory_is_refused(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header that claims gigantic frames is not believed."""
    monkeypatch.setattr(video_stream, "MOST_PIXELS", 1000)

    with pytest.raises(
        FrameError, match=r"a\.mp4 is 96 x 160 \(h x w\); expected at most 1,000 pixels; make"
    ):
        index_video(studio.write("a.mp4", pictures=3))


def longer(content: bytes, at: int, code: str, by: int) -> bytes:
    """Add to a number in a header."""
    (number,) = struct.unpack_from(code, content, at)
    return content[:at] + struct.pack(code, number + by) + content[at + struct.calcsize(code) :]


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.gif"])
def test_one_wrong_number_in_a_header_condemns_no_video(studio: Any, name: str) -> None:
    """A size that says too much, and the last byte of a GIF that is not there, cost no frame."""
    codec, fmt = ("gif", "rgb8") if name == "a.gif" else ("mpeg4", "yuv420p")
    path = studio.write(name, codec, pixel_format=fmt, pictures=20)
    content = path.read_bytes()
    wrong = {
        "a.mp4": lambda: longer(content, content.rindex(b"moov") - 4, ">I", 1000),
        "a.avi": lambda: longer(content, 4, "<I", 1000),
        "a.mkv": lambda: longer(content, content.index(b"\x18\x53\x80\x67") + 8, ">I", 1000),
        "a.gif": lambda: content[:-1],
    }[name]()
    path.write_bytes(wrong)

    assert index_video(path).count == 20


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_frames_of_a_damaged_stream_are_those_of_a_decoder(studio: Any, codec: str) -> None:
    """Frame i is the i-th that comes out, whatever damage makes of the times of packets behind it."""
    quiet = {"x265-params": "log-level=error:keyint=10:bframes=2"} if codec == "libx265" else {"bf": "2"}
    whole = studio.write("a.ts", codec, pictures=60, g="10", **quiet)

    for seed in (5, 8, 9) if codec == "libx265" else (12, 50):
        path = studio.damage(whole, seed)
        with av.open(str(path)) as container:
            shown = [studio.number_in(torch.from_numpy(rgb(frame))) for frame in container.decode(video=0)]
        with closing(VideoFile(path)) as source:
            assert len(source) == len(shown)
            for number, expected in enumerate(shown):
                with suppress(FrameError):
                    assert studio.number_in(source[number]) == expected


def rgb(frame: av.VideoFrame) -> np.ndarray[Any, Any]:
    return frame.to_ndarray(format="rgb24").transpose(2, 0, 1)[None]
