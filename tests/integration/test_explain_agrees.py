"""explain against a running proxy: 10,000 generated requests, each answered as the ladder says.

Every rule marks its responses with a header of its own, so that the rule is compared, not only what it does; upstreams
say who they are and what reached them.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from support.proxy import Proxy, document, virtual_service
from support.raw import Address

from meshproxy.admin.decision_json import decision_json
from meshproxy.compiler.build import build_snapshot
from meshproxy.compiler.options import BuildOptions, parse_map
from meshproxy.control.asked import Asked, answer_to
from meshproxy.model.catalog import Source, read_catalog
from meshproxy.plan.explain import Decision
from meshproxy.plan.snapshot import Snapshot

REQUESTS = 10_000
BATCH = 50
SERVICES = ["alpha", "beta", "gamma"]
GATEWAY = "default/entry"
PATHS = ["/", "/a", "/A", "/ab", "/a/b", "/api/v1/x", "/api/v2/", "/%61", "/a/../b", "/b//c", "/%2Fx", "/~y", "/B?q=1"]
QUERIES = ["", "?q=1", "?q=2&p=x", "?p=", "?Q=1&q=", "?q"]
VALUES = ["", "1", "one", "one-two", "two", "a,b"]
NAMES = ["x-a", "X-B", "x-c", "accept", "x-forwarded-proto"]
METHODS = ["GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS"]

Rule = dict[str, Any]


class Dice(random.Random):
    """Rules and requests from a small vocabulary, so that they meet."""

    def chance(self, share: float) -> bool:
        return self.random() < share

    def text(self, words: list[str], regexes: list[str]) -> Rule:
        kind = self.choice(["exact", "prefix", "regex"])
        if kind == "regex":
            return {"regex": self.choice(regexes)}
        word = self.choice(words)
        return {"exact": word} if kind == "exact" else {"prefix": word[: self.randint(1, 3)] or "x"}

    def block(self) -> Rule:
        found: Rule = {}
        if self.chance(0.8):
            uris = [path.partition("?")[0] for path in PATHS]
            found["uri"] = self.text(uris, ["/a.*", "/(a|b)/?.*", "(?i)/A", "/api/v[0-9]+/.*", "/[^/]*"])
            if self.chance(0.2):
                found["ignoreUriCase"] = True
        for field, share in (("headers", 0.5), ("withoutHeaders", 0.2)):
            if self.chance(share):
                match = self.text(VALUES[1:], ["[a-z]+", "one.*", "a,b|1"]) if self.chance(0.8) else {}
                found[field] = {self.choice(NAMES): match}
        if self.chance(0.2):
            found["queryParams"] = {self.choice("qp"): self.text(["1", "2", "x"], [".*", "[0-9]"])}
        if self.chance(0.3):
            found["method"] = {"exact": self.choice(METHODS)}
        if self.chance(0.1):
            found["scheme"] = {"exact": self.choice(["http", "https"])}
        if self.chance(0.1):
            found["authority"] = {"prefix": self.choice(SERVICES)}
        if self.chance(0.1):
            found["gateways"] = [self.choice(["mesh", "entry"])]
        if self.chance(0.1):
            found["sourceLabels"] = {"app": self.choice(["web", "other"])}
        if self.chance(0.1):
            found["port"] = self.choice([80, 8080, 9080])
        return found

    def rule(self, mark: str) -> Rule:
        rule: Rule = {"match": [self.block() for _ in range(self.choice([1, 1, 2]))], "name": f"r-{mark}"}
        rule["headers"] = {"response": {"set": {"x-rule": mark}}}
        return rule | self.action(mark)

    def action(self, mark: str) -> Rule:
        match self.choice(["route", "route", "weights", "redirect", "direct", "fault", "subset", "nobody"]):
            case "redirect":
                return {"redirect": {"uri": self.choice(["/new", "/n?x=1"]), "redirectCode": self.choice([301, 307])}}
            case "direct":
                return {"directResponse": {"status": self.choice([200, 403, 418]), "body": {"string": mark}}}
            case "fault":
                abort = {"httpStatus": 555, "percentage": {"value": 100}}
                return {"fault": {"abort": abort}, "route": [self.to(self.choice(SERVICES))]}
            case "weights":
                one, other = self.sample(SERVICES, 2)
                return {"route": [{**self.to(one), "weight": 70}, {**self.to(other), "weight": 30}]}
            case "subset":
                return {"route": [self.to("alpha", self.choice(["v1", "empty", "unknown"]))]}
            case "nobody":
                return {"route": [self.to(self.choice(["lonely", "missing"]))]}
        rule: Rule = {"route": [self.to(self.choice(SERVICES))]}
        if self.chance(0.4):
            rule["rewrite"] = self.choice(
                [{"uri": "/w/"}, {"authority": "w.test"}, {"uri": "/", "authority": "w.test"}]
            )
        return rule

    def to(self, service: str, subset: str = "") -> Rule:
        return {"destination": {"host": service, **({"subset": subset} if subset else {})}}

    def asked(self, hosts: list[str]) -> Asked:
        host = self.choice(hosts)
        if self.chance(0.2):
            host = host.upper()
        if self.chance(0.5):
            host += self.choice([":9080", ":80", ":1"])
        path = self.choice(PATHS)
        query = "" if "?" in path else self.choice(QUERIES)
        names = self.sample(NAMES, self.choice([0, 1, 1, 2]))
        headers = [(name, "https" if name == "x-forwarded-proto" else self.choice(VALUES)) for name in names]
        if headers and self.chance(0.1):
            headers.append((headers[0][0], self.choice(VALUES)))
        return Asked(
            url=f"http://{host}{path}{query}",
            method=self.choice(METHODS),
            headers=tuple(headers),
            gateway=GATEWAY if self.chance(0.3) else "",
        )


def service(name: str) -> Rule:
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 9080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def configuration(dice: Dice) -> tuple[str, list[str]]:
    """The documents, and the hosts that are asked for."""
    hosts = [*SERVICES, "lonely", *(f"h{number}.test" for number in range(20)), "*.wild.test"]
    documents = [service(name) for name in (*SERVICES, "lonely")]
    subsets = [{"name": "v1", "labels": {"version": "v1"}}, {"name": "empty", "labels": {"version": "none"}}]
    documents.append(document("DestinationRule", "alpha", {"host": "alpha", "subsets": subsets}))
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    servers = [{"port": port, "hosts": ["*"]}]
    documents.append(document("Gateway", "entry", {"selector": {}, "servers": servers}))
    for number, host in enumerate(hosts):
        rules = [dice.rule(f"{number}-{index}") for index in range(dice.randint(2, 7))]
        if dice.chance(0.7):
            last = {"headers": {"response": {"set": {"x-rule": f"{number}-last"}}}, "name": f"r-{number}-last"}
            rules.append(last | dice.action(f"{number}-last"))
        documents.append(virtual_service(host, *rules, gateways=["mesh", "entry"]))
    asked = [host.replace("*", "x") for host in hosts] + ["nobody.test"]
    return yaml.safe_dump_all(documents, sort_keys=False), asked


# ---- the other side


class Namesake(asyncio.Protocol):
    """An upstream that answers each request with its name and the request line and Host it saw."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            line, *fields = head.split(b"\r\n")
            host = next(field for field in fields if field.lower().startswith(b"host:"))
            body = b"%b %b %b" % (self.name.encode(), line.split(b" ")[1], host.partition(b":")[2].strip())
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))  # type: ignore[attr-defined]


