"""Tests of datasets/nyuv2_raw.py: frames by their time, and straight lines."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from warprefine.core.errors import DatasetError
from warprefine.datasets.nyuv2_raw import RawScene, list_raw_scene, raw_stamp, undistorted


def scene(*stamps: float) -> RawScene:
    return RawScene(stamps=stamps, paths=tuple(Path(f"{stamp:g}") for stamp in stamps))


def names(stamps: RawScene, anchor: float, direction: int) -> list[str]:
    return [path.name for path in stamps.neighbours(anchor, fps=2.0, direction=direction)]


def test_pictures_are_listed_by_time(tmp_path: Path) -> None:
    """Depth, accelerometer and index files are no pictures; a missing folder has none."""
    for name in (
        "r-10.500000-3.ppm",
        "r-9.250000-77.ppm",
        "d-9.3-1.pgm",
        "a-9.3-1.dump",
        "INDEX.txt",
        "r-9.ppm",
    ):
        (tmp_path / name).touch()

    listed = list_raw_scene(tmp_path)

    assert listed.stamps == (9.25, 10.5)
    assert [path.name for path in listed.paths] == ["r-9.250000-77.ppm", "r-10.500000-3.ppm"]
    assert list_raw_scene(tmp_path / "gone") == RawScene(stamps=(), paths=())


def test_neighbours_are_half_a_second_apart() -> None:
    """At 2 frames a second the nearest to 10.5, 11, ... are taken, and backwards 9.5, 9, ..."""
    video = scene(8.98, 9.4, 9.52, 9.9, 10.0, 10.1, 10.45, 10.6, 11.03, 11.3)

    assert names(video, 10.0, 1) == ["10.45", "11.03"]
    assert names(video, 10.0, -1) == ["9.52", "8.98"]


def test_times_are_counted_from_the_anchor() -> None:
    """Small errors of single frames do not add up."""
    video = scene(*(10 + 0.5 * step + 0.1 for step in range(1, 9)))

    assert len(names(video, 10.0, 1)) == 8


def test_a_gap_ends_the_clip() -> None:
    """Where no frame lies within an eighth of a second, what comes after does not belong to it."""
    assert names(scene(10.5, 11.126, 11.5), 10.0, 1) == ["10.5"]
    assert names(scene(10.5, 11.124, 11.5), 10.0, 1) == ["10.5", "11.124", "11.5"]
    assert names(scene(), 10.0, 1) == []


def test_a_raw_name_tells_its_time() -> None:
    """The time stands between the first two hyphens."""
    assert raw_stamp("kitchen_0004/r-1294886362.665769-2143637903.ppm") == 1294886362.665769
    with pytest.raises(DatasetError, match=r"comes from 'kitchen/1\.ppm'; expected SCENE/r-STAMP-NUMBER"):
        raw_stamp("kitchen/1.ppm")


@pytest.mark.parametrize(("x", "y"), [(326, 254), (100, 80), (600, 400), (40, 440)])
def test_each_pixel_comes_from_where_the_lens_put_it(x: int, y: int) -> None:
    """The model of Brown (1966): radial terms k1, k2, k3 and tangential terms p1, p2."""
    k1, k2, p1, p2, k3 = 0.2079661532, -0.5861382516, 0.000722313614, 0.00104796272, 0.498569867
    u, v = (x - 325.582449) / 518.857901, (y - 253.736166) / 519.469611
    r2 = u * u + v * v
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    source_x = 518.857901 * (u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u)) + 325.582449
    source_y = 519.469611 * (v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v) + 253.736166
    frame = torch.zeros(1, 3, 480, 640, dtype=torch.uint8)
    frame[0, 0] = (torch.arange(640) / 3).to(torch.uint8)
    frame[0, 1] = (torch.arange(480) / 2).to(torch.uint8)[:, None]

    red, green, blue = undistorted(frame)[0, :, y, x].tolist()

    assert red == pytest.approx(source_x / 3, abs=1.2)
    assert green == pytest.approx(source_y / 2, abs=1.2)
    assert blue == 0
