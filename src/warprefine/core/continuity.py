"""Describe where the picture of a video does not go on as motion does: cuts, blank and repeated frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from warprefine.core.errors import shorten
from warprefine.core.spans import ranges


@dataclass(frozen=True, kw_only=True)
class Continuity:
    """Frames of a video at which its picture does not go on from the frame before, ascending.

    Motion is not followed across cuts and blank frames; the other two are told of, and change nothing: no
    motion is between equal pictures, and flow is estimated on brightness that is normalised.

    Attributes:
        cuts: Frames that begin another shot. A dissolve counts as a cut in its middle.
        blank: Frames of one colour, mostly black: they show nothing that could be labelled or followed.
        repeated: Frames that repeat the picture of the frame before.
        exposure_jumps: Frames that are much brighter or darker than the frame before, in the same shot.

    Example:
        >>> print(Continuity(cuts=(15, 40), repeated=(7,)))
        2 cuts, 1 repeated frame
    """

    cuts: tuple[int, ...] = ()
    blank: tuple[int, ...] = ()
    repeated: tuple[int, ...] = ()
    exposure_jumps: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def notes(self, video: str) -> Iterator[str]:
        """Yield what becomes of the frames of a video of this name, a line for each kind, for people.

        Example:
            >>> [*Continuity(cuts=(15,)).notes("drive")]
            ['drive has 1 cut (before 15); labels are not carried across']
        """
        kinds = (
            (self.cuts, "cut", "before ", "labels are not carried across"),
            (self.blank, "blank frame", "", "no labels there, and none are carried across"),
            (self.exposure_jumps, "exposure jump", "before ", "labels are carried across"),
            (self.repeated, "repeated frame", "", "labels are carried across"),
        )
        for frames, noun, before, what in kinds:
            if frames:
                counted = f"{len(frames)} {noun}{'s' * (len(frames) != 1)}"
                yield f"{video} has {counted} ({before}{shorten(ranges(frames))}); {what}"

    def __str__(self) -> str:
        counted = (
            (self.cuts, "cut"),
            (self.blank, "blank frame"),
            (self.repeated, "repeated frame"),
            (self.exposure_jumps, "exposure jump"),
        )
        found = [f"{len(frames)} {noun}{'s' * (len(frames) != 1)}" for frames, noun in counted if frames]
        return ", ".join(found) or "no cuts"