@contextmanager
def upstreams() -> Iterator[dict[str, int]]:
    """Name → port; they run in a thread of their own."""
    loop = asyncio.new_event_loop()
    ports: dict[str, int] = {}
    started = threading.Event()

    async def serve() -> None:
        for name in (*SERVICES, "alpha:v1"):
            server = await loop.create_server(lambda name=name: Namesake(name), "127.0.0.1", 0)
            servers.append(server)
            ports[name] = server.sockets[0].getsockname()[1]
        started.set()

    servers: list[asyncio.Server] = []
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(serve(), loop)
    assert started.wait(10)
    try:
        yield ports
    finally:
        for server in servers:
            loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.close()


Answer = tuple[int, dict[str, str], str]
"""Status, headers, body."""


def answers(address: Address, heads: list[bytes]) -> Iterator[Answer]:
    """Requests down one connection, many at a time; every answer has a length."""
    with socket.create_connection(address, timeout=30) as sock, sock.makefile("rb") as stream:
        for start in range(0, len(heads), BATCH):
            batch = heads[start : start + BATCH]
            sock.sendall(b"".join(batch))
            for _ in batch:
                status = int(stream.readline().split(b" ")[1])
                fields: dict[str, str] = {}
                while (line := stream.readline().strip()) != b"":
                    name, _, value = line.decode("latin-1").partition(":")
                    fields[name.lower()] = value.strip()
                assert fields.get("connection") != "close"
                yield status, fields, stream.read(int(fields["content-length"])).decode("latin-1")


