"""meshproxy and an Envoy on its export, side by side: the same requests to both, and what differs.

Both log the same operators in the same text format, and both call the same upstreams, which tell in their answers what
they saw. What is drawn by chance (a weighted destination, a fault of 50 %) is asked again until both drew the same.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshproxy.export.bootstrap import export_bootstrap
from meshproxy.export.listeners import Log
from meshproxy.plan.match import JOINED
from support.envoy import RunningEnvoy
from support.plans import built
from support.proxy import Proxy, as_files, document, service_entry
from support.raw import Address, Raw, Reply, head
from support.scripted import Scripted
from support.upstream import reserve
from support.wait import eventually

Json = dict[str, Any]
_OPERATORS = {
    "key": "%REQ(USER-AGENT)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "endpoint": "%UPSTREAM_HOST%",
    "route": "%ROUTE_NAME%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
}
_FORMAT = "\t".join(_OPERATORS.values()) + "\n"
_THREADS = 8
_DRAWS = 20
_RESET = b"upstream connect error or disconnect/reset before headers"
_CHANCE = ("cluster", "endpoint", "flags")
"""Where these differ, chance may have done it."""
_VARYING = frozenset(("date", "x-request-id", "x-envoy-upstream-service-time", "user-agent", "x-forwarded-for"))
"""Headers whose presence counts, not their value. X-Forwarded-For: a client on loopback is not what Envoy names."""
_OF_RETRIES = frozenset(("x-envoy-expected-rq-timeout-ms",))
"""What is left of it when a retry goes out."""


@dataclass(frozen=True)
class Side:
    """One of the two proxies: where it listens and what it logs. `letter` begins the keys of its requests."""

    letter: str
    address: Address
    log: Path

    def key(self, number: int) -> str:
        return f"{self.letter}{number}"

    def logged(self, numbers: Iterable[int]) -> dict[int, Json]:
        """What is refused before it is a request has no key in the log: its entry is empty."""
        keys = {self.key(number): number for number in numbers}
        with contextlib.suppress(AssertionError):
            eventually(lambda: keys.keys() <= self._entries().keys(), "log entries", 3)
        entries = self._entries()
        return {number: entries.get(key, {}) for key, number in keys.items()}

    def _entries(self) -> dict[str, Json]:
        lines = self.log.read_text(errors="replace").split("\n")[:-1] if self.log.exists() else []
        found = (dict(zip(_OPERATORS, line.split("\t"), strict=True)) for line in lines)
        return {entry.pop("key"): entry for entry in found}


@dataclass(frozen=True)
class Difference:
    """What one request came to on both sides."""

    example: Json
    request: Json
    ours: Json
    envoys: Json

    def __str__(self) -> str:
        keys = sorted(self.ours.keys() | self.envoys.keys())
        differing = [
            f"  {key}:\n    meshproxy {self.ours.get(key)}\n    envoy     {self.envoys.get(key)}"
            for key in keys
            if self.ours.get(key) != self.envoys.get(key)
        ]
        rules = json.dumps(self.example["rules"], ensure_ascii=False)
        asked = json.dumps(self.request, ensure_ascii=False)
        return "\n".join((f"{asked}", f"  rules {rules}", *differing))


class Pair:
    """Both proxies on one configuration; `listener` is asked: `mesh`, or that of the gateway."""

    def __init__(self, world: World, config: Sequence[Mapping[str, Any]], listener: str = "mesh") -> None:
        self._world = world
        arguments = ["--bind", "8080=127.0.0.1:0"]
        self.proxy = Proxy(config, *arguments, "--access-log-format", _FORMAT)
        try:
            (text,) = as_files(config).values()
            snapshot, _ = built(text, mesh_port=0, binds=["8080=127.0.0.1:0"])
            self.envoy = RunningEnvoy(
                lambda directory: export_bootstrap(
                    snapshot, admin=("127.0.0.1", 0), log=Log(str(directory / "access.log"), _FORMAT)
                )
            )
        except BaseException:
            self.proxy.stop()
            raise
        ours = self.proxy.address if listener == "mesh" else self.proxy.gateways[0]
        self.sides = (
            Side("m", ours, self.proxy.log.path),
            Side("e", self.envoy.addresses[listener], self.envoy.log.path),
        )

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.envoy.stop()
        self.proxy.stop()

    def observe(self, requests: Sequence[Json]) -> list[tuple[Json, Json]]:
        """What each request came to, on our side and on Envoy's."""
        numbers = [next(_numbers) for _ in requests]
        with Clients(self.sides) as clients, concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            answers = list(pool.map(clients.ask, numbers, requests))
        logs = [side.logged(numbers) for side in self.sides]
        copies = self._world.copies()
        for number, pair in zip(numbers, answers, strict=True):
            for side, log, answer in zip(self.sides, logs, pair, strict=True):
                answer |= {f"log {key}": value for key, value in log[number].items()}
                _settle(answer)
                answer["copies"] = copies.get(side.key(number), [])
        return answers

    def differences(self, examples: Sequence[Json]) -> Iterator[Difference]:
        asked = [(example, request) for example in examples for request in example["requests"]]
        for draw in range(_DRAWS):
            again = []
            seen = self.observe([request for _, request in asked])
            for (example, request), (ours, envoys) in zip(asked, seen, strict=True):
                if ours == envoys:
                    continue
                if draw + 1 < _DRAWS and any(ours.get(f"log {key}") != envoys.get(f"log {key}") for key in _CHANCE):
                    again.append((example, request))
                else:
                    yield Difference(example, request, ours, envoys)
            asked = again
            if not asked:
                return


