"""Match the class scores of stored weights with the classes of a data set, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from warprefine.core.errors import shorten


@dataclass(frozen=True, kw_only=True)
class ClassRows:
    """Where each class of a data set is scored in stored weights.

    Attributes:
        stored: Names of the classes that the stored weights score, in order.
        names: Names of the classes of the data set, in order.
    """

    stored: Sequence[str]
    names: Sequence[str]

    @property
    def places(self) -> list[int | None]:
        """Return the stored place of each class; None where no class, or more than one, has its name.

        Example:
            >>> ClassRows(stored=["sky", "Road", "the_car"], names=["road", "bus", "the car"]).places
            [1, None, 2]
        """
        stored = [_plain(name) for name in self.stored]
        counts = Counter(stored)
        own = [_plain(name) for name in self.names]
        return [stored.index(name) if counts[name] == 1 and own.count(name) == 1 else None for name in own]

    @property
    def are_the_same(self) -> bool:
        """Return whether both have the same classes in the same order."""
        return self.places == [*range(len(self.stored))]

    def moved(self, own: Tensor, stored: Tensor) -> Tensor:
        """Return a layer's weights with the rows of classes of the same name taken from the stored ones.

        Args:
            own: Weights with a row for each class of the data set, and perhaps one more for "no object".
            stored: Weights with a row for each stored class, and the same one more.

        Returns:
            A new tensor, equal to `own` where the two layers differ in more than their rows.
        """
        result = own.detach().clone()
        further = len(own) - len(self.names) if own.dim() else -1
        if further not in (0, 1) or stored.shape != (len(self.stored) + further, *own.shape[1:]):
            return result
        for row, place in enumerate(self.places):
            if place is not None:
                result[row] = stored[place]
        if further:
            result[-1] = stored[-1]
        return result

    def describe(self) -> str:
        """Return a phrase for the log: which classes keep their scores and which begin anew."""
        new = [name for name, place in zip(self.names, self.places, strict=True) if place is None]
        kept = len(self.names) - len(new)
        if not self.stored:
            return "the head begins anew, since the classes that it scores have no names"
        if not kept:
            return (
                f"the head begins anew, since none of its classes ({shorten(self.stored)}) has a name of ours"
            )
        begin = f"; {shorten(new)} begin anew" if new else ""
        return f"the head keeps the scores of {kept} classes by name{begin}"


def _plain(name: str) -> str:
    """Return a name without what spellings differ in."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
