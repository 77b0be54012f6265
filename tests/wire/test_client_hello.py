"""ClientHellos: whole, in pieces, over several records, and what is none."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.wire.client_hello import ClientHello, NotTlsError, read_client_hello
from meshproxy.wire.sniff import Spoken, sniff


def hello(name: str | None, alpn: list[str] | None = None) -> bytes:
    """What OpenSSL's client sends first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(alpn)
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


WHOLE = hello("Reviews.Example", ["h2", "http/1.1"])


def test_server_name_in_lower_case_and_alpn():
    assert read_client_hello(WHOLE) == ClientHello("reviews.example", (b"h2", b"http/1.1"))


def test_without_server_name():
    assert read_client_hello(hello(None)) == ClientHello()


def test_what_follows_is_not_looked_at():
    assert read_client_hello(WHOLE + b"\x17\x03\x03more") == read_client_hello(WHOLE)


@given(st.integers(0, len(WHOLE) - 1))
def test_every_beginning_wants_more(size: int):
    assert read_client_hello(WHOLE[:size]) is None


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_a_hello_spread_over_records(sizes: list[int]):
    message, records = WHOLE[5:], b""
    for size in [*sizes, len(message)]:
        part, message = message[:size], message[size:]
        if part:
            records += b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
    assert read_client_hello(records) == read_client_hello(WHOLE)
    assert read_client_hello(records[:-1]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x02",
        b"\x15\x03\x01\x00\x02\x01\x00",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a ServerHello
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",  # longer than anybody's
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",  # cut inside
    ],
)
def test_what_is_no_client_hello(data: bytes):
    with pytest.raises(NotTlsError):
        read_client_hello(data)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(data: bytes):
    for bytes_ in (data, WHOLE[:5] + data, WHOLE[:60] + data + WHOLE[60 + len(data) :]):
        with contextlib.suppress(NotTlsError):
            read_client_hello(bytes_)


# ---- sniffing


@pytest.mark.parametrize(
    ("data", "spoken"),
    [
        (b"", None),
        (b"\x16", None),
        (b"\x16\x03\x01", Spoken.TLS),
        (b"\x16\x09", Spoken.OTHER),
        (b"GE", None),
        (b"GET / HT", None),
        (b"GET / HTTP/1.1\r\n", Spoken.HTTP),
        (b"M-SEARCH * HTTP/1.0\n", Spoken.HTTP),
        (b"PRI * HTTP/2.0\r\n", Spoken.OTHER),
        (b"SSH-2.0-OpenSSH\r\n", Spoken.OTHER),
        (b"\x00\x01", Spoken.OTHER),
        (b"GET / " + b"x" * 9000, Spoken.OTHER),
    ],
)
def test_sniffing(data: bytes, spoken: Spoken | None):
    assert sniff(data) is spoken
