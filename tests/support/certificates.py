"""Certificates for tests, made by trustme, and clients that use them."""

from __future__ import annotations

import base64
import datetime
import functools
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trustme

from support.raw import Address
from support.wait import PATIENCE

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@functools.cache
def authority(name: str = "test") -> trustme.CA:
    """A CA, the same one for the same name."""
    return trustme.CA(organization_name=name)


def chain_of(leaf: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems)


def issue(*names: str, ca: trustme.CA | None = None, expired: bool = False) -> trustme.LeafCert:
    return (ca or authority()).issue_cert(
        *names,
        not_after=LONG_AGO + datetime.timedelta(days=365) if expired else None,
        not_before=LONG_AGO if expired else None,
    )


def secret(
    name: str, leaf: trustme.LeafCert, ca: trustme.CA | None = None, namespace: str = "default"
) -> dict[str, Any]:
    """A Secret of type kubernetes.io/tls; with `ca`, what clients are checked by."""
    held = {"tls.crt": chain_of(leaf), "tls.key": leaf.private_key_pem.bytes()}
    if ca is not None:
        held["ca.crt"] = ca.cert_pem.bytes()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(value).decode() for key, value in held.items()},
    }


def write_credential(directory: Path, leaf: trustme.LeafCert, ca: trustme.CA | None = None) -> None:
    """As a mounted Secret; each file appears whole."""
    directory.mkdir(parents=True, exist_ok=True)
    held = {"tls.crt": chain_of(leaf), "tls.key": leaf.private_key_pem.bytes()}
    if ca is not None:
        held["ca.crt"] = ca.cert_pem.bytes()
    for name, content in held.items():
        fresh = directory / f".{name}.new"
        fresh.write_bytes(content)
        fresh.rename(directory / name)


def client_context(
    *, ca: trustme.CA | None = None, certificate: trustme.LeafCert | None = None, alpn: Sequence[str] = ()
) -> ssl.SSLContext:
    context = ssl.create_default_context()
    (ca or authority()).configure_trust(context)
    if certificate is not None:
        certificate.configure_cert(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def connected(
    address: Address, server_name: str | None, context: ssl.SSLContext | None = None, check: bool = True
) -> ssl.SSLSocket:
    """A TLS connection that asks for `server_name`."""
    context = context or client_context()
    context.check_hostname = check and server_name is not None
    sock = socket.create_connection(address, timeout=PATIENCE)
    return context.wrap_socket(sock, server_hostname=server_name)


def names_of(sock: ssl.SSLSocket) -> list[str]:
    """The DNS names of the server's certificate."""
    certificate: Mapping[str, Any] = sock.getpeercert() or {}
    return [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
