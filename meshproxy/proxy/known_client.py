"""HTTP for a client of whom something is known before it speaks: it came by TLS and asked for a server name, or
somebody in front of us has told who it is. A plain connection does without all this."""

from __future__ import annotations

import asyncio
import ssl

from meshproxy.proxy.context import Context
from meshproxy.proxy.downstream import Downstream
from meshproxy.proxy.owner import Known, Owner
from meshproxy.wire.client_certificate import forwarded
from meshproxy.wire.http1_server import RequestReader


class KnownClient(Downstream):
    """`server_name` is what the client asked for by SNI."""

    def __init__(self, proxy: Owner, context: Context, listener: str, known: Known, *, is_gateway: bool) -> None:
        super().__init__(proxy, context, listener, is_gateway=is_gateway)
        self.server_name = known.server_name
        if known.secure:
            self._reader = RequestReader(b"https")
        if known.addresses is not None:
            self.addresses = known.addresses

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        der = connection.getpeercert(True) if connection is not None else None
        if connection is not None and der is not None:
            told = (b"x-forwarded-client-cert", forwarded(der, connection.getpeercert() or {}))
            plain = self.forwarded
            # SANITIZE_SET: what the client says of itself is dropped by the codec, what it has shown is told
            self.forwarded = lambda request, client: [*plain(request, client), told]
