"""Header fields as the wire gives them: an ordered list of (name, value) pairs of bytes, letter case kept.

Comparison of names is by their lower case (RFC 9110, 5.1). Nothing here joins or splits values except `listed`.
"""

from collections.abc import Iterable

Fields = list[tuple[bytes, bytes]]

#: RFC 9110, 7.6.1, and what old proxies invented: meant for the next hop only, never forwarded.
HOP_BY_HOP = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"))


def values(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """All values of the field `name` (lower case), in order."""
    return [value for key, value in fields if key.lower() == name]


def first(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of the field `name` (lower case)."""
    for key, value in fields:
        if key.lower() == name:
            return value
    return None


def listed(value: bytes) -> list[bytes]:
    """The members of a comma-separated list, lower case, white space and empty members dropped."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]
