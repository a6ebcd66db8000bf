"""Recognise a recipe of another kind than the one that is read: of a run, a student or an experiment."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RecipeKind:
    """What recipes of a kind are for.

    Attributes:
        name: What it is a recipe of.
        commands: The commands that take it.
        keys: Keys at its top that recipes of other kinds do not have.
    """

    name: str
    commands: str
    keys: frozenset[str]


KINDS = (
    RecipeKind(
        name="a run",
        commands="`warprefine autolabel`, `train` and `propagate` take; in the recipe of an experiment its "
        "tables go below [labels]",
        keys=frozenset({"segmenter", "refiner", "motion", "propagation", "plus", "stages"}),
    ),
    RecipeKind(
        name="a student",
        commands="`warprefine student` takes; in the recipe of an experiment it goes below [student]",
        keys=frozenset(
            {"network", "weights", "epochs", "offsets", "joint_offsets", "pseudo_label_share", "coarse_share"}
            | {"pseudo_label_share_with_coarse", "confident", "even", "tile", "optimisation", "augmentation"}
        ),
    ),
    RecipeKind(
        name="an experiment",
        commands="`warprefine experiment` takes",
        keys=frozenset(
            {"methods", "oracle", "train_motion", "seeds", "ranges", "range_methods", "networks", "variants"}
            | {"relaxed_offset", "baseline_rate", "longest_cycles", "motions", "key_frame_sets", "grid"}
            | {"shown_classes", "other_weights", "initial_weights", "data", "labels", "student"}
        ),
    ),
)


def other_kind(given: Collection[str], known: Collection[str]) -> RecipeKind | None:
    """Return the kind of recipe that these keys are of, if they fit it better than the one that is read.

    Args:
        given: The keys at the top of a file.
        known: The keys that the recipe has that is read.

    Example:
        >>> other_kind(["offsets", "network"], ["segmenter", "plus"]).name
        'a student'
        >>> other_kind(["segmentor"], ["segmenter", "plus"])
    """
    kind = max(KINDS, key=lambda one: len(one.keys & {*given}))
    fitting = len(kind.keys & {*given})
    return kind if fitting > len({*given} & {*known}) else None
