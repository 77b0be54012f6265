"""meshproxy and a real Envoy, given the same route tables, do the same with the same requests.

The tables are random, the requests near the edges of their conditions (`support.tables`); Envoy's configuration comes
from the tests' own translator (`support.istiod`). `MESHPROXY_ORACLE_SEED` and `MESHPROXY_ORACLE_TABLES`: others, more.

Compared: status, upstream, method, path, Host and every header the upstream saw, the answer's headers and body, and
the response flags of both access logs. Left out, with the reason: see `EXCLUDED` and `normal`.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import yaml
from support.envoy import Envoy, cluster, executable, virtual_host
from support.istiod import cluster_name, routes
from support.proxy import Proxy, document, flags_of, service_entry, virtual_service
from support.raw import Cut, Raw, Reply, head
from support.scripted import Scripted
from support.tables import DESTINATIONS, Wish, table, wish
from support.wait import eventually

SEED = int(os.environ.get("MESHPROXY_ORACLE_SEED", "20261124"))
TABLES = int(os.environ.get("MESHPROXY_ORACLE_TABLES", "100"))
REQUESTS = 20
SHOWN = int(os.environ.get("MESHPROXY_ORACLE_SHOWN", "5"))
#: Headers that differ from run to run, or are nobody's promise.
EXCLUDED = {"date", "x-envoy-upstream-service-time", "x-request-id", "connection", "transfer-encoding"}
#: Envoy makes one line of these; the lines we keep mean the same (RFC 9110, 5.3).
JOINED = ("accept", "cache-control", "user-agent", "x-forwarded-for")

pytestmark = pytest.mark.skipif(executable() is None, reason="no Envoy here")
Outcome = dict[str, Any]


class Pair:
    """Both proxies on the same tables and upstreams."""

    def __init__(self) -> None:
        random = Random(SEED)
        hosts = [f"t{number}.test" for number in range(TABLES)]
        hosts[-3:] = ["*.w.test", "*.x.w.test", "y.w.test"]
        self.tables = {host: table(random) for host in hosts}
        self.random = random
        self.upstreams = {name: Scripted("/".join(name)) for name in DESTINATIONS}
        for upstream in self.upstreams.values():
            upstream.listen()
        self.proxy = Proxy(self._istio())
        virtual_hosts = [virtual_host(host, [host], routes(rules)) for host, rules in self.tables.items()]
        clusters = [
            cluster(cluster_name({"host": host, "subset": subset}), *self._ports(host, subset))
            for host, subset in self.upstreams
        ]
        self.envoy = Envoy(virtual_hosts, clusters)

    def _ports(self, host: str, subset: str) -> list[int]:
        return [self.upstreams[host, subset].port]

    def _istio(self) -> list[dict[str, Any]]:
        """A service for each destination; the subsets' endpoints are told apart by their labels."""
        e0 = service_entry(
            "e0.test",
            *(upstream.port for (host, _), upstream in self.upstreams.items() if host == "e0.test"),
            labels=[{"version": "v1"}, {"version": "v2"}],
        )
        subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
        others = [service_entry(host, u.port) for (host, _), u in self.upstreams.items() if host != "e0.test"]
        services = [virtual_service(host, *rules) for host, rules in self.tables.items()]
        return [e0, document("DestinationRule", "e0", {"host": "e0.test", "subsets": subsets}), *others, *services]

    def stop(self) -> None:
        self.proxy.stop()
        self.envoy.stop()
        for upstream in self.upstreams.values():
            upstream.stop()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.stop()


class Client:
    """One kept connection."""

    def __init__(self, subject: Proxy | Envoy) -> None:
        self.subject = subject
        self.raw: Raw | None = None

    def send(self, request: Wish, request_id: str) -> Reply:
        lines = [f"{name}: {value}" for name, value in request.headers]
        lines.append(f"x-request-id: {request_id}")
        if request.body:
            lines.append(f"Content-Length: {len(request.body)}")
        raw = self.raw = self.raw or Raw(self.subject.address)
        raw.send(head(request.host, request.target, *lines, method=request.method), request.body.encode())
        try:
            reply = raw.reply(method=request.method)
        except Cut as cut:
            raise AssertionError(f"{self.subject}: {cut} {request}") from cut
        if reply.get("connection") == "close":
            self.close()
        return reply

    def close(self) -> None:
        if self.raw is not None:
            self.raw.close()
        self.raw = None


