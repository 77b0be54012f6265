"""A record with every attribute set to what a plain GET leaves behind; tests change what they are about."""

from __future__ import annotations

from dataclasses import dataclass, field

from meshproxy.base.headers import Fields
from meshproxy.base.message import Request
from meshproxy.telemetry.record import Picker


def get(path: bytes = b"/reviews/0", query: bytes | None = None) -> Request:
    return Request(b"GET", path, query, b"reviews:9080", [(b"User-Agent", b"curl/8.5.0")])


@dataclass
class ARecord:
    """Satisfies `telemetry.record.Record`."""

    request: Request = field(default_factory=get)
    status: int = 200
    flags: str = ""
    details: str = "via_upstream"
    termination_details: str = ""
    transport_failure: str = ""
    started: float = 1767323045.678  # 2026-01-02T03:04:05.678Z
    duration: float = 0.0079
    upstream_service_time: float | None = 0.005
    bytes_received: int = 0
    bytes_sent: int = 295
    response_fields: Fields = field(default_factory=list)
    response_trailers: Fields = field(default_factory=list)
    upstream_fields: Fields = field(default_factory=list)
    original_path: bytes | None = None
    upstream_host: str = "10.0.0.7:9080"
    upstream_cluster: str = "outbound|9080|v2|reviews.default.svc.cluster.local"
    upstream_local_address: str = "10.0.0.2:40000"
    downstream_local_address: str = "127.0.0.1:15001"
    downstream_remote_address: str = "127.0.0.1:50000"
    requested_server_name: str = ""
    authority: bytes = b"reviews:9080"
    route_name: str = "default"
    attempts: int = 1

    def pick_upstream(self, picker: Picker) -> list[bytes | None]:
        return picker(self.upstream_fields or self.request.fields)

    @property
    def target(self) -> bytes:
        return self.request.target
