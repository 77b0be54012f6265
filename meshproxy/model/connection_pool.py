"""connectionPool, outlierDetection and the client's tls: the blocks of a TrafficPolicy besides its loadBalancer."""

from dataclasses import dataclass

from meshproxy.model.fields import INT32, boolean, duration, enum, message, text, texts, whole, wholes
from meshproxy.model.reader import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpKeepalive(Message):
    probes: int = whole()
    time: float | None = duration()
    interval: float | None = duration()


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPSettings(Message):
    max_connections: int = whole(-INT32, INT32)
    connect_timeout: float | None = duration()
    tcp_keepalive: TcpKeepalive | None = message(TcpKeepalive)
    max_connection_duration: float | None = duration()
    idle_timeout: float | None = duration()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionKeepalive(Message):
    interval: float | None = duration()
    timeout: float | None = duration()


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPSettings(Message):
    http1_max_pending_requests: int = whole(-INT32, INT32)
    http2_max_requests: int = whole(-INT32, INT32)
    max_requests_per_connection: int = whole(-INT32, INT32)
    max_retries: int = whole(-INT32, INT32)
    idle_timeout: float | None = duration()
    h2_upgrade_policy: str = enum("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")
    use_client_protocol: bool = boolean()
    max_concurrent_streams: int = whole(-INT32, INT32)
    http2_keep_alive: ConnectionKeepalive | None = message(ConnectionKeepalive)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPoolSettings(Message):
    tcp: TCPSettings | None = message(TCPSettings)
    http: HTTPSettings | None = message(HTTPSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection(Message):
    consecutive_errors: int = whole(-INT32, INT32)
    split_external_local_origin_errors: bool = boolean()
    consecutive_local_origin_failures: int | None = whole(default=None)
    consecutive_gateway_errors: int | None = whole(default=None)
    consecutive_5xx_errors: int | None = whole(default=None)
    interval: float | None = duration()
    base_ejection_time: float | None = duration()
    max_ejection_percent: int = whole(-INT32, INT32)
    min_health_percent: int = whole(-INT32, INT32)
    outlier_detection_http_error_codes: tuple[int, ...] = wholes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTLSSettings(Message):
    mode: str = enum("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")
    client_certificate: str = text()
    private_key: str = text()
    ca_certificates: str = text()
    credential_name: str = text()
    subject_alt_names: tuple[str, ...] = texts()
    sni: str = text()
    insecure_skip_verify: bool | None = boolean(None)
    ca_crl: str = text()