def normal(reply: Reply) -> Outcome:
    """What of an answer is compared."""
    outcome: Outcome = {"status": reply.status, "headers": _fields(reply.headers)}
    if not reply.body:
        outcome["headers"] = [pair for pair in outcome["headers"] if pair != ("content-length", "0")]
    try:
        seen = json.loads(reply.body)
    except ValueError:
        outcome["body"] = reply.body
        return outcome
    outcome |= {key: seen[key] for key in ("upstream", "method", "path", "attempts", "body")}
    outcome["sent"] = _fields([(n.encode("latin-1"), v.encode("latin-1")) for n, v in seen["headers"]])
    # the length of an answer that tells what was seen says nothing more; an absent body may be announced or not
    outcome["headers"] = [pair for pair in outcome["headers"] if pair[0] != "content-length"]
    outcome["sent"] = [pair for pair in outcome["sent"] if pair != ("content-length", "0")]
    return outcome


def _fields(pairs: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """By name: the order of different fields is nobody's promise; that of equal ones is."""
    found = [(name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in pairs]
    joined = [(name, ",".join(v for n, v in found if n == name)) for name in JOINED if name in dict(found)]
    kept = [(name, value) for name, value in found if name not in EXCLUDED and name not in JOINED]
    return sorted([*joined, *kept], key=lambda pair: pair[0])


def test_random_tables_route_like_envoy(pair: Pair) -> None:
    clients = [Client(pair.proxy), Client(pair.envoy)]
    differences: list[str] = []
    sent: dict[str, tuple[str, Wish]] = {}
    for host, rules in pair.tables.items():
        for _ in range(REQUESTS):
            request = wish(pair.random, host.replace("*", pair.random.choice(["a", "y", "a.x", "b.c", ""])), rules)
            request_id = str(uuid.UUID(int=pair.random.getrandbits(128), version=4))
            sent[request_id] = (host, request)
            ours, theirs = (normal(client.send(request, request_id)) for client in clients)
            if ours != theirs:
                differences.append(told(request, rules, ours, theirs))
    for client in clients:
        client.close()
    differences += flag_differences(pair, sent)
    assert not differences, f"{len(differences)} of {len(sent)} differ\n" + "\n\n".join(differences[:SHOWN])


def flag_differences(pair: Pair, sent: dict[str, tuple[str, Wish]]) -> list[str]:
    """Where the two access logs do not say the same of a request."""
    found = []
    logs = []
    for log in (pair.proxy.log, pair.envoy.log):
        eventually(lambda log=log: len(log.entries()) >= len(sent), f"{len(sent)} entries in {log.path}")  # type: ignore[misc]
        logs.append({entry["request_id"]: entry for entry in log.entries()})
    for request_id, (_, request) in sent.items():
        ours, theirs = (log.get(request_id) for log in logs)
        if ours is None or theirs is None or flags_of(ours) != flags_of(theirs):
            found.append(f"{request}\nlog ours: {ours}\nEnvoy's: {theirs}")
    return found


def told(request: Wish, rules: list[dict[str, Any]], ours: Outcome, theirs: Outcome) -> str:
    """The request, what differs, and the table."""
    lines = [repr(request)]
    for key in {**ours, **theirs}:
        mine, its = ours.get(key), theirs.get(key)
        if isinstance(mine, list) and isinstance(its, list) and sorted(mine) != sorted(its):
            mine, its = [pair for pair in mine if pair not in its], [pair for pair in its if pair not in mine]
        if mine != its:
            lines.append(f"  {key}: ours {mine!r} Envoy {its!r}")
    return "\n".join([*lines, yaml.safe_dump({"http": rules}, sort_keys=False, allow_unicode=True)])
