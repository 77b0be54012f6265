"""connectionPool, outlierDetection and the client's tls: the blocks of a TrafficPolicy besides its loadBalancer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meshproxy.model.checks import milliseconds, milliseconds_or_zero, not_negative, percent
from meshproxy.model.fields import INT32, boolean, duration, enum, message, text, texts, whole, wholes
from meshproxy.model.place import json_name
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpKeepalive(Message):
    probes: int = whole()
    time: float | None = duration(milliseconds)
    interval: float | None = duration(milliseconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPSettings(Message):
    max_connections: int = whole(-INT32, INT32, check=not_negative)
    connect_timeout: float | None = duration(milliseconds)
    tcp_keepalive: TcpKeepalive | None = message(TcpKeepalive)
    max_connection_duration: float | None = duration(milliseconds)
    idle_timeout: float | None = duration(milliseconds_or_zero)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionKeepalive(Message):
    interval: float | None = duration(milliseconds, required=True)
    timeout: float | None = duration(milliseconds, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPSettings(Message):
    http1_max_pending_requests: int = whole(-INT32, INT32, check=not_negative)
    http2_max_requests: int = whole(-INT32, INT32, check=not_negative)
    max_requests_per_connection: int = whole(-INT32, INT32, check=not_negative)
    max_retries: int = whole(-INT32, INT32, check=not_negative)
    idle_timeout: float | None = duration(milliseconds)
    h2_upgrade_policy: str = enum("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")
    use_client_protocol: bool = boolean()
    max_concurrent_streams: int = whole(-INT32, INT32, check=not_negative)
    http2_keep_alive: ConnectionKeepalive | None = message(ConnectionKeepalive)

    def rules(self) -> Iterator[Problem]:
        if self.use_client_protocol and self.h2_upgrade_policy == "UPGRADE":
            message = "useClientProtocol and h2UpgradePolicy: UPGRADE exclude each other: keep one"
            yield self.at.error("use_client_protocol", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPoolSettings(Message):
    tcp: TCPSettings | None = message(TCPSettings)
    http: HTTPSettings | None = message(HTTPSettings)

    def rules(self) -> Iterator[Problem]:
        if self.tcp is None and self.http is None:
            yield self.at.error("", "a connectionPool needs tcp or http settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection(Message):
    consecutive_errors: int = whole(-INT32, INT32)
    split_external_local_origin_errors: bool = boolean()
    consecutive_local_origin_failures: int | None = whole(default=None)
    consecutive_gateway_errors: int | None = whole(default=None)
    consecutive_5xx_errors: int | None = whole(default=None)
    interval: float | None = duration(milliseconds)
    base_ejection_time: float | None = duration(milliseconds)
    max_ejection_percent: int = whole(-INT32, INT32, check=percent)
    min_health_percent: int = whole(-INT32, INT32, check=percent)
    outlier_detection_http_error_codes: tuple[int, ...] = wholes()

    def rules(self) -> Iterator[Problem]:
        if self.consecutive_errors:
            message = "consecutiveErrors is not used any more: write consecutive5xxErrors or consecutiveGatewayErrors"
            yield self.at.warning("consecutive_errors", message)
        if self.consecutive_local_origin_failures and not self.split_external_local_origin_errors:
            message = "consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors: true"
            yield self.at.error("consecutive_local_origin_failures", message)


_FILES = ("client_certificate", "private_key", "ca_certificates", "ca_crl")


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

    def rules(self) -> Iterator[Problem]:
        if self.mode not in ("SIMPLE", "MUTUAL"):
            return
        if self.insecure_skip_verify:
            checked = ["ca_certificates", "subject_alt_names", *(["credential_name"] if self.mode == "SIMPLE" else [])]
            yield from self._excluded("insecureSkipVerify: true", checked)
        if self.credential_name:
            yield from self._excluded("credentialName", _FILES)
        elif self.mode == "MUTUAL":
            for name in ("client_certificate", "private_key"):
                if not getattr(self, name):
                    yield self.at.error(name, f"mode MUTUAL needs a {json_name(name)} (or a credentialName)")

    def _excluded(self, by: str, names: Iterable[str]) -> Iterator[Problem]:
        for name in names:
            if getattr(self, name):
                yield self.at.error(name, f"{json_name(name)} and {by} exclude each other: keep one")
