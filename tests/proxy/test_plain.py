"""The usual request, and each way in which it turns out not to be one: nothing is lost or asked twice when the exchange
as a whole takes over."""

from __future__ import annotations

import re

import pytest
from support.plans import API, plan
from support.traces import Pipe, World, answer, get, snapshot, statuses

from meshproxy.plan.snapshot import Snapshot
from meshproxy.proxy.plain import PlainExchange
from meshproxy.wire.http1_plain import DETOUR

ID = re.compile(rb"x-request-id: ([0-9a-f-]{36})\r\n")
ENTRY = """
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 127.0.0.1, labels: {version: v1}}
"""


def kept(world: World, client: Pipe | None = None) -> Pipe:
    """A connection to the upstream that is kept."""
    client = client or world.client
    client.send(get())
    upstream = world.dials[-1].accept()
    upstream.send(answer())
    assert statuses(client.taken()) == [200]
    upstream.taken()
    return upstream


def went_straight(world: World) -> bool:
    """Whether the request that ended last was plain from beginning to end."""
    return isinstance(world.observed[-1], PlainExchange)


def gateway() -> Snapshot:
    return plan(
        f"{API}{ENTRY}",
        f"{API}\nkind: Gateway\nmetadata: {{name: edge}}\nspec:\n"
        "  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]\n",
        f"{API}\nkind: VirtualService\nmetadata: {{name: edge}}\nspec:\n  hosts: ['*']\n  gateways: [edge]\n"
        "  http: [{route: [{destination: {host: reviews.test}}]}]\n",
    )


def test_a_head_goes_up_as_it_came_and_what_is_added_comes_behind() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get("/a?b", "A: 1", "Connection: keep-alive", "Cookie: x=y", "cookie: z"))
        sent = upstream.taken()
        assert ID.sub(b"", sent) == (
            b"GET /a?b HTTP/1.1\r\nHost: reviews.test\r\nA: 1\r\nCookie: x=y\r\ncookie: z\r\n"
            b"x-forwarded-proto: http\r\nx-envoy-attempt-count: 1\r\n\r\n"
        )
        assert len(ID.findall(sent)) == 1
        upstream.send(answer(b"hello", "200 OK", "Server: nginx", "Set-Cookie: a", "set-cookie: b", "Date: now"))
        assert world.client.taken() == (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\nset-cookie: b\r\nDate: now\r\n"
            b"server: envoy\r\nx-envoy-upstream-service-time: 0\r\n\r\nhello"
        )
        assert went_straight(world)


def test_a_sidecar_keeps_the_id_that_a_client_gives() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get("/", "X-Request-ID: mine"))
        assert upstream.taken().lower().count(b"x-request-id: mine\r\n") == 1
        upstream.send(answer())
        assert went_straight(world)


def test_a_gateway_gives_an_id_of_its_own_and_tells_who_asks() -> None:
    with World(gateway()) as world:
        client = world.connect("0.0.0.0_8080")
        upstream = kept(world, client)
        client.send(get())
        plain = upstream.taken()
        upstream.send(answer())
        assert went_straight(world)
        client.send(get("/", "x-request-id: theirs"))
        given = upstream.taken()
        upstream.send(answer())
        assert not went_straight(world)
        for sent in (plain, given):
            assert len(ID.findall(sent)) == 1
            assert b"theirs" not in sent
            for line in (
                b"x-forwarded-for: 127.0.0.9",
                b"x-envoy-external-address: 127.0.0.9",
                b"x-forwarded-proto: http",
            ):
                assert sent.count(line + b"\r\n") == 1
        assert b"server: istio-envoy\r\n" in client.taken()


def test_who_asks_for_the_end_of_its_connection_gets_it_behind_the_answer() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get("/", "Connection: close"))
        assert b"onnection" not in upstream.taken()
        upstream.send(answer(b"last"))
        out = world.client.taken()
        assert b"connection: close\r\n" in out
        assert out.endswith(b"\r\n\r\nlast")
        assert world.client.closing
        assert not upstream.closing
        assert went_straight(world)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_small_body_goes_with_its_head(method: str) -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get("/", method=method, body=b"b" * 5000))
        head, _, body = upstream.taken().partition(b"\r\n\r\n")
        assert b"Content-Length: 5000" in head
        assert body == b"b" * 5000
        upstream.send(answer())
        assert (world.observed[-1].bytes_received, world.observed[-1].bytes_sent) == (5000, 2)
        assert went_straight(world)


