"""What an exchange leaves behind for logs and metrics (`telemetry.record.Record`). What only a log asks is worked out
when it asks."""

from __future__ import annotations

from meshproxy.base import clock
from meshproxy.base.headers import Fields
from meshproxy.base.message import Request
from meshproxy.plan.route import Route
from meshproxy.proxy.client import Client
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.endpoint import LiveEndpoint

_NONE: Fields = []  # shared and never changed


class ExchangeRecord:
    """See `telemetry.record.Record` for the meaning of each. Slots, all set at once: CPython reads a slot
    in a tenth of the time that a default on the class takes."""

    __slots__ = (
        "attempts",
        "bytes_received",
        "bytes_sent",
        "client",
        "connection",
        "details",
        "duration",
        "endpoint",
        "flags",
        "original_path",
        "request",
        "requested_server_name",
        "response_fields",
        "response_trailers",
        "route",
        "status",
        "termination_details",
        "transport_failure",
        "upstream_cluster",
        "upstream_fields",
        "upstream_local_address",
        "upstream_service_time",
    )

    def __init__(self, client: Client, request: Request) -> None:
        self.client = client
        self.request = request
        self.route: Route | None = None
        self.endpoint: LiveEndpoint | None = None
        self.connection: UpstreamConnection | None = None
        self.status = 0
        self.flags = self.details = self.termination_details = self.transport_failure = ""
        self.upstream_cluster = self.upstream_local_address = self.requested_server_name = ""
        self.duration = 0.0
        self.upstream_service_time: float | None = None
        self.bytes_received = self.bytes_sent = self.attempts = 0
        self.original_path: bytes | None = None
        self.response_fields = self.upstream_fields = self.response_trailers = _NONE

    @property
    def started(self) -> float:
        return clock.wall() - self.duration

    @property
    def upstream_host(self) -> str:
        return self.endpoint.name if self.endpoint is not None else ""

    @property
    def downstream_local_address(self) -> str:
        return self.client.local_address

    @property
    def downstream_remote_address(self) -> str:
        return self.client.remote_address

    @property
    def route_name(self) -> str:
        return self.route.name if self.route is not None else ""

    def flag(self, flag: str) -> None:
        """Notes one more response flag, in the order they come."""
        if flag and flag not in self.flags.split(","):
            self.flags = f"{self.flags},{flag}" if self.flags else flag
