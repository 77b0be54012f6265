"""Every kind of error has its answer: status, flag, details, and whether the connection can go on."""

from __future__ import annotations

import pytest

from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.proxy.reply import reply_to

#: kind: status, flag, closes
TABLE = {
    Kind.BAD_REQUEST: (400, "DPE", True),
    Kind.URI_TOO_LONG: (414, "DPE", True),
    Kind.HEADERS_TOO_LARGE: (431, "DPE", True),
    Kind.NOT_IMPLEMENTED: (501, "DPE", True),
    Kind.VERSION_NOT_SUPPORTED: (505, "DPE", True),
    Kind.EXPECTATION_FAILED: (417, "DPE", True),
    Kind.REQUEST_TIMEOUT: (408, "SI", True),
    Kind.DOWNSTREAM_CLOSED: (0, "DC", True),
    Kind.NO_ROUTE: (404, "NR", False),
    Kind.NO_CLUSTER: (503, "NC", False),
    Kind.NO_ENDPOINT: (503, "UH", False),
    Kind.CONNECT_FAILURE: (503, "UF", False),
    Kind.CONNECT_TIMEOUT: (503, "UF", False),
    Kind.OVERFLOW: (503, "UO", False),
    Kind.UPSTREAM_CLOSED: (503, "UC", False),
    Kind.UPSTREAM_PROTOCOL: (502, "UPE", False),
    Kind.RESPONSE_TIMEOUT: (504, "UT", False),
    Kind.PER_TRY_TIMEOUT: (504, "UT", False),
    Kind.STREAM_IDLE: (504, "SI", True),
    Kind.OVERLOADED: (503, "OM", True),
    Kind.INTERNAL: (500, "", True),
}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_answer(kind: Kind) -> None:
    reply = reply_to(ProxyError(kind, Side.LOCAL, "the cause"))
    assert (reply.status, reply.flag, reply.close) == TABLE[kind]
    assert reply.details
    assert " " not in reply.details


@pytest.mark.parametrize("kind", Kind)
def test_a_cause_is_shown_to_the_client_only_where_a_connection_failed(kind: Kind) -> None:
    body = reply_to(ProxyError(kind, Side.LOCAL, "the cause")).body
    assert (b"the cause" in body) is (kind is Kind.CONNECT_FAILURE)


def test_overflow_and_overload_say_that_it_is_us() -> None:
    overloaded = {kind for kind in Kind if reply_to(ProxyError(kind, Side.LOCAL, "")).overloaded}
    assert overloaded == {Kind.OVERFLOW, Kind.OVERLOADED}


def test_envoys_words() -> None:
    closed = ProxyError(Kind.UPSTREAM_CLOSED, Side.UPSTREAM, "")
    words = b"upstream connect error or disconnect/reset before headers. %sreset reason: connection termination"
    assert reply_to(closed).body == words % b""
    assert reply_to(closed, retried=True).body == words % b"retried and the latest "
    refused = ProxyError(Kind.CONNECT_FAILURE, Side.UPSTREAM, "delayed connect error: 111|Connection refused")
    assert reply_to(refused).body.endswith(
        b"reset reason: remote connection failure, transport failure reason: delayed connect error: 111|Connection refused"
    )
    assert reply_to(refused).details == "upstream_reset_before_response_started{remote_connection_failure}"
