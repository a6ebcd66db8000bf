"""Tests of datasets/edge_fit.py: label maps that belong to a neighbouring frame are found by their edges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from warprefine import open_dataset
from warprefine.core.video import Dataset
from warprefine.datasets.edge_fit import Misfit, find_misfit, misfit_notes
from warprefine.datasets.street import write_street
from warprefine.datasets.summary import summarise


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two streets of seven frames, all with label maps, in which things move by a pixel or more."""
    root = tmp_path_factory.mktemp("street") / "data"
    write_street(root, videos=2, length=7, start=3, step=7, h=96, w=128)
    return open_dataset(root)


def shifted(dataset: Dataset, by: int) -> Dataset:
    """Return the data set with every label map under the number of another frame."""

    def moved(maps: dict[int, Path], length: int) -> dict[int, Path]:
        return {k + by: path for k, path in maps.items() if 0 <= k + by < length}

    videos = (
        replace(v, labels=moved(dict(v.labels), len(v)), truth=moved(dict(v.truth), len(v)))
        for v in dataset.videos
    )
    return replace(dataset, videos=tuple(videos))


def test_label_maps_that_fit_their_frames_are_not_noted(dataset: Dataset) -> None:
    """Their edges are those of the frame."""
    assert [find_misfit(video, dataset.classes) for video in dataset.videos] == [None, None]


@pytest.mark.parametrize(("by", "where"), [(1, "before"), (-1, "after")])
def test_label_maps_of_neighbouring_frames_are_found(dataset: Dataset, by: int, where: str) -> None:
    """Those that count from 1 lie one frame late, and fit the frame before."""
    wrong = shifted(dataset, by)

    found = [find_misfit(video, wrong.classes) for video in wrong.videos]

    assert [misfit.offset for misfit in found if misfit] == [-by, -by]
    (note,) = summarise(wrong, check=True).notes[-1:]
    assert f"label maps fit the frame {where} their own better: street-000 (edges " in note
    assert "count from 0 here, but from 1 with `ffmpeg -i VIDEO %06d.png`; `warprefine frames`" in note
    assert summarise(wrong).notes == summarise(dataset).notes


def test_one_label_map_is_enough(dataset: Dataset) -> None:
    """A video often has a single key frame."""
    (wrong, _) = shifted(dataset, 1).videos

    misfit = find_misfit(replace(wrong, truth={}), dataset.classes)

    assert misfit is not None
    assert (misfit.video, misfit.offset) == ("street-000", -1)
    assert misfit.gain > 0.02


def test_frames_without_motion_fit_alike(tmp_path: Path, dataset: Dataset) -> None:
    """Where nothing moves, no number is better than another."""
    still = replace(dataset.videos[0], frame_paths=[dataset.videos[0].frame_paths[3]] * 7)

    assert find_misfit(still, dataset.classes) is None


def test_label_maps_without_edges_and_broken_frames_prove_nothing(tmp_path: Path, dataset: Dataset) -> None:
    """Broken files are reported elsewhere."""
    Image.new("L", (128, 96)).save(tmp_path / "plain.png")
    (tmp_path / "broken.png").write_bytes(b"")
    video = dataset.videos[0]
    broken = replace(video, frame_paths=[tmp_path / "broken.png"] * 7)

    assert find_misfit(replace(video, labels={3: tmp_path / "plain.png"}, truth={}), dataset.classes) is None
    assert find_misfit(broken, dataset.classes) is None
    assert find_misfit(replace(video, labels={}, truth={}), dataset.classes) is None


def test_videos_are_noted_together() -> None:
    """One note for each direction."""
    misfits = [Misfit(video=name, offset=-1, gain=0.25) for name in "ab"]

    (note,) = misfit_notes(misfits)

    assert "better: a (edges 25 % stronger), b (edges 25 % stronger); check their numbers" in note
    assert list(misfit_notes([])) == []
