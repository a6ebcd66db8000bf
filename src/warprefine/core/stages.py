"""The stages of the main job: labels after a minute, good ones, the best ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias, get_args

Stage: TypeAlias = Literal["first", "good", "best"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""In order: each replaces the labels of the one before."""
FIRST, GOOD, BEST = STAGES


def is_later(stage: Stage, other: Stage) -> bool:
    """Return whether a stage comes after another.

    Example:
        >>> is_later("good", "first"), is_later("good", "good")
        (True, False)
    """
    return STAGES.index(stage) > STAGES.index(other)


def later(one: Stage, other: Stage | None) -> Stage:
    """Return the later of two stages.

    Example:
        >>> later("first", "good"), later("first", None)
        ('good', 'first')
    """
    return one if other is None or is_later(one, other) else other


def count_stages(stages: Iterable[Stage]) -> dict[Stage, int]:
    """Return how often each stage occurs, in order, without those that do not.

    Example:
        >>> count_stages(["good", "first", "good"])
        {'first': 1, 'good': 2}
    """
    found = list(stages)
    return {stage: found.count(stage) for stage in STAGES if stage in found}


def described(counts: Mapping[Stage, int]) -> str:
    """Return which stages frames are from, for people.

    Example:
        >>> described({"good": 42}), described({"first": 12, "good": 1})
        ('stage good', '12 frames of stage first, 1 frame of stage good')
    """
    if len(counts) == 1:
        return f"stage {next(iter(counts))}"
    return ", ".join(f"{n} {'frame' if n == 1 else 'frames'} of stage {stage}" for stage, n in counts.items())
