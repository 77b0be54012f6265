"""CONNECT: the mesh listener as a forward proxy for bytes. The host and port decide, by the plan's connect table; an
HTTP port of a service is HTTP again behind it, so that no rule is passed by. Whom nobody has is a 404.
"""

from __future__ import annotations

from meshproxy.base.addresses import split_authority
from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.base.message import Request
from meshproxy.plan.stream_table import StreamTable
from meshproxy.proxy.context import Context
from meshproxy.proxy.downstream import Downstream
from meshproxy.proxy.exchange import Exchange
from meshproxy.proxy.front import Front, Http
from meshproxy.proxy.owner import Owner

_ESTABLISHED = b"HTTP/1.1 200 OK\r\n\r\n"


class ForwardProxy(Downstream):
    """A connection of the mesh listener, until a CONNECT makes it something else. `http` is as of `Front`."""

    def __init__(self, proxy: Owner, context: Context, listener: str, http: Http) -> None:
        super().__init__(proxy, context, listener, is_gateway=False)
        self._http = http

    def refuse(self, error: ProxyError) -> None:
        """What the reader could make no request of: a CONNECT, or a fault."""
        authority = self._reader.connect
        if authority is None:
            super().refuse(error)
            return
        request = Request(b"CONNECT", b"", None, authority, [])
        request.keep_alive = False
        request.complete = True
        host, port = split_authority(authority.decode("latin-1"))
        listener = self._context.live.listeners.get(self._listener)
        table = listener.connected(host, port) if listener is not None else None
        if table is not None:
            self._become(table, request, (host, port))
            return
        self._exchange = Exchange(self._context, self, request, self._listener)
        self._exchange.refuse(ProxyError(Kind.NO_ROUTE, Side.LOCAL, f"no service has {host}:{port}"))

    def _become(self, table: StreamTable, request: Request, asked: tuple[str, int]) -> None:
        held = self.take_held()
        transport = self.transport
        transport.write(_ESTABLISHED)
        self._proxy.handed_over(self)
        front = Front(self._proxy, self._context, table, self._http, asked, request)
        transport.set_protocol(front)
        front.connection_made(transport)
        for data in held:
            transport.get_protocol().data_received(data)  # type: ignore[attr-defined]
        if not transport.is_closing():
            transport.resume_reading()
