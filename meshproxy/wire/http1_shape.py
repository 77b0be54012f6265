"""What the names of a head's fields say about it: whether it is plain (`http1_plain`), and which of its lines are
looked at. Worked out once for each row of names that comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from meshproxy.base.plain import RequestShape, ResponseShape
from meshproxy.wire.http1_framing import (
    CONNECTION,
    DATE,
    HOST,
    LENGTH,
    ORDINARY,
    OURS,
    REQUEST_ID,
    REQUEST_NAMES,
    RESPONSE_NAMES,
)

Names = tuple[bytes, ...]
"""In order and as they are spelled."""

_PLAIN_REQUEST = frozenset((ORDINARY, HOST, LENGTH, REQUEST_ID, CONNECTION))
_PLAIN_RESPONSE = frozenset((ORDINARY, LENGTH, DATE, OURS, CONNECTION))


def _line(kinds: list[int], kind: int) -> int:
    return kinds.index(kind) + 1 if kind in kinds else 0


def _request_shape(names: Names) -> RequestShape | None:
    kinds = [REQUEST_NAMES.kind(name) for name in names]
    once = all(kinds.count(kind) <= 1 for kind in (HOST, LENGTH, REQUEST_ID, CONNECTION))
    if not once or HOST not in kinds or not _PLAIN_REQUEST.issuperset(kinds):
        return None
    return RequestShape(
        names,
        host=_line(kinds, HOST),
        length=_line(kinds, LENGTH),
        request_id=_line(kinds, REQUEST_ID),
        connection=_line(kinds, CONNECTION),
    )


def _response_shape(names: Names) -> ResponseShape | None:
    kinds = [RESPONSE_NAMES.kind(name) for name in names]
    once = all(kinds.count(kind) <= 1 for kind in (LENGTH, DATE, CONNECTION))
    if not once or LENGTH not in kinds or not _PLAIN_RESPONSE.issuperset(kinds):
        return None
    dropped = [number for number, kind in enumerate(kinds, 1) if kind in (OURS, CONNECTION)]
    return ResponseShape(
        names,
        length=_line(kinds, LENGTH),
        connection=_line(kinds, CONNECTION),
        dated=DATE in kinds,
        dropped=tuple(reversed(dropped)),
    )


S = TypeVar("S")


class Shapes(Generic[S]):
    """Those known: neither too many, nor any that is long."""

    MOST = 512
    LONGEST = 2048

    def __init__(self, shape_of: Callable[[Names], S | None]) -> None:
        self._shape_of = shape_of
        self._known: dict[Names, S | None] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, lines: list[bytes]) -> S | None:
        """That of the head with these fields; None where it is not plain. A line without a colon has no name."""
        names = tuple([line.partition(b":")[0] for line in lines])
        if names in self._known:
            return self._known[names]
        shape = self._shape_of(names)
        if sum(map(len, names)) <= self.LONGEST:
            if len(self._known) >= self.MOST:
                self._known.clear()
            self._known[names] = shape
        return shape


request_shapes = Shapes(_request_shape)
response_shapes = Shapes(_response_shape)
NO_REQUEST = RequestShape((), host=0)
NO_RESPONSE = ResponseShape((), length=0, connection=0, dated=False, dropped=())
"""Before there was any: of no head that is plain."""
