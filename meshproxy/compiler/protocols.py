"""What a port speaks, by its name or its appProtocol (Istio: pkg/config/kube/conversion.go, pkg/config/protocol)."""

from __future__ import annotations

from enum import Enum, auto


class Protocol(Enum):
    """The classes that routing tells apart. SNIFFED may be HTTP: nothing was declared."""

    HTTP = auto()
    TLS = auto()
    TCP = auto()
    UDP = auto()
    SNIFFED = auto()


_BY_WORD = {
    **dict.fromkeys(("http", "http2", "grpc", "grpc-web", "http_proxy"), Protocol.HTTP),
    **dict.fromkeys(("https", "tls"), Protocol.TLS),
    **dict.fromkeys(("tcp", "mongo", "redis", "mysql"), Protocol.TCP),
    "udp": Protocol.UDP,
}
_BY_APP_PROTOCOL = {
    "kubernetes.io/h2c": Protocol.HTTP,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.TLS,
}
#: The server speaks first there: sniffing would wait in vain.
_TCP_PORTS = frozenset((25, 53, 3306, 27017))


def by_word(word: str) -> Protocol:
    """Of a `protocol` as ServiceEntries and Gateways spell it."""
    return _BY_WORD.get(word.lower(), Protocol.SNIFFED)


def by_name(name: str, port: int, app_protocol: str, transport: str) -> Protocol:
    """Of a Kubernetes Service's port. Where there is an appProtocol the name is ignored."""
    if transport == "UDP":
        return Protocol.UDP
    if app_protocol in _BY_APP_PROTOCOL:
        return _BY_APP_PROTOCOL[app_protocol]
    word = (app_protocol or name).lower()
    found = Protocol.HTTP if word.startswith("grpc-web") else by_word(word.partition("-")[0])
    return Protocol.TCP if found is Protocol.SNIFFED and port in _TCP_PORTS else found
