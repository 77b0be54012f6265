"""Gateways that get in each other's way, and what they need of Pods, Services and Secrets.

Workloads and certificates are judged only where the files hold Pods (and Secrets): without them nothing can be said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from meshproxy.analysis.codes import finding
from meshproxy.analysis.names import did_you_mean, known, quoted
from meshproxy.analysis.view import Check, Labels, View, selects
from meshproxy.model.gateway import Gateway, Server
from meshproxy.model.kubernetes import Pod, Secret, Service
from meshproxy.model.problem import Problem
from meshproxy.model.server_tls import ServerTLSSettings

#: Istio's own ingress gateway, taken to be there.
_DEFAULT_GATEWAY = {"istio": "ingressgateway", "app": "istio-ingressgateway"}
_KEY_PAIRS = (("tls.crt", "tls.key"), ("cert", "key"))
_MARKS = (b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY-----")


def _shown(selector: Labels) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


def check_conflicts(view: View) -> Iterator[Problem]:
    """IST0145: one port and host served by two Gateways of the same workloads."""
    by_selector: dict[str, list[Gateway]] = defaultdict(list)
    for gateway in view.catalog.gateways:
        by_selector[_shown(gateway.selector)].append(gateway)
    for selector, gateways in by_selector.items():
        others = [other for text, found in by_selector.items() if _overlap(view, selector, text) for other in found]
        yield from _conflicts(selector, gateways, [*gateways, *others])


def _overlap(view: View, selector: str, other: str) -> bool:
    """Whether one selector is part of the other and a Pod has the labels of both."""
    if selector == other or not (selector in other or other in selector):
        return False
    pairs = [pair.partition("=")[::2] for pair in f"{selector},{other}".split(",") if pair]
    return bool(view.pods(dict(pairs)))


def _conflicts(selector: str, gateways: Sequence[Gateway], rivals: Sequence[Gateway]) -> Iterator[Problem]:
    serving: dict[tuple[int, str, str], list[Gateway]] = defaultdict(list)
    for gateway in rivals:
        for server, host in _served(gateway):
            serving[_port(server), server.bind, host].append(gateway)
    for gateway in gateways:
        for server in gateway.servers:
            hosts: dict[str, list[Gateway]] = {}
            for host in server.hosts:
                found = [g for g in serving[_port(server), server.bind, host] if g is not gateway]
                if found:
                    hosts[host] = found
            if hosts:
                names = sorted({other.meta.full_name for found in hosts.values() for other in found})
                yield finding(
                    "IST0145",
                    f"conflicts with gateway {quoted(names)}: the same workloads ({selector or 'all gateways'}) serve "
                    f"port {_port(server)} and {quoted(hosts)} for it too",
                    server.at.field("hosts"),
                )


def _served(gateway: Gateway) -> Iterator[tuple[Server, str]]:
    return ((server, host) for server in gateway.servers for host in server.hosts)


def _port(server: Server) -> int:
    return server.port.number if server.port is not None else 0


def check_certificates(view: View) -> Iterator[Problem]:
    """IST0138: one certificate in two Gateways of the same workloads makes clients reuse the wrong connection."""
    users: dict[str, list[Gateway]] = defaultdict(list)
    for gateway in view.catalog.gateways:
        for certificate in dict.fromkeys(c for server in gateway.servers if (c := _certificate(server.tls))):
            users[certificate].append(gateway)
    for gateway in view.catalog.gateways:
        told: set[str] = set()
        for server in gateway.servers:
            for other in users.get(_certificate(server.tls), ()):
                name = other.meta.full_name
                if other is not gateway and name not in told and selects(gateway.selector, other.selector):
                    told.add(name)
                    assert server.tls is not None
                    yield finding(
                        "IST0138",
                        f'gateway "{name}" has the same certificate: a client that reuses its connection for the '
                        f"other host gets 404",
                        server.tls.at.origin,
                    )


def _certificate(tls: ServerTLSSettings | None) -> str:
    """What names the certificate, empty if there is none."""
    if tls is None:
        return ""
    if tls.credential_name:
        return tls.credential_name
    pair = (tls.server_certificate, tls.private_key)
    return " ".join(pair) if all(pair) else ""


def check_workloads(view: View) -> Iterator[Problem]:
    """IST0101 selector and credentialName, IST0161, IST0162."""
    if not view.catalog.pods:
        return
    services: dict[str, list[Service]] = defaultdict(list)
    for service in view.catalog.services:
        services[service.meta.namespace].append(service)
    secrets = {secret.meta.full_name: secret for secret in view.catalog.secrets}
    for gateway in view.catalog.gateways:
        pods = view.pods(gateway.selector)
        if pods:
            yield from _check_ports(gateway, pods, services)
            if secrets:
                yield from _check_credentials(gateway, pods, secrets)
        elif not selects(gateway.selector, _DEFAULT_GATEWAY):
            message = f'Referenced selector not found: "{_shown(gateway.selector)}" selects no Pod'
            yield finding("IST0101", message, gateway.at.field("selector"))


def _check_ports(gateway: Gateway, pods: Sequence[Pod], services: Mapping[str, Sequence[Service]]) -> Iterator[Problem]:
    offered = {
        number
        for pod in pods
        for service in services.get(pod.meta.namespace, ())
        if service.selector and selects(service.selector, pod.meta.labels)
        for port in service.ports
        if port.protocol in ("", "TCP")
        for number in (port.port, port.target_port)
    }
    for server in gateway.servers:
        number = _port(server)
        if number and number not in offered and server.port is not None:
            ports = [str(port) for port in offered if isinstance(port, int) and port]
            yield finding(
                "IST0162",
                f"no Service of the gateway's Pods ({_shown(gateway.selector)}) has port {number}, so nobody outside "
                f"reaches it{known('ports', ports)}",
                server.port.at.field("number"),
            )


def _check_credentials(gateway: Gateway, pods: Sequence[Pod], secrets: Mapping[str, Secret]) -> Iterator[Problem]:
    for server in gateway.servers:
        if server.tls is None or not server.tls.credential_name:
            continue
        name, origin = server.tls.credential_name, server.tls.at.field("credential_name")
        for namespace in sorted({pod.meta.namespace for pod in pods}):
            secret = secrets.get(f"{namespace}/{name}")
            if secret is None:
                hint = did_you_mean(f"{namespace}/{name}", secrets)
                message = f'Referenced credentialName not found: "{name}" in namespace "{namespace}" of the Pods{hint}'
                yield finding("IST0101", message, origin)
            elif not _usable(secret):
                message = f'Secret "{namespace}/{name}" of the gateway\'s Pods has no certificate with its key'
                yield finding("IST0161", message, origin)


def _usable(secret: Secret) -> bool:
    values = secret.values
    return any(all(mark in values.get(key, b"") for key, mark in zip(pair, _MARKS, strict=True)) for pair in _KEY_PAIRS)


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0145",), check_conflicts),
    (("IST0138",), check_certificates),
    (("IST0101", "IST0161", "IST0162"), check_workloads),
)
