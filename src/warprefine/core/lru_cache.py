"""Keep the values that were used last, up to a total size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

ValueT = TypeVar("ValueT")


def one(value: object) -> int:
    """Count every value as 1, so that `limit` is a number of values."""
    return 1


class LRUCache(Generic[ValueT]):
    """Keep values by key and drop the least recently used ones beyond a limit.

    The value used last is kept even where it is larger than the limit by itself. Several threads may use it
    at the same time; a value that two of them ask for may be made twice, and both get the first one.

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
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], ValueT]) -> ValueT:
        """Return the value of `key`; `make` supplies it if it is not kept."""
        with self._lock:
            if key in self._items:
                return self._used(key)
        value = make()  # others are read meanwhile
        size = self._size_of(value)
        with self._lock:
            if key not in self._items:
                self._items[key] = (value, size)
                self._size += size
            value = self._used(key)
            while self._size > self._limit and len(self._items) > 1:
                self._size -= self._items.popitem(last=False)[1][1]
            return value

    def _used(self, key: Hashable) -> ValueT:
        """Return a value that is kept, which is now the one used last."""
        self._items.move_to_end(key)
        return self._items[key][0]
