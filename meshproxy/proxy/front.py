"""The first moments of a connection that is not simply HTTP: who sent it (PROXY protocol), whom it asks for (SNI),
which filter chain it gets; then it is handed over: to HTTP, or to a tunnel, after TLS where that ends here.

Whatever is wrong closes this connection with a line in the log, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshproxy.base import clock
from meshproxy.base.message import Request
from meshproxy.plan.stream_table import Chain, StreamTable
from meshproxy.proxy.context import Context
from meshproxy.proxy.owner import Known, Owner
from meshproxy.proxy.server_tls import mismatch
from meshproxy.proxy.stream import Stream, address_text
from meshproxy.proxy.stream_record import StreamRecord
from meshproxy.wire.client_hello import NotTlsError, read_client_hello
from meshproxy.wire.proxy_protocol import ProxyProtocolError, read_proxy_header
from meshproxy.wire.sniff import Spoken, sniff
from meshproxy.wire.tls_server import TlsServerTransport

NO_CHAIN, BROKEN = "NR", "DPE"


Http = Callable[[str, Known], asyncio.Protocol]
"""Makes the protocol that answers HTTP for a listener, of its name and what is known of the client."""


class Front(asyncio.Protocol):
    """`asked` is the host and port of the CONNECT, `request`, that the connection began with."""

    transport: asyncio.Transport

    def __init__(
        self,
        owner: Owner,
        context: Context,
        table: StreamTable,
        http: Http,
        asked: tuple[str, int] | None = None,
        request: Request | None = None,
    ) -> None:
        self._owner = owner
        self._context = context
        self._live = context.live  # a reload in between takes neither certificates nor clusters away
        self._table = table
        self._http = http
        self._asked = asked
        self._request = request
        self._received = b""
        self._addresses: tuple[str, str] | None = None
        self._awaits_header = table.proxy_protocol
        self._server_name = ""
        self._since = clock.monotonic()
        self._done = False
        self._tls: TlsServerTransport | None = None

    # ---- the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._owner.opened(self)
        self._advance()

    def data_received(self, data: bytes) -> None:
        if not self._done:
            self._received += data
            self._advance()

    def eof_received(self) -> bool:
        self._refuse("DC" if self._received else "", "downstream_remote_disconnect")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse("DC", "downstream_remote_disconnect")

    # ---- what the connection is

    def _advance(self) -> None:
        table = self._table
        try:
            if self._awaits_header and not self._read_header():
                return
            is_tls, name = False, ""
            if table.http:
                spoken = sniff(self._received)
                if spoken is None:
                    return
                if spoken is Spoken.HTTP:
                    self._take(Chain(http=table.http))
                    return
            if table.needs_hello:
                hello = read_client_hello(self._received)
                if hello is None:
                    return
                is_tls, name = True, hello.server_name
        except NotTlsError:
            pass
        except ProxyProtocolError as error:
            self._refuse(BROKEN, f"proxy_protocol: {error}")
            return
        self._server_name = name
        self._find(name, is_tls=is_tls)

    def _read_header(self) -> bool:
        """Whether the PROXY header is whole; it is taken off then."""
        header = read_proxy_header(self._received)
        if header is None:
            return False
        self._awaits_header = False
        self._received = self._received[header.size :]
        if header.source is not None:
            self._addresses = (address_text(header.destination), address_text(header.source))
        return True

    def _find(self, name: str, *, is_tls: bool) -> None:
        destination = self._asked[0] if self._asked is not None else ""
        chain = self._table.find(name, is_tls=is_tls, destination=destination)
        if chain is None or not (chain.http or chain.tunnel):
            self._refuse(NO_CHAIN, "filter_chain_not_found", _why_none(name, is_tls=is_tls))
        else:
            self._take(chain)

    # ---- handing it over

    def _take(self, chain: Chain) -> None:
        received, self._received = self._received, b""
        self._done = True
        if chain.tls is None:
            self._owner.handed_over(self)
            inner = self._inner(chain)
            self.transport.set_protocol(inner)
            inner.connection_made(self.transport)
            if received:
                inner.data_received(received)
            return
        context = self._live.tls.get(chain.tls)
        if context is None:
            self._done = False
            self._refuse(NO_CHAIN, "no_certificate", "TLS_error: the server has no certificate")
            return
        server = chain.tls
        tls = self._tls = TlsServerTransport(
            self.transport,
            context,
            done=lambda wrong: self._after_tls(chain, wrong),
            wrong=lambda client: mismatch(server, client),
        )
        self.transport.set_protocol(tls)
        tls.data_received(received)

    def _after_tls(self, chain: Chain, wrong: str) -> asyncio.Protocol | None:
        """The handshake is complete; or not, for what is `wrong`."""
        if wrong:
            self._done = False
            self._refuse(BROKEN, "tls_handshake_failed", f"TLS_error: {wrong}")
            return None
        self._owner.handed_over(self)
        return self._inner(chain)

    def _inner(self, chain: Chain) -> asyncio.Protocol:
        known = Known(self._server_name, self._addresses, chain.tls is not None)
        if chain.tunnel is None:
            return self._http(chain.http, known)
        asked = self._asked or (self._server_name, 0)
        return Stream(self._owner, self._context, self._live, chain.tunnel, self._record(), asked).half

    # ---- the end of one that is not handed over

    def _refuse(self, flag: str, details: str, why: str = "") -> None:
        if self._done:
            return
        self._done = True
        record = self._record()
        record.flags, record.details, record.termination_details = flag, details, why.replace(" ", "_")
        record.duration = clock.monotonic() - self._since
        if self._context.access_log is not None:
            self._context.access_log.log(record)
        self._owner.closed(self)
        self.transport.close()

    def _record(self) -> StreamRecord:
        info = self.transport.get_extra_info
        addresses = self._addresses or (address_text(info("sockname")), address_text(info("peername")))
        record = StreamRecord(*addresses)
        record.requested_server_name = self._server_name
        if self._request is not None:
            record.request, record.status = self._request, 200
        return record

    # ---- for the worker

    def start_drain(self) -> None:
        """It has not begun yet: it goes."""
        self._refuse("", "draining")

    def sweep(self, now: float) -> None:
        """Who does not say what it wants in time is not waited for."""
        if now - self._since <= self._context.options.header_timeout:
            return
        if self._tls is not None:
            self._tls.give_up("it did not come to its end in time")
        else:
            self._refuse("", "downstream_handshake_timeout")


def _why_none(name: str, *, is_tls: bool) -> str:
    if not is_tls:
        return "the connection is not TLS"
    return f"no server for {name}" if name else "no server for a client without SNI"
