"""One client's connection from request to request, as packet traces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.traces import World, answer, get, snapshot, statuses, waits_on

from meshproxy.proxy.options import Options


def test_ten_thousand_pipelined_local_answers_do_not_recurse() -> None:
    with World(snapshot()) as world:
        data = get("/direct") * 10_000
        for at in range(0, len(data), 250_000):
            world.client.send(data[at : at + 250_000])
        assert statuses(world.client.taken()) == [200] * 10_000


def test_local_answers_behind_an_upstreams_do_not_recurse() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/first") + get("/direct") * 5000)
        assert not world.client.taken()
        world.dials[0].accept().send(answer(b"first"))
        assert statuses(world.client.taken()) == [200] * 5001


def test_pipelined_requests_are_answered_in_their_order() -> None:
    with World(snapshot()) as world:
        world.client.send(b"".join(get(f"/{number}") for number in range(5)))
        upstream = world.dials[0].accept()
        for number in range(5):
            sent = upstream.taken()
            assert sent.count(b"HTTP/1.1\r\n") == 1
            assert sent.startswith(b"GET /%d " % number)
            upstream.send(answer(b"<%d>" % number))
        out = world.client.taken()
        assert [out.index(b"<%d>" % number) for number in range(5)] == sorted(out.index(b"<%d>" % n) for n in range(5))
        assert len(world.dials) == 1


@settings(deadline=None, max_examples=60)
@given(
    cuts=st.lists(st.integers(1, 400), max_size=12), parts=st.lists(st.sampled_from("gpcduh"), min_size=1, max_size=5)
)
def test_a_pipeline_is_served_the_same_however_it_is_cut(cuts: list[int], parts: list[str]) -> None:
    """g: GET, p: POST with a length, c: chunked, d: answered here, u: an upgrade that is refused, h: HEAD."""
    messages = {
        "g": get("/g"),
        "p": get("/p", method="POST", body=b"b" * 30),
        "c": get("/c", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n0\r\n\r\n",
        "d": get("/direct"),
        "u": get("/u", "Connection: upgrade", "Upgrade: websocket"),
        "h": get("/h", method="HEAD"),
    }
    data = b"".join(messages[part] for part in parts)
    with World(snapshot()) as world:
        at = 0
        for cut in [*cuts, len(data)]:
            world.client.send(data[at : at + cut])
            at += cut
            _serve(world)
        assert statuses(world.client.taken()) == [200] * len(parts)
        assert [record.request.method for record in world.observed] == [
            {"p": b"POST", "c": b"POST", "h": b"HEAD"}.get(part, b"GET") for part in parts
        ]
        assert not world.client.closing


def _serve(world: World) -> None:
    """Dials succeed, whole requests are answered."""
    progress = True
    while progress:
        progress = False
        for dialled in world.dials:
            if dialled.open:
                dialled.accept()
                progress = True
        for upstream in world.upstreams:
            exchange = next((each for each in world.exchanges if waits_on(each, upstream)), None)
            if exchange is not None and exchange.request.complete:
                head_only = exchange.request.method == b"HEAD"
                upstream.send(answer(b"ok")[: -2 if head_only else None])
                progress = True


def test_a_client_that_reads_nothing_is_sent_no_more_answers() -> None:
    with World(snapshot()) as world:
        world.client.send(get() * 3)
        upstream = world.dials[0].accept()
        world.client.block()
        upstream.send(answer(b"x" * 100_000))
        upstream.send(answer())
        world.client.block(False)
        _serve(world)
        assert statuses(world.client.taken()) == [200, 200, 200]


def test_a_blocked_client_gets_its_next_request_started_only_when_it_reads_again() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/1") + get("/2"))
        upstream = world.dials[0].accept()
        upstream.taken()
        world.client.block()
        upstream.send(answer())
        assert upstream.taken() == b""
        world.client.block(False)
        assert b"/2" in upstream.taken()
        upstream.send(answer())


def test_pipelined_answers_do_not_pile_up_for_a_client_that_does_not_read() -> None:
    with World(snapshot()) as world:
        world.client.stuck = True
        world.client.send(get() * 20)
        upstream = world.dials[0].accept()
        for _ in range(20):
            upstream.send(answer(b"x" * 100_000))
        assert len(world.client.out) < 300_000


def test_local_answers_do_not_pile_up_for_a_client_that_does_not_read() -> None:
    with World(snapshot()) as world:
        world.client.stuck = True
        world.client.send(get("/direct") * 5_000)
        assert len(world.client.out) < 300_000
        world.client.stuck = world.client.blocked = False
        world.do(world.client.protocol.resume_writing)
        assert statuses(world.client.taken()) == [200] * 5_000


def test_a_blocked_client_stops_the_upstream_and_unblocked_lets_it_go_on() -> None:
    with World(snapshot()) as world:
        world.client.send(get())
        upstream = world.dials[0].accept()
        upstream.send(answer(b"x" * 100)[:-90])
        world.client.block()
        assert upstream.paused
        world.client.block(False)
        assert not upstream.paused
        upstream.send(b"x" * 90)
        assert statuses(world.client.taken()) == [200]


def test_a_blocked_upstream_stops_the_client() -> None:
    with World(snapshot()) as world:
        world.client.send(get(method="POST", body=b"x" * 100)[:-90])
        upstream = world.dials[0].accept()
        upstream.block()
        assert world.client.paused
        upstream.block(False)
        assert not world.client.paused
        world.client.send(b"x" * 90)
        upstream.send(answer())
        assert statuses(world.client.taken()) == [200]


def test_a_body_that_waits_for_its_upstream_stops_the_client_at_the_high_water_mark() -> None:
    mark = Options().high_water
    with World(snapshot()) as world:
        world.client.send(get("/", f"Content-Length: {10 * mark}", method="POST"))
        for _ in range(10):
            world.client.send(b"x" * mark)
        assert world.client.paused
        upstream = world.dials[0].accept()
        world.settle()
        assert not world.client.paused
        assert upstream.taken().count(b"x" * mark) == 10
        upstream.send(answer())


@pytest.mark.parametrize("fault", [b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"])
def test_a_fault_is_answered_behind_the_requests_before_it_and_ends_the_connection(fault: bytes) -> None:
    with World(snapshot()) as world:
        world.client.send(get() + fault)
        upstream = world.dials[0].accept()
        assert not world.client.taken()
        upstream.send(answer())
        out = world.client.taken()
        assert statuses(out) == [200, 400]
        assert b"Connection: close" in out
        assert world.client.ended or world.client.closing
        world.client.send(get())
        world.client.end()
        assert not world.client.taken()


def test_a_request_that_says_close_is_the_last_one() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/direct", "Connection: close") + get("/direct"))
        out = world.client.taken()
        assert statuses(out) == [200]
        assert b"Connection: close" in out
        assert world.client.closing


def test_a_client_that_closes_its_half_behind_a_whole_request_gets_its_answer() -> None:
    with World(snapshot()) as world:
        world.client.send(get())
        world.client.end()
        world.dials[0].accept().send(answer())
        assert statuses(world.client.taken()) == [200]
        assert world.client.closing


def test_a_client_that_closes_its_half_inside_a_request_is_gone() -> None:
    with World(snapshot()) as world:
        world.client.send(get(method="POST", body=b"hello")[:-1])
        upstream = world.dials[0].accept()
        world.client.end()
        assert world.client.closing
        assert upstream.closing
        assert world.observed[0].flags == "DC"


# ---- what has been still for too long


def test_a_silent_connection_is_closed_unanswered() -> None:
    with World(snapshot(), header_timeout=5.0) as world:
        world.wait(7)
        assert world.client.closing
        assert not world.client.taken()


def test_a_head_that_never_ends_is_a_408() -> None:
    with World(snapshot(), header_timeout=5.0) as world:
        for _ in range(8):
            world.client.send(b"GET / HTTP/1.1\r\nX: a" if not world.client.peer_ended else b"")
            world.wait(1)
            if world.client.ended:
                break
        assert statuses(world.client.taken()) == [408] or world.client.closing


def test_a_head_that_began_behind_a_request_has_its_time_too() -> None:
    with World(snapshot(), header_timeout=5.0) as world:
        world.client.send(get("/direct") + b"GET /next HTTP/1.1\r\n")
        world.wait(7)
        assert statuses(world.client.taken()) == [200, 408]
        world.client.end()


def test_a_kept_connection_may_be_idle_for_its_time_and_no_longer() -> None:
    with World(snapshot(), idle_timeout=30.0, header_timeout=5.0) as world:
        world.client.send(get("/direct"))
        world.wait(29)
        assert not world.client.closing
        world.wait(2)
        assert world.client.closing


def test_a_client_that_does_not_close_behind_its_last_answer_is_closed() -> None:
    with World(snapshot(), header_timeout=5.0) as world:
        world.client.send(b"nonsense\r\n\r\n")
        assert world.client.ended
        for _ in range(10):
            world.client.send(b"more")
            world.wait(1)
        assert world.client.closing


def test_the_rest_of_an_answered_request_that_breaks_off_ends_the_connection() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/direct", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n")
        assert statuses(world.client.taken()) == [200]
        world.client.send(b"nonsense\r\n")
        assert world.client.ended or world.client.closing


def test_no_more_than_the_limit_is_read_of_a_request_that_is_answered() -> None:
    with World(snapshot(), discard_limit=100_000) as world:
        world.client.send(get("/direct", "Content-Length: 100000000", method="POST"))
        assert statuses(world.client.taken()) == [200]
        for _ in range(10):
            world.client.send(b"x" * 50_000)
        assert world.client.ended or world.client.closing


# ---- drain


def test_a_drain_closes_idle_connections_and_those_between_requests() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/direct"))
        fresh = world.connect()
        world.do(world.proxy.start_drain)
        assert world.client.closing
        assert fresh.closing


def test_a_drain_waits_for_a_head_that_has_begun_and_answers_it_with_close() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/direct")[:20])
        world.do(world.proxy.start_drain)
        assert not world.client.closing
        world.client.send(get("/direct")[20:])
        assert b"Connection: close" in world.client.taken()
        assert world.client.closing


def test_a_drain_waits_for_the_rest_of_an_answered_request_and_then_closes() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/direct", method="POST", body=b"x" * 100)[:-50])
        assert statuses(world.client.taken()) == [200]
        world.do(world.proxy.start_drain)
        world.client.send(b"x" * 50)
        assert world.client.closing


def test_requests_that_wait_are_dropped_by_a_drain_behind_a_close() -> None:
    with World(snapshot()) as world:
        world.client.send(get("/1") + get("/2"))
        upstream = world.dials[0].accept()
        world.do(world.proxy.start_drain)
        upstream.send(answer())
        out = world.client.taken()
        assert statuses(out) == [200]
        assert b"Connection: close" in out
        assert len(world.exchanges) == 1