# ---- what the ladder says


def mark(decision: Decision) -> str | None:
    """The mark of the rule that matched."""
    name = decision.route.name if decision.route is not None else ""
    return name.removeprefix("r-") if name.startswith("r-") else None


def disagreement(decision: Decision, answer: Answer, ports: dict[str, int]) -> str:
    """Why the answer is not what the decision says; empty where it is."""
    status, fields, body = answer
    said = decision_json(decision)
    if fields.get("x-rule") != mark(decision):
        return f"rule {fields.get('x-rule')}, not {mark(decision)}"
    if said["status"] is not None:
        if status != said["status"]:
            return f"status {status}, not {said['status']}"
        if said["redirect"] is not None and fields.get("location") != said["redirect"]["location"]:
            return f"location {fields.get('location')}, not {said['redirect']['location']}"
        return ""
    if status != 200:
        return f"status {status} of {said['destinations']}"
    name, target, host = body.split(" ")
    addresses = {each["address"] for to in said["destinations"] for each in to["endpoints"]}
    request = decision.request
    rewritten = said["rewrite"] or {"uri": request.path.decode(), "authority": request.host.decode()}
    wanted = rewritten["uri"] + (f"?{request.query.decode()}" if request.query is not None else "")
    if f"127.0.0.1:{ports[name]}" not in addresses:
        return f"went to {name}, not to {addresses}"
    if (target, host) != (wanted, rewritten["authority"]):
        return f"arrived as {target} of {host}, not as {wanted} of {rewritten['authority']}"
    return ""


def compiled(text: str, maps: list[str]) -> Snapshot:
    catalog, _ = read_catalog([Source("config.yaml", text.encode())])
    options = BuildOptions(labels={"app": "web"}, maps=tuple(map(parse_map, maps)), binds={80: ("127.0.0.1", 0)})
    return build_snapshot(catalog, options)[0]


@pytest.mark.parametrize("seed", [6])
def test_explain_says_what_a_running_proxy_does(seed: int) -> None:
    dice = Dice(seed)
    text, hosts = configuration(dice)
    with upstreams() as ports:
        maps = [f"{name}=127.0.0.1:{port}" for name, port in ports.items()]
        arguments = [word for each in maps for word in ("--map", each)]
        arguments += ["--labels", "app=web", "--bind", "80=127.0.0.1:0"]
        snapshot = compiled(text, maps)
        asked = [dice.asked(hosts) for _ in range(REQUESTS)]
        decisions = [answer_to(snapshot, each) for each in asked]
        with Proxy(text, *arguments) as proxy:
            wrong: list[str] = []
            for gateway, address in (("", proxy.address), (GATEWAY, proxy.gateways[0])):
                own = [(each, made) for each, made in zip(asked, decisions, strict=True) if each.gateway == gateway]
                got = answers(address, [each.head() for each, _ in own])
                for (each, made), answer in zip(own, got, strict=True):
                    if why := disagreement(made, answer, ports):
                        wrong.append(f"{each}: {why}")
    assert not wrong[:5], f"{len(wrong)} of {REQUESTS}"
    reached = {mark(made) for made in decisions}
    assert len(reached) > 50  # the requests do meet the rules
