"""What is known of one request when it has ended: the attributes that logs and metrics read.

A protocol, not a class to fill: the exchange itself has these attributes, so that a request that nobody logs
costs nothing here.
"""

from __future__ import annotations

from typing import Protocol

from meshproxy.base.headers import Fields
from meshproxy.base.message import Request


class Record(Protocol):
    """Times in seconds; sizes are of bodies, in bytes; addresses `ip:port`; absent text is empty."""

    request: Request
    status: int  # 0: no answer was begun
    flags: str  # Envoy's short codes, joined with a comma; empty for none
    details: str  # Envoy's response code details: via_upstream, route_not_found, …
    termination_details: str
    transport_failure: str  # why connecting upstream failed
    duration: float
    upstream_service_time: float | None  # from the request being sent to the response's head
    bytes_received: int
    bytes_sent: int
    response_fields: Fields  # as sent to the client, without framing
    response_trailers: Fields
    upstream_fields: Fields  # as sent to the upstream; empty where nothing was
    original_path: bytes | None  # path and query before a rewrite
    upstream_cluster: str
    upstream_local_address: str
    attempts: int

    @property
    def listener_name(self) -> str: ...  # empty for what is no request

    @property
    def started(self) -> float: ...  # Unix time

    @property
    def authority(self) -> bytes: ...  # the Host, as it went on where it did

    @property
    def target(self) -> bytes: ...  # path and query, likewise

    @property
    def route_name(self) -> str: ...

    @property
    def requested_server_name(self) -> str: ...

    @property
    def upstream_host(self) -> str: ...

    @property
    def downstream_local_address(self) -> str: ...

    @property
    def downstream_remote_address(self) -> str: ...