_numbers = itertools.count()


class Clients:
    """A connection to each side for every thread that asks."""

    def __init__(self, sides: Sequence[Side]) -> None:
        self._sides = sides
        self._local = threading.local()
        self._all: list[Client] = []

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._all:
            client.close()

    def ask(self, number: int, request: Json) -> tuple[Json, ...]:
        if not hasattr(self._local, "clients"):
            self._local.clients = [Client(side.address) for side in self._sides]
            self._all += self._local.clients
        pairs = zip(self._local.clients, self._sides, strict=True)
        return tuple(client.ask(side.key(number), request) for client, side in pairs)


class Client:
    """One connection, replaced when an answer closes it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.connection: Raw | None = None

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()

    def ask(self, key: str, request: Json) -> Json:
        client = self.connection or Raw(self.address)
        body = request["body"].encode()
        lines = [f"{name}: {value}".encode().decode("latin-1") for name, value in request["lines"]]
        if body:
            lines.append(f"content-length: {len(body)}")
        raw = head(request["host"], request["target"], f"User-Agent: {key}", *lines, method=request["method"])
        try:
            reply = client.send(raw, body).reply(method=request["method"])
        except (AssertionError, OSError) as error:
            client.close()
            self.connection = None
            return {"no answer": f"{type(error).__name__} {error}"}
        self.connection = None if "close" in reply.all("connection") else client
        if self.connection is None:
            client.close()
        return _observed(reply, request["method"])


def _observed(reply: Reply, method: str) -> Json:
    """Whether the connection is kept is each one's own affair, and how the body that HEAD lacks would be framed."""
    ignored = {"connection"} | ({"content-length", "transfer-encoding"} if method == "HEAD" else set())
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.headers]
    pairs = [(name, value) for name, value in pairs if name.lower() not in ignored]
    observed: Json = {"status": reply.status, "headers": _compared(pairs)}
    try:
        told = json.loads(reply.body)
        observed |= {f"upstream {key}": told[key] for key in ("upstream", "method", "path", "attempts", "body")}
        varying = _VARYING | _OF_RETRIES if told["attempts"] > 1 else _VARYING
        observed["upstream headers"] = _compared(told["headers"], varying)
    except (ValueError, KeyError, TypeError):
        observed["body"] = reply.body
    return observed


