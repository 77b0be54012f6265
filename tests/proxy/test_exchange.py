"""One request and its answer as packet traces; the world's end holds that nothing is left behind."""

from __future__ import annotations

import re

import pytest
from support.traces import Pipe, World, answer, get, snapshot, statuses

from meshproxy.proxy.plain import SHORTER
from meshproxy.telemetry.access_log import compile_format
from meshproxy.telemetry.record import Record

UPGRADE = get("/", "Connection: upgrade", "Upgrade: websocket")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


def kept(world: World, count: int = 1) -> Pipe:
    """A connection to the upstream that has served a request and is kept."""
    world.client.send(get())
    upstream = world.dials[-1].accept()
    upstream.send(answer())
    assert statuses(world.client.taken()) == [200]
    upstream.taken()
    return upstream


def test_a_request_is_sent_on_a_dialled_connection_and_the_next_on_the_same() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get("/next"))
        assert upstream.taken().startswith(b"GET /next HTTP/1.1\r\nHost: reviews.test\r\n")
        upstream.send(answer(b"again"))
        assert world.client.taken().endswith(b"\r\n\r\nagain")
        assert len(world.dials) == 1


@pytest.mark.parametrize("size", [1, 100, 70_000])
@pytest.mark.parametrize("cut", [1, 20, 90, 1000])
def test_bodies_come_out_as_they_went_in_however_they_are_cut(size: int, cut: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    with World(snapshot()) as world:
        up, down = get(body=body, method="PUT"), answer(body)
        for at in range(0, len(up), cut if size < 1000 else cut * 97):
            world.client.send(up[at : at + (cut if size < 1000 else cut * 97)])
            if world.dials and world.dials[0].open:
                world.dials[0].accept()
        upstream = world.upstreams[0]
        assert upstream.taken().endswith(b"\r\n\r\n" + body)
        for at in range(0, len(down), 997):
            upstream.send(down[at : at + 997])
        assert world.client.taken().endswith(b"\r\n\r\n" + body)
        world.client.send(get("/next"))
        assert b"GET /next" in upstream.taken()
        upstream.send(answer())


# ---- the client is lost


def lose_dialling(world: World) -> None:
    world.client.send(get())


def lose_waiting_for_the_head(world: World) -> None:
    world.client.send(get())
    world.dials[0].accept()


def lose_on_a_kept_connection(world: World) -> None:
    kept(world)
    world.client.send(get())


def lose_in_the_body(world: World) -> None:
    world.client.send(get())
    world.dials[0].accept().send(answer(b"x" * 100)[:-50])


def lose_in_the_request(world: World) -> None:
    world.client.send(get(body=b"x" * 100, method="POST")[:-50])
    world.dials[0].accept()


def lose_in_a_fault_delay(world: World) -> None:
    world.client.send(get("/slow"))


def lose_in_a_back_off(world: World) -> None:
    world._draw = 0.99
    world.client.send(get("/retry"))
    world.dials[0].accept().send(answer(b"", "503 No"))


def lose_in_a_retry_that_dials(world: World) -> None:
    lose_in_a_back_off(world)
    world.wait(1)
    assert len(world.dials) == 2


def lose_in_a_tunnel(world: World) -> None:
    world.client.send(UPGRADE)
    world.dials[0].accept().send(SWITCHED)


def lose_with_requests_waiting(world: World) -> None:
    world.client.send(get("/1") + get("/2") + get("/3"))
    world.dials[0].accept()


STATES = [
    lose_dialling,
    lose_waiting_for_the_head,
    lose_on_a_kept_connection,
    lose_in_the_body,
    lose_in_the_request,
    lose_in_a_fault_delay,
    lose_in_a_back_off,
    lose_in_a_retry_that_dials,
    lose_in_a_tunnel,
    lose_with_requests_waiting,
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__.removeprefix("lose_"))
@pytest.mark.parametrize("how", ["reset", "end"])
def test_a_client_lost_leaves_nothing_behind(state: object, how: str) -> None:
    with World(snapshot()) as world:
        state(world)  # type: ignore[operator]
        getattr(world.client, how)()
        world.wait(3)
        if how == "reset" and state is not lose_in_a_tunnel:
            assert world.observed[-1].flags.endswith("DC")


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__.removeprefix("lose_"))
def test_nothing_moves_for_the_idle_timeout(state: object) -> None:
    with World(snapshot(), stream_idle_timeout=5.0) as world:
        state(world)  # type: ignore[operator]
        world.wait(20)
        assert state is lose_in_a_tunnel or len(world.observed) >= 1


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__.removeprefix("lose_"))
def test_a_drain_lets_every_request_finish(state: object) -> None:
    with World(snapshot()) as world:
        state(world)  # type: ignore[operator]
        world.do(world.proxy.start_drain)
        world.wait(2)
        if state is lose_in_the_request:
            world.client.send(b"x" * 50)
        for dialled in world.dials:
            if dialled.open:
                dialled.accept()
        for upstream in world.upstreams:
            if not upstream.closing and state is not lose_in_a_tunnel:
                upstream.send(b"x" * 50 if state is lose_in_the_body else answer())
        if state is not lose_in_a_tunnel:
            assert 200 in [record.status for record in world.observed]
            assert world.client.closing
        if state not in (lose_in_a_tunnel, lose_in_the_body):
            assert b"Connection: close\r\n" in world.client.taken()


# ---- the upstream fails


def test_a_refused_connection_is_a_503_that_says_so() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/once"))
        world.dials[0].refuse()
        out = world.client.taken()
        assert statuses(out) == [503]
        assert b"remote connection failure" in out
        assert world.observed[0].flags == "UF"


def test_an_upstream_that_closes_in_place_of_an_answer_is_a_503() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/once"))
        world.dials[0].accept().end()
        assert statuses(world.client.taken()) == [503]
        assert world.observed[0].flags == "UC"


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_an_answer_cut_short_is_never_taken_for_whole(how: str, framing: str) -> None:
    with World(snapshot()) as world:
        world.client.send(get("/retry"))
        upstream = world.dials[0].accept()
        upstream.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nhello".encode())
        getattr(upstream, how)()
        assert world.client.aborted
        assert world.observed[0].flags == "UC"


def test_an_answer_that_ends_with_its_connection_is_whole() -> None:
    with World(snapshot()) as world:
        world.client.send(get())
        upstream = world.dials[0].accept()
        upstream.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        upstream.end()
        assert world.client.taken().endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        assert not world.client.closing


def test_an_answer_that_would_end_with_its_connection_and_is_reset_is_cut() -> None:
    with World(snapshot()) as world:
        world.client.send(get())
        upstream = world.dials[0].accept()
        upstream.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        upstream.reset()
        assert not world.client.taken().endswith(b"0\r\n\r\n")
        assert world.client.aborted


def test_what_is_no_http_is_a_502() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/once"))
        world.dials[0].accept().send(b"SSH-2.0-OpenSSH\r\n")
        assert statuses(world.client.taken()) == [502]
        assert world.observed[0].flags == "UPE"
        assert world.upstreams[0].closing


def test_bytes_that_nobody_asked_for_close_a_kept_connection() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        upstream.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        assert upstream.closing
        world.client.send(get())
        assert len(world.dials) == 2
        world.dials[1].accept().send(answer(b"mine"))
        assert world.client.taken().endswith(b"mine")


def test_an_upstream_gone_before_the_request_is_sent_is_no_request_without_end() -> None:
    """Accepted and reset at once: the dial succeeds, and by then there is nobody left to tell."""
    with World(snapshot()) as world:
        world.client.send(get("/once"))
        factory = world.loop.create_connection

        async def lost(*args: object, **more: object) -> object:
            pipe, protocol = await factory(*args, **more)
            pipe.closing = True
            pipe._lose(ConnectionResetError())
            return pipe, protocol

        world.loop.create_connection = lost  # type: ignore[method-assign]
        world.client.send(b"")
        world.wait(1)
        if world.dials:
            world.dials[0].refuse()
        other = world.connect()
        other.send(get("/once"))
        world.dials[-1].accept()
        world.wait(1)
        assert statuses(other.taken()) == [503]


# ---- kept connections that die


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("path", ["/once", "/retry"])
def test_a_kept_connection_that_dies_unheard_costs_no_attempt(method: str, how: str, path: str) -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        body = b"" if method == "GET" else b"hello"
        world.client.send(get(path, method=method, body=body))
        assert upstream.taken().endswith(b"\r\n\r\n" + body)
        getattr(upstream, how)()
        again = world.dials[-1].accept()
        sent = again.taken()
        assert sent.startswith(f"{method} {path} ".encode())
        assert sent.endswith(b"\r\n\r\n" + body)
        assert b"x-envoy-attempt-count: 1\r\n" in sent
        again.send(answer())
        assert statuses(world.client.taken()) == [200]


def test_a_post_is_not_sent_twice() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get("/once", method="POST", body=b"hello"))
        upstream.end()
        assert statuses(world.client.taken()) == [503]
        assert len(world.dials) == 1


def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get("/once"))
        upstream.send(b"HTTP/1.1 ")
        upstream.end()
        assert statuses(world.client.taken()) == [503]
        assert len(world.dials) == 1


# ---- retries and time-outs


