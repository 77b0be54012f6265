"""The longest key that is a prefix of a text, among many, at the cost of one binary search.

Of all keys not greater than the text, the greatest is the longest prefix of it, or every prefix of the text is a
prefix of that key too: so each key remembers the longest other key it begins with, and the search climbs from there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

NONE = -1


class Prefixes:
    """`keys` sorted and distinct; `parents[i]` the index of the longest proper prefix of `keys[i]`, or NONE."""

    __slots__ = ("keys", "parents")

    def __init__(self, keys: Iterable[bytes]) -> None:
        self.keys = sorted(set(keys))
        self.parents: list[int] = []
        for index, key in enumerate(self.keys):
            self.parents.append(self._climb(index - 1, key))

    def longest(self, text: bytes) -> int:
        """The index of the longest key that `text` begins with, or NONE."""
        return self._climb(bisect_right(self.keys, text) - 1, text)

    def _climb(self, index: int, text: bytes) -> int:
        while index >= 0 and not text.startswith(self.keys[index]):
            index = self.parents[index]
        return index
