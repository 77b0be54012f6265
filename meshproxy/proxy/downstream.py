"""One connection of a client: owns its transport and its reader, and answers one request after the other.

Requests that arrive while one is being answered wait their turn; reading stops meanwhile, so that what waits is no more
than one read. Faults of the client are answered after the requests before them, then the connection is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from meshproxy.base import clock
from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.base.headers import Fields
from meshproxy.base.message import Request
from meshproxy.base.plain import PlainRequest
from meshproxy.proxy.client import InHand
from meshproxy.proxy.context import Context
from meshproxy.proxy.exchange import Exchange
from meshproxy.proxy.forwarding import additions, gateway_fields, sidecar_fields
from meshproxy.proxy.owner import Owner
from meshproxy.proxy.plain import PlainExchange
from meshproxy.upstream.connection import HIGH_WATER, LOW_WATER
from meshproxy.wire.http1_plain import DETOUR, read_request
from meshproxy.wire.http1_server import RequestReader

_SIDECAR, _GATEWAY = (b"server", b"envoy"), (b"server", b"istio-envoy")


class Downstream(asyncio.Protocol):
    """`idle_since` is when the last thing happened, as coarsely as the sweep looks at it."""

    transport: asyncio.Transport
    server_name = ""

    def __init__(self, proxy: Owner, context: Context, listener: str, *, is_gateway: bool) -> None:
        self._proxy = proxy
        self._context = context
        self._listener = listener
        self.server = _GATEWAY if is_gateway else _SIDECAR
        self.forwarded: Callable[..., Fields] = gateway_fields if is_gateway else sidecar_fields
        self.server_line = b": ".join(self.server)
        self.draws_id = is_gateway
        self.tail = b""
        self.added: Mapping[bytes, bytes] = {}
        self._reader = RequestReader()
        self._exchange: InHand | None = None
        self._starting = False  # inside `Exchange.start`
        self._paused = False
        self.closing = False
        self._receiving = False  # the request in hand is not whole yet
        self._discarding: Request | None = None  # answered, but its body still comes
        self._discarded = 0  # so many bytes of it
        self._tunnelled = False
        self._eof_at: float | None = None
        self.blocked = False
        self.idle_since = 0.0
        self._head_since: float | None = None  # when the head that is awaited began, or the connection
        self.addresses: tuple[str, str] | None = None

    # ---- the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        self.idle_since = self._head_since = self._proxy.now
        self._proxy.opened(self)

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return  # what comes now is read so that the client is not reset under its answer
        self.idle_since = self._proxy.now
        reader = self._reader
        if self._exchange is None and reader.fresh and not (reader.requests or self.blocked):
            if reader.detour:
                reader.detour -= 1
            elif (request := read_request(data, reader.scheme, reader.shape)) is not None:
                reader.shape = request.shape
                self._head_since = None
                exchange = self._exchange = PlainExchange(self._context, self, request, self._listener)
                try:
                    exchange.start()
                except Exception:
                    exchange.fail_internally()
                return
            else:
                reader.detour = DETOUR
        reader.feed(data)
        if self._receiving:
            self._receive()
        self._advance()
        if reader.mid_head and self._head_since is None:
            self._head_since = self.idle_since

    def eof_received(self) -> bool:
        """A client that has closed its half after a whole request may still get an answer that comes soon; whether it
        is gone altogether cannot be told."""
        exchange = self._exchange
        self.closing = True
        self._eof_at = clock.monotonic()
        return exchange is not None and exchange.request.complete

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self._reader.close()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.on_client_lost()
        self._proxy.closed(self)

    def pause_writing(self) -> None:
        self.blocked = True
        if self._exchange is not None:
            self._exchange.on_client_blocked(True)

    def resume_writing(self) -> None:
        self.blocked = False
        self.idle_since = self._proxy.now
        if self._exchange is not None:
            self._exchange.on_client_blocked(False)
        elif not self._tunnelled:
            self._advance()

    # ---- from one request to the next

    def _advance(self) -> None:
        """Goes on to the next request, if the one before is done and its client takes what it gets."""
        reader = self._reader
        requests = reader.requests
        while requests and self._exchange is None and not (self.closing or self._discarding or self.blocked):
            request = requests.popleft()
            self._head_since = None
            self._receiving = not request.complete
            exchange = self._exchange = Exchange(self._context, self, request, self._listener)
            self._starting = True
            exchange.start()
            self._starting = False
        if requests or self._paused or reader.error is not None:
            self._hold_back()

    def replace(self, exchange: InHand) -> None:
        self._exchange = exchange

    def begin_tail(self, request: PlainRequest) -> bytes:
        self.added, self.tail = additions(request.scheme, self)
        return self.tail

    def plain_done(self) -> None:
        """A plain exchange is over; whatever came meanwhile is next."""
        self._exchange = None
        self.idle_since = self._proxy.now
        reader = self._reader
        if reader.requests or self._paused or reader.error is not None:
            self._advance()

    def _hold_back(self) -> None:
        """What waits its turn waits unread; a fault of the client has its turn when all before it are answered."""
        reader = self._reader
        if self._exchange is not None:
            if self._receiving and reader.error is not None:
                self._receive()
            elif reader.requests:
                self.pause_reading()
        elif self.closing:
            return
        elif reader.requests:
            self.pause_reading()  # the client is blocked
        else:
            self.resume_reading()
            if reader.error is not None and self._discarding is None:
                self.refuse(reader.error)

    def _receive(self) -> None:
        """More of a request whose head is known: for its exchange, or, where it is answered already, for nobody."""
        exchange, error = self._exchange, self._reader.error
        if exchange is None:
            self._discard()
        elif error is not None and not exchange.request.complete:
            self._receiving = False
            exchange.on_request_broken(error)
        else:
            self._receiving = not exchange.request.complete
            exchange.on_request_data()

    def _discard(self) -> None:
        """Drops what comes of a request that is answered already, up to a limit; then the connection is free again."""
        request = self._discarding
        if request is None:
            return
        self._discarded += sum(map(len, request.body))
        request.body.clear()
        if request.complete and not self._context.draining:
            self._discarding = None
            self._receiving = False
        elif (
            request.complete or self._reader.error is not None or self._discarded > self._context.options.discard_limit
        ):
            self.closing = True
            self.transport.close()

    def exchange_done(self, *, keep: bool) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None or self._tunnelled or not keep or self.closing or self._context.draining:
            self._finish(exchange)
            return
        request = exchange.request
        if request.upgrade is not None:
            self._reader.refuse_upgrade()
        if not request.complete:
            self._discarding, self._discarded = request, 0
        self.idle_since = self._proxy.now
        if not self._starting and (self._reader.requests or self._paused or self._reader.error is not None):
            self._advance()

    def _finish(self, exchange: InHand | None) -> None:
        """No further request on this connection."""
        if self._tunnelled:
            self._proxy.closed(self)
        elif exchange is not None and not self.transport.is_closing():
            self._close_gently(exchange.request)

    def _close_gently(self, request: Request) -> None:
        """Closes when what is written has gone out. A client that may still send is not reset under its answer: its
        bytes are read and dropped until it closes, or the sweep does."""
        self.closing = True
        self._context.outbox.flush()
        if (request.complete and self._reader.error is None) or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()
            self.resume_reading()

    def refuse(self, error: ProxyError) -> None:
        """Answers what is no request, and closes."""
        request = Request(b"", b"", None, b"", [])
        request.keep_alive = False
        request.complete = True
        exchange = self._exchange = Exchange(self._context, self, request, self._listener)
        exchange.refuse(error)

    # ---- for the exchange

    def touch(self) -> None:
        self.idle_since = self._proxy.now

    def pause_reading(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def take_held(self) -> list[bytes]:
        """The tunnel takes the connection over; what the client sent early belongs to it."""
        self._tunnelled = True
        return self._reader.take_held()

    @property
    def local_address(self) -> str:
        return self.find_addresses()[0]

    @property
    def remote_address(self) -> str:
        return self.find_addresses()[1]

    @property
    def remote_ip(self) -> bytes:
        return self.find_addresses()[1].rpartition(":")[0].strip("[]").encode()

    def find_addresses(self) -> tuple[str, str]:
        if self.addresses is None:
            info = self.transport.get_extra_info
            self.addresses = (_text(info("sockname")), _text(info("peername")))
        return self.addresses

    # ---- for the worker

    def start_drain(self) -> None:
        """No further request: an idle connection closes now, a busy one after its answer."""
        if self._exchange is None and not self._reader.mid_head and self._discarding is None:
            self.closing = True
            self.transport.close()

    def sweep(self, now: float) -> None:
        """Closes what has been still for too long."""
        options = self._context.options
        still = now - self.idle_since
        if self._tunnelled:
            return  # its two connections are its own
        if self._exchange is not None:
            if self._eof_at is not None and now - self._eof_at > options.half_close_timeout:
                self._exchange.on_client_lost()
            elif still > options.stream_idle_timeout:
                self._exchange.on_idle()
        elif self.closing or self._discarding is not None:
            if still > options.header_timeout:
                self.transport.abort()
        elif self._head_since is not None:
            if now - self._head_since > options.header_timeout:
                self._give_up_on_head()
        elif still > options.idle_timeout:
            self.transport.close()

    def _give_up_on_head(self) -> None:
        """A head that does not come to its end is answered, a silent connection is not."""
        if self._reader.mid_head:
            self.refuse(ProxyError(Kind.REQUEST_TIMEOUT, Side.DOWNSTREAM, "the request head did not come in time"))
        else:
            self.transport.close()


def _text(name: object) -> str:
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return ""
