"""What is read of X.509: dates and keys, against the library that wrote the certificates."""

from __future__ import annotations

import hashlib
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.certificates import chain_of, issue

from meshproxy.wire.certificates import CertificateError, first_certificate, public_key_info, validity


@pytest.mark.parametrize("expired", [False, True])
def test_dates(expired: bool):
    pem = chain_of(issue("a.test", expired=expired))
    parsed = x509.load_pem_x509_certificate(pem)
    begin, end = validity(first_certificate(pem))
    assert begin == int(parsed.not_valid_before_utc.timestamp())
    assert end == int(parsed.not_valid_after_utc.timestamp())


def test_key_info():
    pem = chain_of(issue("a.test"))
    key = x509.load_pem_x509_certificate(pem).public_key()
    expected = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert hashlib.sha256(public_key_info(first_certificate(pem))).digest() == hashlib.sha256(expected).digest()


def test_the_first_of_a_chain():
    pem = chain_of(issue("a.test"))
    assert first_certificate(b"a comment\n" + pem) == ssl.PEM_cert_to_DER_cert(
        pem.decode().split("-----END")[0] + "-----END CERTIFICATE-----\n"
    )


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate(pem: bytes):
    with pytest.raises(CertificateError):
        validity(first_certificate(pem))


def test_a_cut_certificate():
    der = first_certificate(chain_of(issue("a.test")))
    for size in range(0, len(der), 7):
        with pytest.raises(CertificateError):
            public_key_info(der[:size])