def test_a_retry_sends_the_body_once_more_whole() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/retry", method="POST", body=b"hello world")[:-5])
        first = world.dials[0].accept()
        first.send(answer(b"", "503 No"))
        world.client.send(b"world")
        second = world.dials[-1].accept() if world.dials[-1].open else world.upstreams[-1]
        world.wait(0.1)
        second = world.dials[-1].accept() if world.dials[-1].open else world.upstreams[-1]
        assert second.taken().endswith(b"\r\n\r\nhello world")
        second.send(answer())
        assert statuses(world.client.taken()) == [200]


def test_the_last_answer_goes_down_when_no_attempt_is_left() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/retry"))
        for number in range(3):
            world.dials[-1].accept().send(answer(b"%d" % number, "503 No"))
            world.wait(0.5)
        out = world.client.taken()
        assert statuses(out) == [503]
        assert out.endswith(b"2")
        assert len(world.dials) == 3
        assert "URX" in world.observed[0].flags


def test_a_try_that_takes_too_long_is_given_up_for_the_next() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/retry"))
        first = world.dials[0].accept()
        world.wait(1.5)
        assert first.closing
        world.dials[1].accept().send(answer())
        assert statuses(world.client.taken()) == [200]


def test_the_routes_timeout_ends_every_state_of_an_attempt() -> None:
    for until in ("dial", "head", "body"):
        with World(snapshot()) as world:
            world.client.send(get("/timeout"))
            if until != "dial":
                upstream = world.dials[0].accept()
                if until == "body":
                    upstream.send(answer(b"hello")[:-2])
            world.wait(2.5)
            if until == "body":
                assert world.client.aborted
            else:
                assert statuses(world.client.taken()) == [504]
            assert world.observed[0].flags == "UT"


def test_the_routes_timeout_runs_from_the_requests_end() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/timeout", method="POST", body=b"hello")[:-1])
        upstream = world.dials[0].accept()
        world.wait(5)
        world.client.send(b"o")
        world.wait(1.5)
        upstream.send(answer())
        assert statuses(world.client.taken()) == [200]


# ---- answers before the request's end


def test_an_early_answer_goes_down_and_the_rest_of_the_request_is_dropped() -> None:
    with World(snapshot()) as world:
        world.client.send(get(method="POST", body=b"x" * 100)[:-50])
        upstream = world.dials[0].accept()
        upstream.send(answer(b"enough"))
        assert world.client.taken().endswith(b"enough")
        assert upstream.closing
        world.client.send(b"x" * 50 + get("/next"))
        world.dials[1].accept().send(answer(b"next"))
        assert world.client.taken().endswith(b"next")


def test_an_early_answer_that_is_long_lets_the_request_go_on() -> None:
    with World(snapshot()) as world:
        world.client.send(get(method="POST", body=b"x" * 100)[:-50])
        upstream = world.dials[0].accept()
        upstream.send(answer(b"enough")[:-3])
        world.client.send(b"y" * 50)
        assert upstream.taken().endswith(b"x" * 50 + b"y" * 50)
        upstream.send(b"ugh")
        assert world.client.taken().endswith(b"enough")
        assert not upstream.closing


def test_a_client_that_waits_for_100_gets_the_upstreams() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/", "Expect: 100-continue", "Content-Length: 5", method="POST"))
        upstream = world.dials[0].accept()
        upstream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert world.client.taken() == b"HTTP/1.1 100 Continue\r\n\r\n"
        world.client.send(b"hello")
        assert upstream.taken().endswith(b"hello")
        upstream.send(answer())
        assert statuses(world.client.taken()) == [200]
        assert not world.client.closing


def test_a_refused_expectation_ends_the_connection_since_nobody_knows_whether_the_body_comes() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/", "Expect: 100-continue", "Content-Length: 5", method="POST"))
        world.dials[0].accept().send(answer(b"", "413 No"))
        assert b"Connection: close" in world.client.taken()
        assert world.client.ended
        world.client.send(b"hello" + get())
        world.client.end()


def test_a_request_that_breaks_off_is_answered_400_and_does_not_look_whole() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n")
        upstream = world.dials[0].accept()
        world.client.send(b"nonsense\r\n")
        assert statuses(world.client.taken()) == [400]
        assert upstream.closing
        assert not upstream.taken().endswith(b"0\r\n\r\n")


# ---- upgrades


def test_an_accepted_upgrade_is_a_tunnel_for_what_was_sent_early_too() -> None:
    with World(snapshot()) as world:
        world.client.send(UPGRADE + b"early")
        upstream = world.dials[0].accept()
        assert b"early" not in upstream.taken()
        upstream.send(SWITCHED + b"hello")
        assert upstream.taken() == b"early"
        out = world.client.taken()
        assert statuses(out) == [101]
        assert out.endswith(b"\r\n\r\nhello")
        world.client.send(b"up")
        upstream.send(b"down")
        assert (upstream.taken(), world.client.taken()) == (b"up", b"down")
        world.client.end()
        assert upstream.ended
        upstream.send(b"last words")
        upstream.end()
        assert world.client.taken() == b"last words"
        assert [record.status for record in world.observed] == [101]


