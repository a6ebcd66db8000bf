"""Tests of propagation/unreached.py: what no key frame reaches is labelled by the segmenter alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from warprefine.core.continuity import Continuity
from warprefine.core.video import Video
from warprefine.propagation.unreached import unreached_units


def test_units_without_key_frames_hold_what_is_left_and_no_blank_or_damaged_frame() -> None:
    """They end where stretches do."""
    film = Video(
        name="v",
        stems=[str(k) for k in range(14)],
        frame_paths=[Path(f"{k}.png") for k in range(14)],
        labels={2: Path("2.png")},
    )
    divided = replace(film, damaged=frozenset({6}), continuity=Continuity(cuts=(4, 10), blank=(12,)))

    assert [unit.frames for unit in unreached_units(film, horizon=20)] == []
    assert [unit.frames for unit in unreached_units(film, horizon=2)] == [tuple(range(5, 14))]
    assert [unit.frames for unit in unreached_units(divided, horizon=20)] == [
        (4, 5),
        (7, 8, 9),
        (10, 11),
        (13,),
    ]
    assert not any(unit.key_frames for unit in unreached_units(divided, horizon=20))
