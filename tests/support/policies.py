"""Proxies whose services have a DestinationRule, for tests of what it asks."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from support.proxy import Proxy, document, service_entry
from support.upstream import Peer, Seen, Upstream


def named(name: str) -> Any:
    """A response that says which upstream it is from; `fail` in the target asks for another status."""

    def respond(peer: Peer, seen: Seen) -> None:
        status = seen.get("x-status") or "200"
        peer.answer(name.encode(), f"{status} Told")

    return respond


def upstreams(count: int) -> list[Upstream]:
    """Listening ones, that answer with their number."""
    return [Upstream().respond(named(str(number))).listen() for number in range(count)]


def rule(host: str, **policy: Any) -> dict[str, Any]:
    return document("DestinationRule", "dr-" + host.replace(".", "-"), {"host": host, "trafficPolicy": policy})


def governed(host: str, *ports: int, **policy: Any) -> list[dict[str, Any]]:
    """A static service and its rule."""
    return [service_entry(host, *ports), rule(host, **policy)]


def admin(proxy: Proxy, path: str) -> str:
    host, port = proxy.admin
    with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def live(proxy: Proxy, host: str) -> list[dict[str, Any]]:
    """The endpoints of a host's cluster as /clusters shows them."""
    return [row for row in json.loads(admin(proxy, "/clusters?format=json")) if row["cluster"].endswith(f"|{host}")]


def metric(proxy: Proxy, name: str, host: str) -> int:
    """The value of one series of a host's cluster; 0 where it was never counted."""
    lines = admin(proxy, "/stats/prometheus").splitlines()
    found = [line for line in lines if line.startswith(f"{name}{{") and f'|{host}"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in found)
