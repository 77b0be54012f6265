"""The client's side of TLS: contexts, what a peer's certificate is called, errors in words. Opens nothing."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from collections.abc import Iterable, Sequence

from meshproxy.wire.pem import Material, as_file


def client_context(
    *, certificate: Material, key: Material, ca: Material, crl: Material, verify: bool, alpn: Sequence[str]
) -> ssl.SSLContext:
    """Raises OSError (ssl.SSLError is one) where a file cannot be read or used. Names are not checked by it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    if verify and ca:
        with as_file(ca) as path:
            context.load_verify_locations(path)
    elif verify:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if verify and crl:
        with as_file(crl) as path:
            context.load_verify_locations(path)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    if certificate:
        with as_file(certificate) as chain, as_file(key) as secret:
            context.load_cert_chain(chain, secret, password="")  # never asks a terminal for one
    return context


def mismatch(connection: ssl.SSLObject, names: Iterable[str]) -> str:
    """What the peer's certificate, verified by now, lacks: one of `names`. Empty: it has one."""
    certificate = connection.getpeercert() or {}
    found = [(str(pair[0]), str(pair[1])) for pair in certificate.get("subjectAltName", ())]
    wanted = tuple(names)
    if any(_is_called(name, kind, value) for name in wanted for kind, value in found):
        return ""
    has = ", ".join(value for _, value in found) or "no subjectAltName"
    return f"certificate verify failed: it is for {has}, not for {' or '.join(wanted)}"


def _is_called(wanted: str, kind: str, value: str) -> bool:
    """DNS names as RFC 6125 has them, a wildcard for one whole label; everything else exactly."""
    if kind == "IP Address":
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(wanted) == ipaddress.ip_address(value)
        return False
    if kind != "DNS":
        return wanted == value
    wanted, value = wanted.lower(), value.lower()
    if value.startswith("*."):
        label, dot, rest = wanted.partition(".")
        return bool(label) and bool(dot) and rest == value[2:]
    return wanted == value


def reason(error: BaseException) -> str:
    """In words: `certificate verify failed: certificate has expired`, `tlsv13 alert certificate required`."""
    words = (getattr(error, "reason", None) or str(error) or type(error).__name__).lower().replace("_", " ")
    detail = getattr(error, "verify_message", "")
    return f"{words}: {detail}" if detail else words
