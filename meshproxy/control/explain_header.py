"""`x-meshproxy-explain: 1` from loopback: the response says in one header why the request went where it went."""

from __future__ import annotations

import ipaddress

from meshproxy.base.headers import Fields
from meshproxy.base.message import Request
from meshproxy.plan.explain import explain, summary
from meshproxy.plan.snapshot import Snapshot

_NAME = b"x-meshproxy-explain"


def explained(request: Request, client: bytes, listener: str, snapshot: Snapshot, fields: Fields) -> Fields:
    """`fields`, with the answer where it was asked for by somebody on this machine."""
    if request.values(_NAME) != [b"1"] or not _is_loopback(client):
        return fields
    said = summary(explain(snapshot, listener, request))
    return [*fields, (_NAME, said.encode("ascii", "backslashreplace"))]


def _is_loopback(client: bytes) -> bool:
    try:
        address = ipaddress.ip_address(client.decode())
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
