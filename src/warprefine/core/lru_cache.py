"""Keep the values that were used last, up to a total size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


def one(value: object) -> int:
    """Count every value as 1, so that `limit` is a number of values."""
    return 1


class LRUCache(Generic[ValueT]):
    """Keep values by key and drop the least recently used ones beyond a limit.

    The value used last is kept even where it is larger than the limit by itself.

    Args:
        limit: Largest total size, in the unit of `size_of`.
        size_of: Returns the size of a value; by default each counts 1.

    Example:
        >>> cache = LRUCache[str](2)
        >>> [cache.get(key, lambda: f"made {key}") for key in (1, 2, 1, 3)]
        ['made 1', 'made 2', 'made 1', 'made 3']
        >>> cache.get(2, lambda: "made again")  # 2 was used least recently when 3 came
        'made again'
    """

    def __init__(self, limit: int, size_of: Callable[[ValueT], int] = one) -> None:
        self._items: OrderedDict[Hashable, tuple[ValueT, int]] = OrderedDict()
        self._limit, self._size_of, self._size = limit, size_of, 0

    def get(self, key: Hashable, make: Callable[[], ValueT]) -> ValueT:
        """Return the value of `key`; `make` supplies it if it is not kept."""
        if key in self._items:
            self._items.move_to_end(key)
        else:
            value = make()
            size = self._size_of(value)
            self._items[key] = (value, size)
            self._size += size
            while self._size > self._limit and len(self._items) > 1:
                self._size -= self._items.popitem(last=False)[1][1]
        return self._items[key][0]
