"""Fields on their way: what is meant for the next hop only is removed (rule 15), what the proxy adds itself."""

from __future__ import annotations

import re
import uuid

import pytest
from support.fleet import Service, unlike_envoy
from support.raw import head
from support.upstream import Seen, echo


def seen_by(upstream: Service, *lines: str) -> Seen:
    """What the upstream sees of a GET with these fields."""
    upstream.respond(echo)
    with upstream.connect() as client:
        assert client.get(upstream.host, "/", *lines).status == 200
    return upstream.requests[0]


@pytest.mark.parametrize(
    "line", ["Connection: close", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip", "Upgrade: h2c"]
)
def test_hop_by_hop_fields_of_a_request_stay_here(upstream: Service, line: str) -> None:
    seen = seen_by(upstream, line)
    name, _, value = line.partition(": ")
    assert (seen.get(name) or "").lower() in ("", "keep-alive")
    assert value not in seen.all(name) or value == "keep-alive"


@unlike_envoy
@pytest.mark.parametrize("line", ["Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip", "Upgrade: h2c"])
def test_hop_by_hop_fields_are_gone_altogether(upstream: Service, line: str) -> None:
    assert seen_by(upstream, line).get(line.partition(":")[0]) is None


def test_te_trailers_may_pass(upstream: Service) -> None:
    assert seen_by(upstream, "TE: trailers").get("te") in ("trailers", None)


@pytest.mark.parametrize("line", ["Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Upgrade: h2c"])
def test_hop_by_hop_fields_of_an_answer_stay_there(upstream: Service, line: str) -> None:
    upstream.respond(lambda peer, seen: peer.answer(b"ok", "200 OK", line, "X-Stays: 1"))
    with upstream.connect() as client:
        reply = client.get(upstream.host)
    assert reply.get("x-stays") == "1"
    assert reply.get(line.partition(":")[0]) is None


def test_fields_that_connection_names_are_removed(upstream: Service) -> None:
    seen = seen_by(upstream, "X-Mine: 1", "Connection: X-Mine, x-other , close-not", "X-Other: 2", "X-Stays: 3")
    assert (seen.get("x-mine"), seen.get("x-other"), seen.get("x-stays")) == (None, None, "3")


@unlike_envoy
def test_fields_that_the_upstreams_connection_names_are_removed(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.answer(b"", "200 OK", "X-Mine: 1", "Connection: x-mine", "X-Stays: 2"))
    with upstream.connect() as client:
        reply = client.get(upstream.host)
    assert (reply.get("x-mine"), reply.get("x-stays")) == (None, "2")


@unlike_envoy
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer x"),
        ("Cookie", "a=b"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Request-Id", "9d0e7f5c-21c3-4c5c-9b1e-0123456789ab"),
    ],
)
def test_connection_cannot_take_away_what_others_rely_on(upstream: Service, name: str, value: str) -> None:
    """Nominating these is an attack (CVEs 2021-44224 and others)."""
    assert value in seen_by(upstream, f"{name}: {value}", f"Connection: {name}").all(name)


@unlike_envoy
def test_connection_cannot_take_away_the_host(upstream: Service) -> None:
    assert seen_by(upstream, "Connection: Host").all("host") == [upstream.host]


@unlike_envoy
@pytest.mark.parametrize("named", ["Content-Length", "Transfer-Encoding"])
def test_connection_cannot_take_away_the_framing(upstream: Service, named: str) -> None:
    upstream.respond(echo)
    framing = "Content-Length: 5" if named == "Content-Length" else "Transfer-Encoding: chunked"
    body = b"hello" if named == "Content-Length" else b"5\r\nhello\r\n0\r\n\r\n"
    with upstream.connect() as client:
        client.send(head(upstream.host, "/", framing, f"Connection: {named}", method="POST"), body)
        assert client.reply().status == 200
    assert upstream.requests[0].body == b"hello"


def test_a_keep_alive_that_names_fields_keeps_the_connection(upstream: Service) -> None:
    with upstream.connect() as client:
        assert client.get(upstream.host, "/", "Connection: keep-alive, X-A", "X-A: b").status == 200
        assert client.get(upstream.host).status == 200


def test_close_among_other_options_closes(upstream: Service) -> None:
    with upstream.connect() as client:
        assert client.get(upstream.host, "/", "Connection: x-a, close", "X-A: b").status == 200
        assert client.closed()


# what a sidecar adds


def test_a_sidecar_tells_scheme_request_id_and_attempt(upstream: Service) -> None:
    seen = seen_by(upstream)
    assert seen.all("x-forwarded-proto") == ["http"]
    assert seen.all("x-envoy-attempt-count") == ["1"]
    (request_id,) = seen.all("x-request-id")
    assert uuid.UUID(request_id).version == 4


def test_a_sidecar_leaves_x_forwarded_for_alone(upstream: Service) -> None:
    seen = seen_by(upstream, "X-Forwarded-For: 192.0.2.1, 192.0.2.2")
    assert seen.all("x-forwarded-for") == ["192.0.2.1, 192.0.2.2"]
    assert seen_by(upstream).get("x-forwarded-for") is None or len(upstream.requests) == 2


def test_a_sidecar_trusts_x_forwarded_proto(upstream: Service) -> None:
    assert seen_by(upstream, "X-Forwarded-Proto: https").all("x-forwarded-proto") == ["https"]


def test_a_request_id_of_the_client_is_kept(upstream: Service) -> None:
    given = str(uuid.uuid4())
    assert seen_by(upstream, f"X-Request-Id: {given}").all("x-request-id") == [given]


@pytest.mark.parametrize(
    "line",
    [
        "x-envoy-retry-on: 5xx",
        "x-envoy-max-retries: 9",
        "x-envoy-upstream-rq-timeout-ms: 1",
        "x-envoy-upstream-rq-per-try-timeout-ms: 1",
        "x-envoy-expected-rq-timeout-ms: 1",
    ],
)
def test_control_fields_of_clients_are_removed(upstream: Service, line: str) -> None:
    """envoy-facts 4."""
    assert seen_by(upstream, line, "X-Forwarded-For: 10.0.0.1").get(line.partition(":")[0]) is None


def test_an_attempt_count_of_the_client_is_overwritten(upstream: Service) -> None:
    assert seen_by(upstream, "x-envoy-attempt-count: 7").all("x-envoy-attempt-count") == ["1"]


def test_an_answer_tells_server_and_service_time(upstream: Service) -> None:
    upstream.respond(lambda peer, seen: peer.answer(b"", "200 OK", "Server: mine", "Date: then"))
    with upstream.connect() as client:
        reply = client.get(upstream.host)
    assert reply.all("server") == ["envoy"]
    assert re.fullmatch(r"\d+", reply.get("x-envoy-upstream-service-time") or "")
    assert reply.all("date") == ["then"]


def test_an_answer_without_date_gets_one(upstream: Service) -> None:
    with upstream.connect() as client:
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", client.get(upstream.host).get("date") or "")
