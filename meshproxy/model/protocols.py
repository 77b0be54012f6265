"""Which protocol a port speaks: by `appProtocol`, by the word before the first `-` of its name, or by its number."""

import enum


class Protocol(enum.Enum):
    """The protocols Istio tells apart; UNSUPPORTED is found out by looking at the bytes."""

    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-WEB"
    HTTP_PROXY = "HTTP_PROXY"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    MONGO = "Mongo"
    REDIS = "Redis"
    MYSQL = "MySQL"
    UDP = "UDP"
    UNSUPPORTED = "UnsupportedProtocol"

    @property
    def is_http(self) -> bool:
        """Plain-text HTTP of any version."""
        return self in _HTTP

    @property
    def is_tls(self) -> bool:
        """Opaque TLS, routed by SNI."""
        return self in (Protocol.HTTPS, Protocol.TLS)

    @property
    def is_tcp(self) -> bool:
        """Opaque bytes."""
        return self in (Protocol.TCP, Protocol.MONGO, Protocol.REDIS, Protocol.MYSQL)

    @property
    def is_sniffed(self) -> bool:
        """Nothing is declared: HTTP or TCP by the first bytes."""
        return self is Protocol.UNSUPPORTED


_HTTP = (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB, Protocol.HTTP_PROXY)
_BY_WORD = {protocol.value.lower(): protocol for protocol in Protocol if protocol is not Protocol.UNSUPPORTED}
_BY_APP_PROTOCOL = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}
_ALWAYS_TCP = frozenset((25, 53, 3306, 27017))
"""Ports whose servers speak first: there is nothing to sniff."""


def parse_protocol(word: str) -> Protocol:
    """The `protocol` of a ServiceEntry, Gateway or Sidecar port, in any case."""
    return _BY_WORD.get(word.lower(), Protocol.UNSUPPORTED)


def port_protocol(name: str, number: int, *, app_protocol: str = "", transport: str = "TCP") -> Protocol:
    """The protocol of a Kubernetes Service port. With an appProtocol the name counts for nothing."""
    if transport == "UDP":
        return Protocol.UDP
    if app_protocol in _BY_APP_PROTOCOL:
        return _BY_APP_PROTOCOL[app_protocol]
    word = (app_protocol or name).lower()
    if word.startswith("grpc-web"):
        return Protocol.GRPC_WEB
    found = _BY_WORD.get(word.partition("-")[0], Protocol.UNSUPPORTED)
    return Protocol.TCP if found is Protocol.UNSUPPORTED and number in _ALWAYS_TCP else found
