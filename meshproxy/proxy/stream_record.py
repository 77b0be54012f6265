"""What a connection that was no HTTP leaves behind for logs (`telemetry.record.Record`): as of a request whose every
attribute is absent."""

from __future__ import annotations

from meshproxy.base import clock
from meshproxy.base.headers import Fields
from meshproxy.base.message import Request
from meshproxy.telemetry.record import Picker

_NO_REQUEST = Request(b"-", b"-", None, b"-", [])
_NO_REQUEST.version = b"-"


class StreamRecord:
    """See `telemetry.record.Record` for the meaning of each."""

    request = _NO_REQUEST
    target = b"-"
    status = 0
    flags = ""
    details = ""
    termination_details = ""
    transport_failure = ""
    duration = 0.0
    upstream_service_time: float | None = None
    bytes_received = 0
    bytes_sent = 0
    response_fields: Fields = []  # noqa: RUF012 (this and the next two: shared, never changed)
    response_trailers: Fields = []  # noqa: RUF012
    upstream_fields: Fields = []  # noqa: RUF012
    original_path: bytes | None = None
    upstream_cluster = ""
    upstream_local_address = ""
    upstream_host = ""
    requested_server_name = ""
    route_name = ""
    listener_name = ""
    attempts = 0

    def __init__(self, local_address: str, remote_address: str) -> None:
        self.downstream_local_address = local_address
        self.downstream_remote_address = remote_address

    def pick_upstream(self, picker: Picker) -> list[bytes | None]:
        return picker(self.request.fields)

    @property
    def authority(self) -> bytes:
        return self.request.host

    @property
    def started(self) -> float:
        return clock.wall() - self.duration
