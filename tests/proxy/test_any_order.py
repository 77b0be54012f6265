"""Whatever comes, in whatever order: nothing is written behind an end, counts return to nothing, every request ends
once, and what its client has got is whole answers and, where something went wrong, a cut that nobody takes for one.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.traces import World, answer, get, snapshot

REQUESTS = (
    get(),
    get("/retry"),
    get("/timeout"),
    get("/slow"),
    get("/direct"),
    get("/once", method="POST", body=b"b" * 50),
    get("/retry", method="PUT", body=b"b" * 50),
    get("/timeout", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n0\r\n\r\n",
    get("/direct", method="POST", body=b"b" * 50),
    get("/", "Connection: upgrade", "Upgrade: websocket"),
    get("/", "Expect: 100-continue", method="POST", body=b"b" * 50),
    get("/", "Connection: close"),
    get("/mirrored"),
    get("/mirrored", method="POST", body=b"b" * 50),
    b"nonsense\r\n\r\n",
    get("/", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n",
)
RESPONSES = (
    answer(b"x" * 40),
    answer(b"x" * 40),
    answer(b"", "503 No"),
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    answer(b"x" * 40, "200 OK", "Connection: close"),
    b"nonsense\r\n\r\n",
)
STEP = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, len(REQUESTS) - 1)),
    st.tuples(st.just("send"), st.integers(0, len(REQUESTS) - 1), st.floats(0, 1)),
    st.tuples(st.just("rest")),
    st.tuples(st.just("accept"), st.integers(0, 3)),
    st.tuples(st.just("accept"), st.integers(0, 3)),
    st.tuples(st.just("refuse"), st.integers(0, 3)),
    st.tuples(st.just("respond"), st.integers(0, 3), st.integers(0, len(RESPONSES) - 1), st.floats(0, 1)),
    st.tuples(st.just("respond"), st.integers(0, 3), st.just(0), st.just(1.0)),
    st.tuples(st.just("end"), st.integers(0, 3)),
    st.tuples(st.just("reset"), st.integers(0, 3)),
    st.tuples(st.just("block"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([0.05, 0.5, 1.2, 6.0])),
    st.tuples(st.just("client"), st.sampled_from(["end", "reset", "block", "unblock"])),
    st.tuples(st.just("drain")),
    st.tuples(st.just("connect")),
)


class Trace:
    """Plays steps in a world; steps that make no sense are left out."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rest = b""

    def play(self, step: tuple[object, ...]) -> None:
        getattr(self, f"on_{step[0]}")(*step[1:])

    def on_send(self, which: int, share: float) -> None:
        data = self.rest + REQUESTS[which]
        at = len(data) if share > 0.5 else int(len(data) * share * 2)
        self.rest = data[at:]
        self.world.client.send(data[:at])

    def on_ask(self, which: int) -> None:
        """A whole request, that reaches its upstream."""
        self.on_rest()
        self.on_send(which, 1.0)
        self.on_accept(0)

    def on_rest(self) -> None:
        rest, self.rest = self.rest, b""
        if rest:
            self.world.client.send(rest)

    def on_accept(self, which: int) -> None:
        waiting = [dialled for dialled in self.world.dials if dialled.open]
        if waiting:
            waiting[which % len(waiting)].accept()

    def on_refuse(self, which: int) -> None:
        waiting = [dialled for dialled in self.world.dials if dialled.open]
        if waiting:
            waiting[which % len(waiting)].refuse()

    def on_respond(self, which: int, response: int, share: float) -> None:
        data = RESPONSES[response]
        for pipe in self._upstream(which):
            pipe.send(data[: len(data) if share > 0.5 else int(len(data) * share * 2)])

    def on_end(self, which: int) -> None:
        for pipe in self._upstream(which):
            pipe.end()

    def on_reset(self, which: int) -> None:
        for pipe in self._upstream(which):
            pipe.reset()

    def on_block(self, which: int, blocked: bool) -> None:
        for pipe in self._upstream(which):
            pipe.block(blocked)

    def on_wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    def on_client(self, how: str) -> None:
        client = self.world.client
        {"end": client.end, "reset": client.reset, "block": client.block, "unblock": lambda: client.block(False)}[how]()

    def on_drain(self) -> None:
        self.world.do(self.world.proxy.start_drain)

    def on_connect(self) -> None:
        self.world.client = self.world.connect()
        self.rest = b""

    def _upstream(self, which: int) -> list[object]:
        living = [pipe for pipe in self.world.upstreams if not pipe.closing]
        return [living[which % len(living)]] if living else []


POLICIES = (
    "",
    "connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 2, maxRequestsPerConnection: 2}}",
    "outlierDetection: {consecutive5xxErrors: 2, interval: 1s, baseEjectionTime: 2s, maxEjectionPercent: 100}",
    "loadBalancer: {consistentHash: {httpHeaderName: x-a}}",
)


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, max_size=30), endpoints=st.sampled_from([1, 3]), policy=st.sampled_from(POLICIES))
def test_nothing_is_left_behind(steps: list[tuple[object, ...]], endpoints: int, policy: str) -> None:
    options = {"stream_idle_timeout": 4.0, "header_timeout": 3.0, "idle_timeout": 5.0}
    with World(snapshot(endpoints, policy), **options) as world:
        trace = Trace(world)
        for step in steps:
            trace.play(step)
