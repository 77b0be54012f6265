"""The plan as JSON values, for people and scripts: what `GET /config_dump` and `-o json` show. Absent things are left
out; bytes are text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from meshproxy.plan.connect_table import ConnectTable
from meshproxy.plan.hashing import CookieHash, HeaderHash, Maglev, QueryHash, RingHash, SourceIpHash
from meshproxy.plan.header_ops import HeaderOps, Template
from meshproxy.plan.match import (
    AuthorityIs,
    Exact,
    HeaderIs,
    HeaderIsNot,
    MethodIs,
    Pattern,
    Prefix,
    Present,
    QueryIs,
    SchemeIs,
)
from meshproxy.plan.regex import Regex
from meshproxy.plan.rewrite import DirectResponse, Redirect
from meshproxy.plan.route import Forward
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.stream_table import StreamTable
from meshproxy.plan.table import RouteTable, VirtualHosts
from meshproxy.plan.upstream_tls import Pem

Json = Any


def plan_as_json(snapshot: Snapshot) -> dict[str, Json]:
    """Listeners with their virtual hosts and routes, and clusters with their endpoints."""
    return {
        "digest": snapshot.digest,
        "counts": dict(snapshot.counts),
        "listeners": _json(snapshot.listeners),
        "clusters": [_json(cluster) for cluster in snapshot.clusters.values()],
    }


def _json(value: object) -> Json:
    convert = _BY_TYPE.get(type(value))
    if convert is not None:
        return convert(value)
    if isinstance(value, tuple):
        return [_json(each) for each in value]
    if isinstance(value, frozenset):
        return sorted(_json(each) for each in value)
    if isinstance(value, Mapping):
        return {str(key): _json(each) for key, each in value.items()}
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return _fields(value)
    return value


def _fields(value: object) -> dict[str, Json]:
    kind: type = type(value)
    shown = ((name, getattr(value, name)) for name in _names(kind))
    return {name: _json(each) for name, each in shown if each is not None and each != ""}


@cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls) if field.repr)  # keys are not for showing


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _operations(ops: HeaderOps) -> dict[str, Json]:
    shown: dict[str, Json] = {"remove": sorted(map(_text, ops.remove))}
    for name, pairs in (("set", ops.set), ("add", ops.add)):
        shown[name] = [{"name": _text(key), "value": template.text} for key, template in pairs]
    return {name: each for name, each in shown.items() if each}


def _number(value: float) -> float | None:
    """JSON has no infinity: null stands for "never"."""
    return None if math.isinf(value) else value


_BY_TYPE: dict[type, Callable[[Any], Json]] = {
    bytes: _text,
    float: _number,
    Regex: lambda regex: _text(regex.pattern),
    Exact: lambda match: {"exact": _text(match.value)},
    Prefix: lambda match: {"prefix": _text(match.value)},
    Pattern: lambda match: {"regex": _text(match.regex.pattern)},
    Present: lambda _: {"present": True},
    HeaderIs: lambda condition: {"header": _text(condition.name), **_json(condition.match)},
    HeaderIsNot: lambda condition: {"without_header": _text(condition.name), **_json(condition.match)},
    QueryIs: lambda condition: {"query_param": _text(condition.name), **_json(condition.match)},
    MethodIs: lambda condition: {"method": _json(condition.match)},
    SchemeIs: lambda condition: {"scheme": _json(condition.match)},
    AuthorityIs: lambda condition: {"authority": _json(condition.match)},
    Template: lambda template: template.text,
    HeaderOps: _operations,
    RouteTable: lambda table: _json(table.routes),
    VirtualHosts: lambda hosts: _json(hosts.hosts),
    ConnectTable: lambda table: _json(table.entries),
    StreamTable: lambda table: _json(table.chains),
    IPv4Network: str,
    IPv6Network: str,
    Forward: lambda action: {"route": _json(action.destinations)},
    Redirect: lambda action: {"redirect": _fields(action)},
    DirectResponse: lambda action: {"direct_response": _fields(action)},
    RingHash: lambda table: {"ring_hash": _fields(table)},
    Maglev: lambda table: {"maglev": _fields(table)},
    HeaderHash: lambda policy: {"header": _text(policy.name)},
    QueryHash: lambda policy: {"query_parameter": _text(policy.name)},
    SourceIpHash: lambda _: {"source_ip": True},
    CookieHash: lambda policy: {"cookie": _fields(policy)},
    Pem: lambda pem: {"secret": pem.name},
}
