"""The same key goes to the same endpoint as with a real Envoy: ring hash and Maglev, weights, sizes, hash policies.

Nobody listens at the endpoints: Envoy's access log tells which one it chose all the same, and nothing else costs time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from support.envoy import Envoy, cluster, executable, forward, virtual_host
from support.raw import Raw, head
from support.upstream import reserve
from support.wait import eventually

from meshproxy.base.message import Request
from meshproxy.plan.cluster import Endpoint
from meshproxy.plan.hashing import CookieHash, HeaderHash, QueryHash, SourceIpHash
from meshproxy.proxy.hashing import hashed
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.maglev import MaglevTable
from meshproxy.upstream.ring import Ring

pytestmark = pytest.mark.skipif(executable() is None, reason="there is no Envoy here")

SOCKETS = [reserve() for _ in range(7)]
PORTS = [sock.getsockname()[1] for sock in SOCKETS]


class ME:
    """The client's connection."""

    remote_ip, remote_address, local_address = b"127.0.0.1", "127.0.0.1:1", "127.0.0.1:2"


#: Cluster → (kind, size, weights of the first endpoints, how many keys).
TABLES: Mapping[str, tuple[str, int, tuple[int, ...], int]] = {
    "ring-5": ("ring", 1024, (1, 1, 1, 1, 1), 10_000),
    "ring-4": ("ring", 1024, (1, 1, 1, 1), 10_000),
    "maglev-5": ("maglev", 65537, (1, 1, 1, 1, 1), 10_000),
    "maglev-4": ("maglev", 65537, (1, 1, 1, 1), 10_000),
    "ring-weights": ("ring", 1024, (1, 2, 5), 1_000),
    "ring-fractions": ("ring", 100, (3, 7, 11, 1, 2, 13, 4), 1_000),
    "ring-small": ("ring", 1, (1, 1, 1), 1_000),
    "ring-one": ("ring", 64, (1,), 100),
    "maglev-weights": ("maglev", 65537, (1, 2, 5), 1_000),
    "maglev-small": ("maglev", 1021, (3, 1, 1, 7), 1_000),
}
#: Cluster → Envoy's hash policies, ours.
POLICIES: Mapping[str, tuple[list[dict[str, Any]], tuple[Any, ...]]] = {
    "by-header": ([{"header": {"header_name": "x-a"}}], (HeaderHash(b"x-a"),)),
    "by-cookie": ([{"cookie": {"name": "user"}}], (CookieHash(name=b"user"),)),
    "by-query": ([{"query_parameter": {"name": "q"}}], (QueryHash(b"q"),)),
    "by-address": ([{"connection_properties": {"source_ip": True}}], (SourceIpHash(),)),
    "by-two": (
        [{"header": {"header_name": "x-a"}}, {"query_parameter": {"name": "q"}}],
        (HeaderHash(b"x-a"), QueryHash(b"q")),
    ),
    "by-three": (
        [{"header": {"header_name": "x-a"}}, {"header": {"header_name": "x-a"}}, {"cookie": {"name": "user"}}],
        (HeaderHash(b"x-a"), HeaderHash(b"x-a"), CookieHash(name=b"user")),
    ),
}
#: Fields and query of requests for which every policy finds something.
ASKED = [
    ([("x-a", "1"), ("cookie", "user=u1")], "q=1"),
    ([("x-a", "b"), ("x-a", "a"), ("cookie", "other=1; user=u2")], "x=1&q=2"),
    ([("x-a", "a"), ("x-a", "b"), ("cookie", "a=b"), ("cookie", "user=u3; user=u4")], "q=2&q=1"),
    ([("x-a", ""), ("cookie", 'user="quoted"')], "q="),
    ([("x-a", "x,y"), ("cookie", "user=a=b")], "q=%41+b"),
    ([("X-A", "  padded  "), ("cookie", "user=;user=second")], "q"),
    ([("x-a", "é"), ("cookie", "user= spaced ")], "Q=1&q=3"),
    ([("x-a", "f"), ("cookie", "user=f"), ("x-forwarded-for", "10.1.2.3, 10.9.8.7")], "q=f"),
    *(([("x-a", f"v{n}"), ("cookie", f"user=u{n}")], f"q=k{n}") for n in range(40)),
]


