"""What is known of one request when it has ended: the attributes that logs and metrics read.

A protocol, not a class to fill: the exchange itself has these attributes, so that a request that nobody logs
costs nothing here.
"""

from __future__ import annotations

from typing import Protocol

from meshproxy.base.headers import Fields
from meshproxy.base.message import Request


class Picker(Protocol):
    """Looks for the first value of each of some header fields, named in lower case."""

    names: tuple[bytes, ...]

    def __call__(self, fields: Fields) -> list[bytes | None]: ...


class Record(Protocol):
    """Times in seconds; sizes are of bodies, in bytes; addresses `ip:port`; absent text is empty."""

    status: int  # 0: no answer was begun
    flags: str  # Envoy's short codes, joined with a comma; empty for none
    duration: float
    bytes_sent: int

    @property
    def request(self) -> Request: ...

    @property
    def details(self) -> str: ...  # Envoy's response code details: via_upstream, route_not_found, …

    @property
    def termination_details(self) -> str: ...

    @property
    def transport_failure(self) -> str: ...  # why connecting upstream failed

    @property
    def upstream_service_time(self) -> float | None: ...  # from the request being sent to the response's head

    @property
    def bytes_received(self) -> int: ...

    @property
    def response_fields(self) -> Fields: ...  # as sent to the client, without framing

    @property
    def response_trailers(self) -> Fields: ...

    @property
    def upstream_fields(self) -> Fields: ...  # as sent to the upstream; empty where nothing was

    def pick_upstream(self, picker: Picker) -> list[bytes | None]: ...  # of `upstream_fields`, or what was received

    @property
    def original_path(self) -> bytes | None: ...  # path and query before a rewrite

    @property
    def upstream_cluster(self) -> str: ...

    @property
    def upstream_local_address(self) -> str: ...

    @property
    def attempts(self) -> int: ...

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
