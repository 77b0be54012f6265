"""What an exchange knows of itself, and leaves behind for logs and metrics (`telemetry.record.Record`). What only a log
asks is worked out when it asks."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from meshproxy.base import clock
from meshproxy.base.headers import Fields
from meshproxy.base.message import Request
from meshproxy.plan.route import Route
from meshproxy.proxy.client import Client
from meshproxy.proxy.context import Context
from meshproxy.telemetry.record import Picker
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.endpoint import LiveEndpoint

# What an exchange waits for. Plain numbers: an Enum's members cost a look-up each time.
NOTHING, CONNECTION, HEAD, BODY, ALARM, TUNNEL = range(6)


class Views:
    """What is worked out of the rest, when a log asks."""

    __slots__ = ()

    request: Request
    route: Route | None
    endpoint: LiveEndpoint | None
    client: Client
    duration: float
    _listener: str

    @property
    def listener_name(self) -> str:
        return self._listener

    @property
    def started(self) -> float:
        return clock.wall() - self.duration

    @property
    def authority(self) -> bytes:
        return self.request.host

    @property
    def target(self) -> bytes:
        return self.request.target

    @property
    def upstream_host(self) -> str:
        return self.endpoint.name if self.endpoint is not None else ""

    @property
    def requested_server_name(self) -> str:
        return self.client.server_name

    @property
    def downstream_local_address(self) -> str:
        return (self.client.addresses or self.client.find_addresses())[0]

    @property
    def downstream_remote_address(self) -> str:
        return (self.client.addresses or self.client.find_addresses())[1]

    @property
    def route_name(self) -> str:
        return self.route.name if self.route is not None else ""


class ExchangeRecord(Views):
    """See `telemetry.record.Record` for the meaning of each.

    What every request reads is set for each request, in `__init__`; the rest are defaults of the class, which CPython
    reads ten times slower than what an instance holds, and which cost nothing until they are read. A usual request
    sets less than 30 attributes: with more CPython gives up the compact form of an instance, which costs a microsecond.
    """

    route: Route | None = None
    endpoint: LiveEndpoint | None = None
    details = ""
    termination_details = ""
    transport_failure = ""
    duration = 0.0
    upstream_service_time: float | None = None
    original_path: bytes | None = None
    _target = b""  # path and query as they go on, once that is known
    _host = b""
    upstream_cluster = ""
    upstream_local_address = ""
    response_fields: Fields = []  # noqa: RUF012 (this and the next two: shared, never changed)
    response_trailers: Fields = []  # noqa: RUF012
    upstream_fields: Fields = []  # noqa: RUF012

    def __init__(self, context: Context, client: Client, request: Request, listener: str) -> None:
        self._context = context
        self._live = context.live
        self._listener = listener
        self.client = client
        self.request = request
        self.connection: UpstreamConnection | None = None
        self.flags = ""
        self.status = self.attempts = self.bytes_received = self.bytes_sent = 0
        self.keep = request.keep_alive
        self._waits = NOTHING
        self._coroutine: Coroutine[Any, None, None] | None = None
        self._picked: LiveEndpoint | None = None  # counted as active, not yet reported as done
        self._alarmed = False  # whether any alarm was ever set
        self._start = clock.monotonic()

    def pick_upstream(self, picker: Picker) -> list[bytes | None]:
        return picker(self.upstream_fields or self.request.fields)

    @property
    def authority(self) -> bytes:
        return self._host or self.request.host

    @property
    def target(self) -> bytes:
        return self._target or self.request.target

    def flag(self, flag: str) -> None:
        """Notes one more response flag, in the order they come."""
        if flag and flag not in self.flags.split(","):
            self.flags = f"{self.flags},{flag}" if self.flags else flag
