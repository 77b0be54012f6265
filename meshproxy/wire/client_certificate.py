"""X-Forwarded-Client-Cert: a verified certificate of a client, in words for the upstream (Envoy, XFCC)."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

_ESCAPED = str.maketrans({"\n": "%0A", " ": "%20", "+": "%2B", "/": "%2F", "=": "%3D"})
#: RFC 2253, 2.3; any other attribute is named as OpenSSL names it.
_SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
_QUOTED = str.maketrans({character: f"\\{character}" for character in ',+"\\<>;'})


def forwarded(der: bytes, told: Mapping[str, Any]) -> bytes:
    """The field's value: what Istio's gateways tell (hash, certificate, subject, URIs and names). `told` is what
    `getpeercert` says."""
    pem = ssl.DER_cert_to_PEM_cert(der)
    parts = [f"Hash={hashlib.sha256(der).hexdigest()}", f'Cert="{pem.translate(_ESCAPED)}"']
    parts.append(f'Subject="{_escaped(_name(told.get("subject", ())))}"')
    names = told.get("subjectAltName", ())
    parts += [f"URI={value}" for kind, value in names if kind == "URI"]
    parts += [f"DNS={value}" for kind, value in names if kind == "DNS"]
    return ";".join(parts).encode("utf-8", "replace")


def _name(parts: Iterable[Iterable[tuple[str, str]]]) -> str:
    """RFC 2253: the last part first."""
    written = [
        "+".join(f"{_SHORT.get(kind, kind)}={value.translate(_QUOTED)}" for kind, value in part) for part in parts
    ]
    return ",".join(reversed(written))


def _escaped(text: str) -> str:
    """Inside quotes, and on one line."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", " ").replace("\n", " ")
