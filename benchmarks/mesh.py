"""The configuration every peer gets, in Istio's words.

One service `reviews` (subsets v2 and v3, two endpoints each) behind a header match and a default route. `routes` puts
path rules between the two; `services` adds whole services around it. The files are laid out as Kubernetes lays out a
ConfigMap, so that a reload is one symlink swapped.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.certificate import certificate

HOST = "reviews"
FQDN = "reviews.default.svc.cluster.local"
PORT = 9080
GATEWAY_PORT = 8443
SUBSETS = {"v2": ("127.0.0.2", "127.0.0.3"), "v3": ("127.0.0.4", "127.0.0.5")}
ENDPOINTS_PER_SERVICE = 10

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Setup:
    """How a scenario wants its peers configured."""

    routes: int = 2
    services: int = 0
    access_log: bool = False
    edge: str = ""  # what a gateway does in front of the service: terminate `tls`, or pass `tcp` on


def paths(setup: Setup) -> Iterator[tuple[str, str]]:
    """The path rules between the header match and the default route: `(prefix|exact, path)`, two kinds in turn."""
    for index in range(setup.routes - 2):
        yield ("prefix", f"/r/{index:05}/") if index % 2 else ("exact", f"/r/{index:05}")


def farthest_path(setup: Setup) -> str:
    """A path that only the last path rule takes: a table that is walked is walked whole."""
    *_, (kind, path) = paths(setup)
    return path if kind == "exact" else f"{path}x"


def service_host(index: int) -> str:
    return f"svc-{index:04}.mesh.internal"


def documents(setup: Setup, upstream_port: int, *, flipped: bool = False) -> Iterator[Document]:
    """All documents; `flipped` sends every added service to its other subset by other endpoints."""
    addresses = [(address, subset) for subset, group in SUBSETS.items() for address in group]
    yield _service_entry(HOST, FQDN, addresses, upstream_port)
    yield _destination_rule(HOST, FQDN, False)
    yield _object("VirtualService", HOST, {"hosts": [HOST], "http": [*_rules(setup)]})
    if setup.edge:
        yield from _edge(setup)
    for index in range(setup.services):
        host, name = service_host(index), f"svc-{index:04}"
        yield _service_entry(name, host, _pod_addresses(index, setup, flipped), upstream_port)
        yield _destination_rule(name, host, flipped)
        rules = [
            {"match": [{"uri": {"prefix": "/canary"}}], "route": [_to(host, "v2")]},
            {"route": [_to(host, "v2" if flipped else "v3")]},
        ]
        yield _object("VirtualService", name, {"hosts": [host], "http": rules})


def stage(directory: Path, setup: Setup, upstream_port: int, *, generation: int) -> Path:
    """Writes a generation beside the current one; nothing sees it before `swap`."""
    data = directory / f"..generation-{generation}"
    data.mkdir(parents=True)
    by_kind: dict[str, list[str]] = {}
    for document in documents(setup, upstream_port, flipped=generation % 2 == 1):
        by_kind.setdefault(str(document["kind"]).lower(), []).append(json.dumps(document))
    for kind, texts in by_kind.items():
        (data / f"{kind}.yaml").write_text("---\n" + "\n---\n".join(texts) + "\n")
    return data


def swap(directory: Path, data: Path) -> None:
    """Makes a staged generation the current one with a single rename, as a kubelet does."""
    fresh = directory / "..data-new"
    fresh.symlink_to(data.name)
    fresh.rename(directory / "..data")
    for file in data.iterdir():
        link = directory / file.name
        if not link.is_symlink():
            link.symlink_to(f"..data/{file.name}")


def _rules(setup: Setup) -> Iterator[Document]:
    yield {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": [_to(HOST, "v2")]}
    for kind, path in paths(setup):
        yield {"match": [{"uri": {kind: path}}], "route": [_to(HOST, "v3")]}
    yield {"route": [_to(HOST, "v3")]}


def _edge(setup: Setup) -> Iterator[Document]:
    """A gateway on GATEWAY_PORT, and where it leads."""
    protocol, tls = ("HTTPS", _terminated()) if setup.edge == "tls" else ("TCP", {})
    port = {"number": GATEWAY_PORT, "name": "edge", "protocol": protocol}
    yield _object("Gateway", "edge", {"servers": [{"port": port, "hosts": ["*"], **tls}]})
    rules = "http" if setup.edge == "tls" else "tcp"
    yield _object("VirtualService", "edge", {"hosts": ["*"], "gateways": ["edge"], rules: [{"route": [_edge_route()]}]})


def _edge_route() -> Document:
    return {"destination": {"host": FQDN, "subset": "v3", "port": {"number": PORT}}}


def _terminated() -> Document:
    chain, key = certificate()
    return {"tls": {"mode": "SIMPLE", "serverCertificate": str(chain), "privateKey": str(key)}}


def _to(host: str, subset: str) -> Document:
    return {"destination": {"host": host, "subset": subset}}


def _pod_addresses(index: int, setup: Setup, flipped: bool) -> list[tuple[str, str]]:
    if index == setup.services - 1:  # The last service is the one that is asked, so its endpoints answer.
        return [(address, subset) for subset, group in SUBSETS.items() for address in group]
    net = 20 if flipped else 10
    return [
        (f"127.{net + index // 250}.{index % 250}.{pod + 1}", "v2" if pod % 2 else "v3")
        for pod in range(ENDPOINTS_PER_SERVICE)
    ]


def _service_entry(name: str, host: str, addresses: list[tuple[str, str]], port: int) -> Document:
    endpoints = [{"address": address, "ports": {"http": port}, "labels": {"version": v}} for address, v in addresses]
    ports = [{"number": PORT, "name": "http", "protocol": "HTTP"}]
    spec = {"hosts": [host], "ports": ports, "resolution": "STATIC", "location": "MESH_INTERNAL"}
    return _object("ServiceEntry", name, {**spec, "endpoints": endpoints})


def _destination_rule(name: str, host: str, flipped: bool) -> Document:
    subsets = [{"name": subset, "labels": {"version": subset}} for subset in SUBSETS]
    spec: Document = {"host": host, "subsets": subsets}
    if flipped:
        spec["trafficPolicy"] = {"connectionPool": {"tcp": {"connectTimeout": "5s"}}}
    return _object("DestinationRule", name, spec)


def _object(kind: str, name: str, spec: Document) -> Document:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }
