"""Answers that need no upstream: direct responses, redirects, aborts, CORS."""

from __future__ import annotations

import pytest
from support.plans import request

from meshproxy.base.message import Request
from meshproxy.plan.cors import Cors
from meshproxy.plan.fault import Fault
from meshproxy.plan.match import Exact
from meshproxy.plan.rewrite import DirectResponse, Redirect
from meshproxy.proxy import local
from meshproxy.proxy.reply import Reply


@pytest.mark.parametrize(
    ("status", "body", "method", "length", "announced"),
    [
        (200, b"hello", "GET", 5, 5),
        (200, b"hello", "HEAD", 0, 5),
        (503, b"", "GET", 0, 0),
        (204, b"hello", "GET", 0, None),
        (304, b"", "GET", 0, None),
    ],
)
def test_a_reply_is_a_whole_response(status: int, body: bytes, method: str, length: int, announced: int | None) -> None:
    response = local.response(Reply(status, body, "", "x"), request(method=method))
    assert response.complete
    assert (response.content_length, response.announced_length) == (length, announced)
    assert b"".join(response.body) == body[:length]


def test_a_body_has_a_type_unless_it_has_another_and_a_reply_of_overload_says_so() -> None:
    assert local.typed([], b"a", request()) == [(b"content-type", b"text/plain")]
    assert local.typed([], b"", request()) == []
    assert local.typed([(b"Content-Type", b"text/html")], b"a", request()) == [(b"Content-Type", b"text/html")]
    overloaded = local.response(Reply(503, b"", "", "x", overloaded=True), request())
    assert (b"x-envoy-overloaded", b"true") in overloaded.fields


def test_what_a_route_answers_by_itself() -> None:
    direct = local.answer(DirectResponse(status=418, body=b"tea"), request())
    assert (direct.status, direct.body, direct.details, direct.close) == (418, b"tea", "direct_response", False)
    assert not direct.fields
    created = local.answer(DirectResponse(status=201), request("/old", query="a"))
    assert created.fields == ((b"location", b"http://reviews/old?a"),)
    moved = local.answer(Redirect(status=308, path=b"/new"), request("/old"))
    assert (moved.status, moved.body, moved.fields) == (308, b"", ((b"location", b"http://reviews/new"),))


@pytest.mark.parametrize(
    ("fault", "status", "grpc"),
    [
        (Fault(abort_status=418), 418, None),
        (Fault(abort_grpc_status=14), 200, 14),
        (Fault(abort_grpc_status=0), 200, 0),
    ],
)
def test_aborts(fault: Fault, status: int, grpc: int | None) -> None:
    reply = local.aborted(fault)
    assert (reply.status, reply.flag, reply.details) == (status, "FI", "fault_filter_abort")
    assert (reply.body, reply.grpc_status) == (b"fault filter abort", grpc)


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto"])
@pytest.mark.parametrize(("status", "code"), [(200, b"2"), (400, b"13"), (404, b"12"), (503, b"14"), (418, b"2")])
def test_to_a_grpc_client_a_reply_is_a_head_that_says_it_all(kind: str, status: int, code: bytes) -> None:
    response = local.response(Reply(status, b"50% \xff", "", "x"), request(headers=[("content-type", kind)]))
    assert (response.status, response.content_length, response.body, response.complete) == (200, 0, [], True)
    assert dict(response.fields) == {
        b"content-type": b"application/grpc",
        b"grpc-status": code,
        b"grpc-message": b"50%25 %FF",
    }


def test_a_grpc_web_client_is_no_grpc_client() -> None:
    response = local.response(Reply(503, b"", "", "x"), request(headers=[("content-type", "application/grpc-web")]))
    assert response.status == 503


# ---- CORS


def asked(
    method: str = "OPTIONS", origin: str | None = "https://a", wants: str | None = "PUT", headers: str = "x-a"
) -> Request:
    given = [("Origin", origin), ("Access-Control-Request-Method", wants), ("Access-Control-Request-Headers", headers)]
    return request(method=method, headers=[(name, value) for name, value in given if value])


CORS = Cors(origins=(Exact(b"https://a"),), methods=b"GET,PUT", headers=b"x-b", expose_headers=b"x-c", max_age=60)


def test_a_preflight_of_an_allowed_origin_is_answered_here() -> None:
    origin, reply = local.preflight(CORS, asked())
    assert origin == b"https://a"
    assert reply is not None
    assert (reply.status, reply.body, reply.details) == (200, b"", "cors_response")
    assert dict(reply.fields) == {
        b"access-control-allow-origin": b"https://a",
        b"access-control-allow-methods": b"GET,PUT",
        b"access-control-allow-headers": b"x-b",
        b"access-control-expose-headers": b"x-c",
        b"access-control-max-age": b"60",
    }


def test_stars_echo_what_was_asked_for() -> None:
    _, reply = local.preflight(Cors(origins=(Exact(b"*"),), methods=b"*", headers=b"*", credentials=True), asked())
    assert reply is not None
    assert dict(reply.fields) == {
        b"access-control-allow-origin": b"https://a",
        b"access-control-allow-credentials": b"true",
        b"access-control-allow-methods": b"PUT",
        b"access-control-allow-headers": b"x-a",
    }


@pytest.mark.parametrize(
    "one",
    [asked("GET"), asked(wants=None), asked(origin=None), asked("PUT", wants=None)],
    ids=["GET", "no method", "no origin", "PUT"],
)
def test_what_is_no_preflight_goes_on(one: Request) -> None:
    assert local.preflight(CORS, one)[1] is None


@pytest.mark.parametrize("forward", [True, False])
def test_a_preflight_of_another_origin_goes_on_or_ends_here_without_leave(forward: bool) -> None:
    cors = Cors(origins=(Exact(b"https://b"),), forward_unmatched_preflights=forward)
    origin, reply = local.preflight(cors, asked())
    assert origin is None
    assert (reply is None) is forward
    if reply is not None:
        assert reply.status == 200
        assert b"access-control-allow-origin" not in dict(reply.fields)


@pytest.mark.parametrize(
    "one", [asked("GET"), asked(), asked(wants=None), asked(origin=None), asked(origin="https://b")]
)
@pytest.mark.parametrize("forward", [True, False])
def test_the_plan_and_the_answer_agree(one: Request, forward: bool) -> None:
    cors = Cors(origins=(Exact(b"https://a"),), forward_unmatched_preflights=forward)
    assert cors.answers(one) is (local.preflight(cors, one)[1] is not None)


def test_an_answer_to_an_allowed_origin_says_so_in_place_of_what_the_upstream_says() -> None:
    cors = Cors(origins=(), expose_headers=b"x-c", credentials=True)
    upstreams = [(b"Access-Control-Allow-Origin", b"*"), (b"x-a", b"1"), (b"access-control-max-age", b"9")]
    assert local.with_cors(upstreams, cors, b"https://a") == [
        (b"x-a", b"1"),
        (b"access-control-max-age", b"9"),
        (b"access-control-allow-origin", b"https://a"),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"x-c"),
    ]
