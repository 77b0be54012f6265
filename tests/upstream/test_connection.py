"""One connection to an endpoint: who is told, once, and when it goes back to the idle ones."""

from __future__ import annotations

import pytest

from meshproxy.base.errors import Kind, ProxyError, Retry
from meshproxy.plan.cluster import Endpoint
from meshproxy.upstream.connection import UpstreamConnection
from meshproxy.upstream.endpoint import LiveEndpoint

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Transport:
    """Of a transport, what a connection asks."""

    def __init__(self) -> None:
        self.closing = self.paused = False

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        assert high > low

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        assert not self.closing
        self.closing = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 5) if name == "sockname" else None


class User:
    def __init__(self) -> None:
        self.told: list[object] = []

    def on_upstream_data(self) -> None:
        self.told.append("data")

    def on_upstream_failed(self, error: ProxyError) -> None:
        self.told.append(error)

    def on_upstream_blocked(self, blocked: bool) -> None:
        self.told.append(blocked)


class Case:
    def __init__(self) -> None:
        self.open = 0
        self.endpoint = LiveEndpoint(Endpoint(address="127.0.0.1", port=1))
        self.connection = UpstreamConnection(self.endpoint, self.opened)
        self.transport = Transport()
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]
        self.user = User()

    def opened(self, change: int) -> None:
        self.open += change

    def ask(self, method: bytes = b"GET") -> None:
        self.connection.begin(self.user, method, None)

    def lose(self, error: Exception | None = None) -> None:
        self.transport.closing = True
        self.connection.connection_lost(error)

    @property
    def failure(self) -> ProxyError:
        (error,) = [one for one in self.user.told if isinstance(one, ProxyError)]
        return error


def test_a_whole_answer_makes_it_idle_and_the_last_one_used_is_taken_first() -> None:
    case, other = Case(), Case()
    other.connection.endpoint = case.endpoint
    for one in (case, other):
        one.ask()
        one.connection.data_received(OK)
        one.connection.release(1.0)
    assert case.endpoint.take() is other.connection
    assert case.endpoint.take() is case.connection
    assert case.endpoint.take() is None
    assert case.open == 1


@pytest.mark.parametrize("why", ["close", "unread", "blocked", "retired", "eof"])
def test_what_cannot_serve_another_request_is_closed(why: str) -> None:
    case = Case()
    case.ask()
    if why == "blocked":
        case.connection.pause_writing()
    case.connection.data_received(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") if why == "close" else OK)
    if why == "unread":
        case.connection.data_received(b"more")
    if why == "retired":
        case.endpoint.retire()
    if why == "eof":
        case.connection.eof_received()
    case.connection.release(1.0)
    assert case.transport.closing
    assert case.endpoint.idle == []


def test_whoever_reads_again_reads_again_on_its_next_use() -> None:
    case = Case()
    case.ask()
    case.connection.pause_reading(True)
    case.connection.data_received(OK)
    case.connection.release(1.0)
    assert not case.transport.paused
    assert not case.connection.paused


@pytest.mark.parametrize("how", ["data", "eof", "lost"])
def test_what_happens_to_an_idle_connection_takes_it_out(how: str) -> None:
    case = Case()
    case.ask()
    case.connection.data_received(OK)
    case.connection.release(1.0)
    told = list(case.user.told)
    if how == "data":
        case.connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    elif how == "eof":
        assert not case.connection.eof_received()
    if how != "data":
        case.lose()
    assert case.endpoint.take() is None
    assert case.user.told == told


@pytest.mark.parametrize(
    ("before", "error", "retry"),
    [
        (b"", None, Retry.IF_IDEMPOTENT),
        (b"", ConnectionResetError("reset"), None),
        (b"HTTP/1.1 ", None, Retry.NEVER),
        (OK[:-1], None, None),
        (OK[:-1], ConnectionResetError("reset"), None),
        (b"HTTP/1.1 200 OK\r\n\r\nendless", ConnectionResetError("reset"), None),
    ],
)
def test_an_end_before_the_answers_is_told_once(before: bytes, error: Exception | None, retry: Retry | None) -> None:
    case = Case()
    case.ask()
    if before:
        case.connection.data_received(before)
    if error is None:
        assert not case.connection.eof_received()
    case.lose(error)
    assert case.failure.kind is Kind.UPSTREAM_CLOSED
    assert retry is None or case.failure.retry is retry
    assert case.open == 0


def test_an_answer_that_ends_with_the_connection_is_told_as_data() -> None:
    case = Case()
    case.ask()
    case.connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nendless")
    case.connection.eof_received()
    assert case.user.told == ["data", "data"]
    assert case.connection.reader.response is not None
    assert case.connection.reader.response.complete


def test_what_is_no_http_closes_it_and_is_told_once() -> None:
    case = Case()
    case.ask()
    case.connection.data_received(b"nonsense\r\n")
    assert case.transport.closing
    case.lose()
    assert case.failure.kind is Kind.UPSTREAM_PROTOCOL


def test_closing_it_tells_nobody_and_what_is_lost_counts_once() -> None:
    case = Case()
    case.ask()
    case.connection.close()
    case.connection.close()
    case.lose()
    assert case.user.told == []
    assert (case.open, case.endpoint.connections) == (0, set())


def test_retiring_an_endpoint_closes_what_is_idle_and_leaves_what_is_busy() -> None:
    idle, busy = Case(), Case()
    busy.connection.endpoint = idle.endpoint
    idle.ask()
    idle.connection.data_received(OK)
    idle.connection.release(1.0)
    busy.ask()
    idle.endpoint.retire()
    assert idle.transport.closing
    assert not busy.transport.closing


def test_back_pressure_is_told_to_the_user() -> None:
    case = Case()
    case.ask()
    case.connection.pause_writing()
    case.connection.resume_writing()
    assert case.user.told == [True, False]
    assert case.connection.local_address == "127.0.0.1:5"
