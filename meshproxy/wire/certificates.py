"""The little of X.509 that `ssl` does not tell: how long a certificate is valid, and its key's SubjectPublicKeyInfo.

RFC 5280, 4.1. Reads DER as far as needed; verifies nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from calendar import timegm
from time import strptime

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_UTC_TIME = 0x17
_VERSION = 0xA0


class CertificateError(ValueError):
    """What was given is no certificate."""


def first_certificate(pem: bytes) -> bytes:
    """The DER of the first certificate of a chain in PEM."""
    found = _PEM.search(pem)
    if found is None:
        raise CertificateError("there is no certificate in it")
    try:
        return base64.b64decode(b"".join(found[1].split()), validate=True)
    except binascii.Error:
        raise CertificateError("the certificate is not base64") from None


def validity(der: bytes) -> tuple[int, int]:
    """From when to when, in Unix seconds."""
    begin, end = _children(_to_be_signed(der)[3][1])
    return _time(*begin), _time(*end)


def public_key_info(der: bytes) -> bytes:
    """The SubjectPublicKeyInfo, whole: what a pin is a digest of (RFC 7469, 2.4)."""
    return _to_be_signed(der)[5][2]


_Element = tuple[int, bytes, bytes]
"""Tag, content, and the element as a whole."""


def _to_be_signed(der: bytes) -> list[_Element]:
    """Serial number, signature, issuer, validity, subject, key, …"""
    certificate = _children(der)[0]
    found = _children(_children(certificate[1])[0][1])
    fields = found[1:] if found and found[0][0] == _VERSION else found
    if len(fields) < 6:
        raise CertificateError("the certificate is cut")
    return fields


def _children(data: bytes) -> list[_Element]:
    found: list[_Element] = []
    position = 0
    while position < len(data):
        begin = position
        if len(data) - position < 2:
            raise CertificateError("the certificate is cut")
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[position : position + size], "big")
            position += size
        end = position + length
        if end > len(data):
            raise CertificateError("the certificate is cut")
        found.append((tag, data[position:end], data[begin:end]))
        position = end
    if not found:
        raise CertificateError("the certificate is cut")
    return found


def _time(tag: int, content: bytes, _whole: bytes) -> int:
    """UTCTime has two digits of the year: 50 to 99 are the last century's."""
    text = content.decode("ascii", "replace")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    try:
        return timegm(strptime(text, "%Y%m%d%H%M%SZ"))
    except ValueError:
        raise CertificateError("the certificate has a malformed date") from None