def _settle(answer: Json) -> None:
    """Without what either may say in its own words or order: why connecting failed, the order of flags, and how long a
    body is that tells of it or of headers."""
    answer["log flags"] = sorted(answer.get("log flags", "").split(","))
    answer["log details"] = answer.get("log details", "").partition("|")[0].rstrip("}")
    body = answer.get("body", b"")
    if body.startswith(_RESET):
        answer["body"] = body.partition(b", transport failure reason")[0]
    headers = answer.get("headers", [])
    headers = [(name, value.partition(", transport failure reason")[0]) for name, value in headers]
    if "body" not in answer or body.startswith(_RESET):
        answer.pop("log sent", None)
        headers = [pair for pair in headers if pair[0] != "content-length"]
    answer["headers"] = headers


def _compared(pairs: Iterable[Sequence[str]], varying: frozenset[str] = _VARYING) -> list[tuple[str, str]]:
    """In the order of names; several of one name in the order they came. Envoy joins some lists to one line."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name.lower(), []).append("…" if name.lower() in varying else value)
    joined = {
        name: [",".join(filter(None, found))] if name.encode() in JOINED else found for name, found in values.items()
    }
    return [(name, value) for name in sorted(joined) for value in joined[name]]


class World:
    """The services that generated rules speak of, and the upstreams behind them."""

    def __init__(self) -> None:
        self.upstreams = {name: Scripted(name) for name in ("up0", "up1", "v1", "v2", "mirror")}
        for upstream in self.upstreams.values():
            upstream.listen()
        self._dead = reserve()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        for upstream in self.upstreams.values():
            upstream.stop()
        self._dead.close()

    def copies(self) -> dict[str, list[Json]]:
        """What the mirror has got, by the keys of requests, once nothing more comes; and forgotten here."""
        mirror = self.upstreams["mirror"]
        count = -1
        while count != len(mirror.requests):
            count = len(mirror.requests)
            time.sleep(0.2)
        found: dict[str, list[Json]] = {}
        for seen in mirror.requests:
            told = {"method": seen.method, "path": seen.target, "headers": _compared(seen.headers), "body": seen.body}
            found.setdefault(seen.get("user-agent") or "", []).append(told)
        mirror.requests.clear()
        return found

    def two_ports(self, host: str) -> Json:
        """A service of which each port leads elsewhere."""
        ports = {"http": self.upstreams["up0"].port, "http-other": self.upstreams["up1"].port}
        numbers = zip(ports, (80, 81), strict=True)
        spec = {
            "hosts": [host],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": number, "name": name, "protocol": "HTTP"} for name, number in numbers],
            "endpoints": [{"address": "127.0.0.1", "ports": ports}],
        }
        return document("ServiceEntry", host.replace(".", "-"), spec)

    def services(self) -> list[Json]:
        ports = {name: upstream.port for name, upstream in self.upstreams.items()}
        labels = [{"version": "v1"}, {"version": "v2"}]
        subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2", "none")]
        return [
            *(service_entry(f"{name}.test", ports[name]) for name in ("up0", "up1", "mirror")),
            service_entry("up2.test", ports["v1"], ports["v2"], labels=labels),
            service_entry("dead.test", self._dead.getsockname()[1]),
            service_entry("empty.test"),
            document("DestinationRule", "up2", {"host": "up2.test", "subsets": subsets}),
        ]


def placed(example: Json, host: str, **more: Any) -> tuple[Json, Json]:
    """The example with its host in place, and its VirtualService."""
    text = json.dumps(example, ensure_ascii=False).replace("{h}", host).replace("{H}", host.upper())
    found: Json = json.loads(text)
    name = host.replace(".", "-")
    return found, document("VirtualService", name, {"hosts": found["hosts"], "http": found["rules"], **more})
