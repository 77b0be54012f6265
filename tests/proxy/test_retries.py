"""Envoy's retry conditions, as a table."""

from __future__ import annotations

import pytest

from meshproxy.base.errors import Kind
from meshproxy.base.message import Response
from meshproxy.plan.retry import DEFAULT, Retry
from meshproxy.proxy import retries

CONDITIONS = (
    "5xx gateway-error reset reset-before-request connect-failure retriable-4xx refused-stream retriable-status-codes "
    "envoy-ratelimited cancelled deadline-exceeded resource-exhausted internal unavailable"
).split()


def policy(*conditions: str, statuses: tuple[int, ...] = ()) -> Retry:
    return Retry(attempts=1, conditions=frozenset(conditions), statuses=frozenset(statuses))


def covering(response: Response) -> set[str]:
    return {one for one in CONDITIONS if retries.after_response(policy(one, statuses=(418, 503)), response)}


def answered(status: int, **watched: str) -> Response:
    response = Response(status, [])
    response.watched = {name.replace("_", "-").encode(): value.encode() for name, value in watched.items()}
    return response


@pytest.mark.parametrize(
    ("status", "conditions"),
    [
        (200, set()),
        (304, set()),
        (400, set()),
        (409, {"retriable-4xx"}),
        (418, {"retriable-status-codes"}),
        (429, set()),
        (500, {"5xx"}),
        (501, {"5xx"}),
        (502, {"5xx", "gateway-error"}),
        (503, {"5xx", "gateway-error", "retriable-status-codes"}),
        (504, {"5xx", "gateway-error"}),
        (505, {"5xx"}),
        (599, {"5xx"}),
    ],
)
def test_statuses(status: int, conditions: set[str]) -> None:
    assert covering(answered(status)) == conditions


@pytest.mark.parametrize(
    ("code", "conditions"),
    [
        ("0", set()),
        ("1", {"cancelled"}),
        ("2", set()),
        ("4", {"deadline-exceeded"}),
        ("8", {"resource-exhausted"}),
        ("13", {"internal"}),
        ("14", {"unavailable"}),
        ("", set()),
        ("x", set()),
    ],
)
def test_grpc_statuses(code: str, conditions: set[str]) -> None:
    assert covering(answered(200, grpc_status=code)) == conditions


def test_a_rate_limited_answer_is_retried_for_that_alone() -> None:
    assert covering(answered(503, x_envoy_ratelimited="true")) == {"envoy-ratelimited"}


_CONNECT = {"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure"}
_RESET = {"5xx", "gateway-error", "reset"}


@pytest.mark.parametrize("kind", Kind)
def test_errors(kind: Kind) -> None:
    expected: dict[Kind, set[str]] = {
        Kind.CONNECT_FAILURE: _CONNECT,
        Kind.CONNECT_TIMEOUT: _CONNECT,
        Kind.UPSTREAM_CLOSED: _RESET,
        Kind.UPSTREAM_PROTOCOL: _RESET,
        Kind.PER_TRY_TIMEOUT: _RESET,
    }
    assert {one for one in CONDITIONS if retries.after_error(policy(one), kind)} == expected.get(kind, set())


def test_a_body_is_kept_only_where_a_retry_may_come_after_it() -> None:
    assert not policy("connect-failure", "refused-stream", "reset-before-request").replays
    assert not policy("retriable-status-codes").replays
    assert policy("retriable-status-codes", statuses=(503,)).replays
    for condition in ("5xx", "reset", "gateway-error", "unavailable", "retriable-4xx"):
        assert policy("connect-failure", condition).replays
    assert DEFAULT.replays
