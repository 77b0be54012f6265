"""The plan's TLS servers as contexts, and what they ask of a client beyond a certificate of their CA."""

from __future__ import annotations

import hashlib
import ssl
import sys
from collections.abc import Iterable, Mapping

from meshproxy.plan.server_tls import ClientCertificates, ServerTls
from meshproxy.wire.certificates import CertificateError, public_key_info
from meshproxy.wire.tls_server import Wanted, server_context

_VERIFY = {
    ClientCertificates.NONE: ssl.CERT_NONE,
    ClientCertificates.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificates.REQUIRED: ssl.CERT_REQUIRED,
}


def context_of(server: ServerTls) -> ssl.SSLContext:
    """Raises OSError (ssl.SSLError is one) where its certificates cannot be used."""
    return server_context(
        Wanted(
            pairs=[(pair.certificate, pair.key) for pair in server.pairs],
            clients=_VERIFY[server.clients],
            ca=server.ca,
            crl=server.crl,
            minimum=server.minimum,
            maximum=server.maximum,
            cipher_suites=server.cipher_suites,
            alpn=server.alpn,
        )
    )


def contexts(
    servers: Iterable[ServerTls], known: Mapping[ServerTls, ssl.SSLContext]
) -> dict[ServerTls, ssl.SSLContext]:
    """Those of all servers that have a certificate; of servers that have not changed the `known` ones, so that their
    sessions can be taken up again. The build has tried them all: what fails now is left out, and said."""
    found: dict[ServerTls, ssl.SSLContext] = {}
    for server in servers:
        if not server.pairs or server in found:
            continue
        try:
            found[server] = known.get(server) or context_of(server)
        except OSError as error:
            print(f"{server.origin or 'a server'}: cannot use its certificate: {error}", file=sys.stderr)
    return found


def mismatch(server: ServerTls, connection: ssl.SSLObject) -> str:
    """What the client's certificate, verified by now, lacks; empty for nothing."""
    der = connection.getpeercert(True) if server.clients is not ClientCertificates.NONE else None
    if der is None:
        return ""
    if server.subject_alt_names:
        names = (connection.getpeercert() or {}).get("subjectAltName", ())
        if not server.subject_alt_names & {str(name[1]) for name in names}:
            return "the client's certificate has none of the subjectAltNames asked for"
    try:
        if server.key_hashes and hashlib.sha256(public_key_info(der)).digest() not in server.key_hashes:
            return "the client's key is not the one asked for"
    except CertificateError as error:
        return str(error)
    if server.certificate_hashes and hashlib.sha256(der).digest() not in server.certificate_hashes:
        return "the client's certificate is not the one asked for"
    return ""
