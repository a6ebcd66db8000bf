"""Name frame numbers as people write them: consecutive ones as a range."""

from __future__ import annotations

from collections.abc import Iterable


def ranges(numbers: Iterable[int]) -> list[str]:
    """Return ascending numbers as texts, consecutive ones as a range.

    Example:
        >>> ranges([3, 5, 6, 7])
        ['3', '5 to 7']
    """
    spans = [(span[0],) if len(span) == 1 else (span[0], span[-1]) for span in consecutive(numbers)]
    return [" to ".join(map(str, span)) for span in spans]


def consecutive(numbers: Iterable[int]) -> list[range]:
    """Return the runs of consecutive numbers among ascending ones.

    Example:
        >>> consecutive([3, 5, 6, 7])
        [range(3, 4), range(5, 8)]
    """
    spans: list[range] = []
    for number in numbers:
        if spans and number == spans[-1].stop:
            spans[-1] = range(spans[-1].start, number + 1)
        else:
            spans.append(range(number, number + 1))
    return spans
