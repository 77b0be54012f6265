"""The server's side of TLS: contexts made of certificates in memory, and the transport that lies between a TCP
transport and the protocol behind it.

One object stands for a connection: to the TCP transport it is the protocol, to the protocol behind it the transport.
The bytes of a ClientHello that somebody has looked at are simply fed again. Decides nothing about who is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from meshproxy.wire.pem import as_file

_READ = 16 * 1024
"""A record holds no more; a larger buffer would be mapped and unmapped by the system for each read."""
_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_OLD = ("TLSv1", "TLSv1.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a context is made of: certificates with their keys, CA and CRL in PEM; versions by OpenSSL's names."""

    pairs: Sequence[tuple[bytes, bytes]]
    clients: ssl.VerifyMode = ssl.CERT_NONE
    ca: bytes = b""
    crl: bytes = b""
    minimum: str = "TLSv1.2"
    maximum: str = "TLSv1.3"
    cipher_suites: Sequence[str] = ()
    alpn: Sequence[str] = ()


def server_context(wanted: Wanted) -> ssl.SSLContext:
    """Raises OSError (ssl.SSLError is one) where the certificates cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    ciphers = ":".join(wanted.cipher_suites)
    if wanted.minimum in _OLD:
        # OpenSSL 3 has SHA-1 signatures, which TLS below 1.2 is made of, at level 0 only
        ciphers = f"{ciphers or 'DEFAULT'}:@SECLEVEL=0"
    if ciphers:
        context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are what was asked for
        context.minimum_version = _VERSIONS[wanted.minimum]
        context.maximum_version = _VERSIONS[wanted.maximum]
    if wanted.alpn:
        context.set_alpn_protocols(list(wanted.alpn))
    for certificate, key in wanted.pairs:
        with as_file(certificate) as certificate_path, as_file(key) as key_path:
            # with a password, so that a terminal is never asked for one
            context.load_cert_chain(certificate_path, key_path, password="")
    context.verify_mode = wanted.clients
    if wanted.ca:
        context.load_verify_locations(cadata=wanted.ca.decode("ascii", "replace"))
    if wanted.crl:
        with as_file(wanted.crl) as path:
            context.load_verify_locations(path)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
    return context


class TlsServerTransport(asyncio.Protocol, asyncio.Transport):
    """`done` is called once: with "" when the handshake is complete, and then has to give the protocol that the
    connection is for; with what went wrong when there will be none. `wrong` says what a client lacks whose certificate
    has been verified, empty for nothing."""

    def __init__(
        self,
        transport: asyncio.Transport,
        context: ssl.SSLContext,
        done: Callable[[str], Any],
        wrong: Callable[[ssl.SSLObject], str],
    ) -> None:
        asyncio.Transport.__init__(self)
        self._transport = transport
        self._wrong = wrong
        self._done: Callable[[str], Any] | None = done
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._protocol: Any = None
        self._paused = False
        self._closing = False
        self._ended = False  # the client has said that nothing follows

    # ---- the protocol of the TCP transport

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        if self._done is not None:
            self._shake_hands()
            if self._done is not None:
                return
        self._read()

    def eof_received(self) -> bool:
        if self._done is not None:
            self._fail("the client closed during the handshake")
            return False
        return self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        if self._done is not None:
            self._fail("the client closed during the handshake")
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.resume_writing()

    # ---- the handshake

    def _shake_hands(self) -> None:
        try:
            self._ssl.do_handshake()
            wrong = self._wrong(self._ssl)
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            wrong = reason(error)
        self._flush()  # of a failure, the alert
        if wrong:
            self._fail(wrong)
            return
        done, self._done = self._done, None
        assert done is not None
        self._protocol = done("")
        self._protocol.connection_made(self)

    def give_up(self, why: str) -> None:
        """The handshake takes too long."""
        if self._done is not None:
            self._fail(why)

    def _fail(self, why: str) -> None:
        done, self._done = self._done, None
        self._closing = True
        self._transport.close()
        if done is not None:
            done(why)

    # ---- bytes of the client

    def _read(self) -> None:
        ssl_object, incoming = self._ssl, self._incoming
        try:
            while incoming.pending and not self._paused:
                data = ssl_object.read(_READ)
                if not data:
                    self._end()
                    break
                if self._protocol is not None:
                    self._protocol.data_received(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._transport.abort()  # a broken record: there is nothing to say to such a peer
        if self._outgoing.pending:
            self._flush()

    def _end(self) -> bool:
        """The client sends no more; whether the connection stays open for our answer."""
        if self._ended or self._protocol is None:
            return not self._closing
        self._ended = True
        if not self._protocol.eof_received():
            self.close()
        return not self._closing

    def _flush(self) -> None:
        if self._outgoing.pending and not self._transport.is_closing():
            self._transport.write(self._outgoing.read())

    # ---- the transport of the protocol behind

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or not data:
            return
        try:
            written = self._ssl.write(data)
            while written < len(data):
                written += self._ssl.write(memoryview(data)[written:])
        except ssl.SSLError:
            self.abort()
            return
        self._transport.write(self._outgoing.read())

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Says that nothing follows; what the client still sends is read."""
        if not self._closing:
            self._close_notify()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._close_notify()
            self._transport.close()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    def _close_notify(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # it wants the client's, which nobody waits for
            self._ssl.unwrap()
        self._flush()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def pause_reading(self) -> None:
        self._paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        self._transport.resume_reading()
        if self._incoming.pending:
            asyncio.get_running_loop().call_soon(self._read)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._ssl
        return self._transport.get_extra_info(name, default)


def reason(error: ssl.SSLError) -> str:
    """In words: `certificate verify failed: certificate has expired`, `wrong version number`."""
    words = (error.reason or str(error)).lower().replace("_", " ")
    detail = getattr(error, "verify_message", "")
    return f"{words}: {detail}" if detail else words