def test_a_refused_upgrade_leaves_the_connection_http_and_what_was_held_is_the_next_request() -> None:
    with World(snapshot()) as world:
        world.client.send(UPGRADE + get("/next"))
        world.dials[0].accept().send(answer(b"no"))
        assert world.client.taken().endswith(b"no")
        world.dials[-1].accept().send(answer(b"next"))
        assert world.client.taken().endswith(b"next")


def test_a_routes_timeout_does_not_end_an_accepted_upgrade() -> None:
    """Envoy: the clock starts at the request's end, and an upgrade has none until the client closes its half."""
    with World(snapshot()) as world:
        world.client.send(get("/timeout", "Connection: upgrade", "Upgrade: websocket"))
        upstream = world.dials[0].accept()
        upstream.send(SWITCHED)
        world.wait(10)
        upstream.send(b"still here")
        assert world.client.taken().endswith(b"still here")


def test_a_client_that_closed_its_half_before_the_upgrade_ends_the_tunnel_once() -> None:
    with World(snapshot()) as world:
        world.client.send(UPGRADE)
        upstream = world.dials[0].accept()
        world.client.end()
        upstream.send(SWITCHED)
        world.wait(5)
        upstream.end()
        world.wait(1)


# ---- answers of our own


@pytest.mark.parametrize(
    ("path", "status", "flags"),
    [("/direct", 200, ""), ("/cut", 418, "FI"), ("/nobody", 503, "UH")],
)
def test_answers_of_our_own_need_no_upstream(path: str, status: int, flags: str) -> None:
    with World(snapshot()) as world:
        world.client.send(get(path))
        assert statuses(world.client.taken()) == [status]
        assert world.observed[0].flags == flags
        assert not world.dials
        assert not world.client.closing


def test_a_fault_delays_and_then_forwards() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/slow"))
        world.wait(0.9)
        assert not world.dials
        world.wait(0.2)
        world.dials[0].accept().send(answer())
        assert statuses(world.client.taken()) == [200]
        assert world.observed[0].flags == "DI"


@pytest.mark.parametrize(
    "part",
    [
        "plan.table.VirtualHosts.find",
        "proxy.exchange.Exchange._choose",
        "upstream.cluster.LiveCluster.pick",
        "upstream.connection.UpstreamConnection.begin",
    ],
)
def test_an_error_of_ours_is_a_500_on_the_plain_course_too(
    part: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("ours")

    with World(snapshot()) as world:
        if not part.endswith("_choose"):
            kept(world)
        monkeypatch.setattr(f"meshproxy.{part}", broken)
        world.client.send(get())
        assert statuses(world.client.taken()) == [500]
        assert "ours" in caplog.text


def test_a_client_that_goes_is_no_failure_of_its_endpoint() -> None:
    with World(snapshot()) as world:
        world.client.send(get())
        world.dials[0].accept()
        world.client.reset()
        assert [endpoint.failures for endpoint in world.endpoints] == [0]


@pytest.mark.parametrize(
    "form",
    [
        "text",
        "json",
        "%RESP(a)% %RESP(date)% %RESP(server)% %RESP(etag)% %RESP(content-length)%",
        "%REQ(host)% %REQ(x-forwarded-proto)% %REQ(a)% %UPSTREAM_REMOTE_PORT% %ROUTE_NAME%",
    ],
)
@pytest.mark.parametrize("fields", [(), ("A: b", "User-Agent: x"), ("x-request-id: mine", "a: caf\xe9")])
def test_a_plain_request_is_logged_as_any_other(form: str, fields: tuple[str, ...]) -> None:
    """By the format for plain ones, by that for all, and as the exchange as a whole is logged."""
    lines: list[str] = []
    shorter, whole = compile_format(form, SHORTER), compile_format(form)

    class Log:
        def log(self, record: Record, plain: bool = False) -> None:
            lines.extend([shorter(record), whole(record)] if plain else [whole(record)])

    with World(snapshot()) as world:
        upstream = kept(world)
        world.proxy._context.access_log = Log()
        reply = answer(b"a: forged\r\n\r\na: too", "200 OK", "ETag: 1")
        for pieces in ([reply], [reply[:30], reply[30:]]):
            world.client.send(get("/?q", *fields))
            for piece in pieces:
                upstream.send(piece)
        assert statuses(world.client.taken()) == [200, 200]
        differs = re.compile(r"[0-9-]+T[0-9:.]+Z|[0-9a-f-]{36}")
        assert len(lines) == 3
        assert len({differs.sub("", line) for line in lines}) == 1
        assert "forged" not in lines[0]
        world.proxy._context.access_log = None