def test_what_must_not_be_sent_twice_looks_at_a_connection_that_was_idle_for_long() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.wait(1)
        world.client.send(get("/", method="POST", body=b"body"))
        assert upstream.taken().endswith(b"\r\n\r\nbody")
        upstream.send(answer())
        assert not went_straight(world)


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", b"body")])
def test_a_kept_connection_that_dies_unheard_is_tried_again_with_the_same_id(method: str, body: bytes) -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get("/", method=method, body=body))
        first = upstream.taken()
        upstream.reset()
        again = world.dials[-1].accept()
        second = again.taken()
        assert second.endswith(b"\r\n\r\n" + body)
        assert ID.findall(first) == ID.findall(second) != []
        again.send(answer())
        assert statuses(world.client.taken()) == [200]
        assert (world.observed[-1].attempts, world.observed[-1].bytes_received) == (1, len(body))


def test_an_answer_that_a_policy_judges_is_tried_again_with_the_same_id() -> None:
    rule = """
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews.test]
  http: [{retries: {attempts: 1, retryOn: 5xx}, route: [{destination: {host: reviews.test}}]}]
"""
    with World(plan(f"{API}{ENTRY}", f"{API}{rule}")) as world:
        upstream = kept(world)
        world.client.send(get())
        first = upstream.taken()
        upstream.send(answer(b"", "503 Service Unavailable"))
        world.wait(0.1)
        again = world.dials[-1].accept()
        second = again.taken()
        assert b"x-envoy-attempt-count: 2" in second
        assert ID.findall(first) == ID.findall(second) != []
        again.send(answer())
        assert statuses(world.client.taken()) == [200]


def test_an_error_that_no_policy_is_about_goes_down() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get("/once"))
        upstream.send(answer(b"gone", "503 Service Unavailable"))
        assert world.client.taken().endswith(b"gone")
        assert went_straight(world)


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_an_answer_in_pieces_is_the_same(cut: int) -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get())
        whole = answer(b"hello", "200 OK", "A: b")
        upstream.send(whole[:cut])
        upstream.send(whole[cut:])
        assert b"".join(world.client.taken().partition(b"A: b")[1:]).endswith(b"\r\n\r\nhello")
        assert not went_straight(world)


def test_a_client_that_goes_before_its_answer_leaves_nothing_behind() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get())
        world.client.reset()
        assert upstream.closing
        assert world.observed[-1].flags == "DC"


def test_what_is_drawn_is_not_drawn_again_where_it_cannot_be_had() -> None:
    rule = """
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews.test]
  http:
  - route:
    - {destination: {host: reviews.test}, weight: 50}
    - {destination: {host: reviews.test, subset: gone}, weight: 50}
"""
    with World(plan(f"{API}{ENTRY}", f"{API}{rule}")) as world:
        kept(world)
        world._draw = 0.9
        world.client.send(get())
        assert statuses(world.client.taken()) == [503]
        assert world.observed[-1].flags == "NC"


def test_a_request_ends_on_the_snapshot_it_began_with() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get())
        upstream.taken()
        world.do(world.proxy.apply, snapshot(2))
        upstream.send(answer(b"late"))
        assert world.client.taken().endswith(b"late")


def test_a_request_that_follows_at_once_is_next() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get("/1"))
        world.client.send(get("/2"))
        assert b"/2" not in upstream.taken()
        upstream.send(answer(b"one"))
        assert b"/2" in upstream.taken()
        upstream.send(answer(b"two"))
        assert world.client.taken().count(b"HTTP/1.1 200 OK") == 2


def test_a_drain_ends_the_connection_behind_the_answer() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        world.client.send(get())
        upstream.taken()
        world.do(world.proxy.start_drain)
        upstream.send(answer())
        assert b"onnection: close" in world.client.taken()
        assert world.client.closing


def test_behind_one_that_is_not_plain_the_next_few_are_not_tried() -> None:
    with World(snapshot()) as world:
        upstream = kept(world)
        straight = []
        for fields in [("x-forwarded-for: 1.2.3.4",), *[()] * (DETOUR + 1)]:
            world.client.send(get("/", *fields))
            upstream.send(answer())
            straight.append(went_straight(world))
        assert statuses(world.client.taken()) == [200] * (DETOUR + 2)
        assert straight == [False] * (DETOUR + 1) + [True]