def hashing_cluster(name: str, kind: str, size: int, weights: tuple[int, ...]) -> dict[str, Any]:
    made = cluster(name, *PORTS[: len(weights)])
    for endpoint, weight in zip(made["load_assignment"]["endpoints"][0]["lb_endpoints"], weights, strict=True):
        endpoint["load_balancing_weight"] = weight
    if kind == "ring":
        return {**made, "lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": size}}
    return {**made, "lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": size}}


def table_of(kind: str, size: int, weights: tuple[int, ...]) -> Ring | MaglevTable:
    weighted = [
        (LiveEndpoint(Endpoint(address="127.0.0.1", port=port, weight=weight)), weight / sum(weights))
        for port, weight in zip(PORTS, weights, strict=False)
    ]
    return Ring(weighted, size) if kind == "ring" else MaglevTable(weighted, size)


@pytest.fixture(scope="module")
def envoy() -> Iterator[Envoy]:
    by_key = [{"header": {"header_name": "x-key"}}]
    routes = {**dict.fromkeys(TABLES, by_key), **{name: theirs for name, (theirs, _) in POLICIES.items()}}
    hosts = [
        virtual_host(
            name, [name], [{"match": {"prefix": "/"}, "route": {**forward(name), "hash_policy": policy, **NO_RETRY}}]
        )
        for name, policy in routes.items()
    ]
    clusters = [hashing_cluster(name, *told[:3]) for name, told in TABLES.items()]
    clusters += [hashing_cluster(name, "ring", 1024, (1,) * 7) for name in POLICIES]
    with Envoy(hosts, clusters) as running:
        yield running


NO_RETRY: dict[str, Any] = {"retry_policy": {"num_retries": 0}}


def chosen(envoy: Envoy, host: str, requests: list[bytes]) -> dict[str, str]:
    """Path → endpoint, as Envoy logs it."""
    with Raw(envoy.address) as client:
        for start in range(0, len(requests), 50):
            batch = requests[start : start + 50]
            client.send(*batch)
            for _ in batch:
                fields = client.until(b"\r\n\r\n")
                client.exactly(int(fields.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))

    def logged() -> dict[str, str]:
        found = {}
        for line in envoy.log.path.read_text().splitlines():
            if f'"{host}"' in line:
                entry = json.loads(line)
                found[entry["path"]] = entry["upstream_host"]
        return found if len(found) == len(requests) else {}

    return eventually(logged, f"{len(requests)} log entries of {host}", 60)


@pytest.mark.parametrize("name", TABLES)
def test_each_key_goes_where_envoy_sends_it(envoy: Envoy, name: str) -> None:
    kind, size, weights, keys = TABLES[name]
    theirs = chosen(envoy, name, [head(name, f"/{n}", f"x-key: key {n}") for n in range(keys)])
    table = table_of(kind, size, weights)
    key_of = HeaderHash(b"x-key")
    ours = {}
    for n in range(keys):
        digest = key_of.of(Request(b"GET", b"/", None, b"h", [(b"x-key", b"key %d" % n)]), ME)
        assert digest is not None
        ours[f"/{n}"] = table.find(digest).name
    assert ours == theirs


@pytest.mark.parametrize("name", POLICIES)
def test_each_policy_hashes_what_envoy_hashes(envoy: Envoy, name: str) -> None:
    asked = [
        head(name, f"/{n}?{query}", *(f"{key}: {value}" for key, value in fields))
        for n, (fields, query) in enumerate(ASKED)
    ]
    theirs = chosen(envoy, name, asked)
    table = table_of("ring", 1024, (1,) * 7)
    ours = {}
    for n, (fields, query) in enumerate(ASKED):
        pairs = [(key.encode(), value.encode("latin-1").strip()) for key, value in fields]
        request = Request(b"GET", b"/%d" % n, query.encode(), b"h", pairs)
        digest, _ = hashed(POLICIES[name][1], request, ME, is_gateway=False)
        path = f"/{n}?{query}"
        ours[path] = table.find(digest).name if digest is not None else theirs[path]
    assert ours == theirs
