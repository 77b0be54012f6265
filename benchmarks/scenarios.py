"""The tables of what is measured and of what must be reached. A scenario says how its peers are set up and driven."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import load
from benchmarks.load import Drive, Shot
from benchmarks.measure import KIB_PER_MIB, cpu_seconds, memory
from benchmarks.mesh import Setup, farthest_path
from benchmarks.peers import Peer
from benchmarks.reload import shoot_reload
from benchmarks.results import Bar, Figures
from benchmarks.tools import shoot_tools

RATE = 5000.0
IDLE = 5000
ALL = ("meshproxy", "envoy", "haproxy", "nginx", "relay")
HTTP = ALL[:-1]
PAIR = ALL[:2]
PLAIN = Setup()


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a measurement lasts and how often it is repeated."""

    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the report; `fresh` starts the peer anew for each round."""

    name: str
    title: str
    shoot: Callable[[Peer, Pace], Figures]
    setup: Setup = PLAIN
    peers: tuple[str, ...] = ALL
    fresh: bool = False


def measured(peer: Peer, put_load: Callable[[], Shot]) -> Figures:
    """Puts load on a peer and reads what it cost from the operating system."""
    pids = peer.pids()
    before = cpu_seconds(pids)
    shot = put_load()
    spent = cpu_seconds(pids) - before
    if not shot.requests:
        raise RuntimeError(f"{peer.name} answered no request ({shot.failed} failed)")
    used = memory(pids)
    return {
        "requests": float(shot.requests),
        "cpu_us": spent * 1e6 / shot.requests,
        "rps": shot.requests / shot.seconds,
        "failed": float(shot.failed),
        "rss_mib": used.rss,
        "pss_mib": used.pss,
        "peak_mib": used.peak,
        **{f"{name}_ms": value for name, value in shot.latency.items()},
    }


def driven(drive: Drive) -> Callable[[Peer, Pace], Figures]:
    return lambda peer, pace: measured(peer, lambda: load.wrk(peer.port, drive, pace.seconds))


def steady(peer: Peer, pace: Pace) -> Figures:
    return measured(peer, lambda: load.steady(peer.port, RATE, pace.seconds))


def idle(peer: Peer, _pace: Pace) -> Figures:
    load.wrk(peer.port, Drive(), 1.0)
    before = memory(peer.pids())
    with load.idle_connections(peer.port, IDLE):
        after = memory(peer.pids())
    growth = (after.pss - before.pss) * KIB_PER_MIB / IDLE
    return {"idle_kib": growth, "rss_mib": after.rss, "pss_mib": after.pss, "peak_mib": after.peak}


def cold_start(peer: Peer, _pace: Pace) -> Figures:
    return {"start_ms": peer.started_in * 1000}


def with_routes(count: int) -> Scenario:
    setup = Setup(routes=count)
    shoot = driven(Drive(path=farthest_path(setup)))
    return Scenario(name=f"routes-{count}", title=f"{count:,} routes", shoot=shoot, setup=setup, peers=PAIR)


def plain(name: str, title: str, **drive: object) -> Scenario:
    return Scenario(name=name, title=title, shoot=driven(Drive(**drive)))  # type: ignore[arg-type]


def edge(name: str, title: str, kind: str, peers: tuple[str, ...], **drive: object) -> Scenario:
    shoot = driven(Drive(**drive))  # type: ignore[arg-type]
    return Scenario(name=name, title=title, shoot=shoot, setup=Setup(edge=kind), peers=peers)


SCENARIOS: tuple[Scenario, ...] = (
    plain("small", "small GET, 50 connections kept alive"),
    plain("unique", "unique paths and request ids", script="unique"),
    plain("headers-20", "20 headers", script="headers20"),
    Scenario(name="access-log", title="access log on", shoot=driven(Drive()), setup=Setup(access_log=True), peers=HTTP),
    plain("connections-1", "1 connection", connections=1),
    plain("connections-500", "500 connections", connections=500),
    plain("response-10k", "10 KiB response", path="/bytes/10240"),
    plain("response-1m", "1 MiB response", path="/bytes/1048576"),
    plain("post-10k", "10 KiB POST", script="post"),
    plain("new-connection", "a new connection per request", close=True),
    edge("tls", "small GET over TLS", "tls", ("meshproxy", "envoy", "nginx"), secure=True),
    edge("tunnel", "TCP passed on, small messages", "tcp", ("meshproxy", "relay")),
    edge("tunnel-1m", "TCP passed on, 1 MiB messages", "tcp", ("meshproxy", "relay"), path="/bytes/1048576"),
    with_routes(1_000),
    with_routes(10_000),
    Scenario(name="rate", title=f"constant rate, {RATE:,.0f}/s", shoot=steady),
    Scenario(
        name="workers-2",
        title="two workers",
        shoot=driven(Drive()),
        peers=("meshproxy", "meshproxy×2", "envoy", "envoy×2"),
    ),
    Scenario(name="idle", title=f"{IDLE:,} idle connections", shoot=idle, peers=HTTP, fresh=True),
    Scenario(name="cold-start", title="cold start to LIVE", shoot=cold_start, peers=PAIR, fresh=True),
    Scenario(
        name="reload",
        title="reload of 1,000 VirtualServices, 1,000 DestinationRules, 10,000 endpoints under load",
        shoot=lambda peer, _pace: shoot_reload(peer),
        setup=Setup(services=1_000),
        peers=("meshproxy",),
        fresh=True,
    ),
    Scenario(
        name="tools",
        title="check and explain",
        shoot=lambda _peer, _pace: shoot_tools(),
        peers=("meshproxy",),
        fresh=True,
    ),
)


def _cpu(scenario: str, limit: float) -> Bar:
    title = next(each.title for each in SCENARIOS if each.name == scenario)
    return Bar(title=f"{title}: CPU ÷ Envoy", scenario=scenario, figure="cpu_us", limit=limit, over="envoy")


def _own(scenario: str, title: str) -> Bar:
    return Bar(title=title, scenario=scenario, figure="cpu_us", limit=1.10, over="meshproxy", over_scenario="small")


def _tunnel(scenario: str) -> Bar:
    title = next(each.title for each in SCENARIOS if each.name == scenario)
    return Bar(
        title=f"{title}: throughput ÷ relay", scenario=scenario, figure="rps", limit=0.90, over="relay", at_least=True
    )


BARS: tuple[Bar, ...] = (
    *(_cpu(name, 0.70) for name in ("small", "unique", "headers-20", "access-log", "connections-1")),
    *(_cpu(name, 0.70) for name in ("response-10k", "post-10k")),
    _cpu("connections-500", 0.50),
    _cpu("response-1m", 0.90),
    _cpu("new-connection", 1.30),
    *(_tunnel(name) for name in ("tunnel", "tunnel-1m")),
    _cpu("routes-1000", 0.50),
    _cpu("routes-10000", 0.12),
    _own("routes-1000", "1,000 routes: CPU ÷ our own small GET"),
    _own("routes-10000", "10,000 routes: CPU ÷ our own small GET"),
    Bar(title=f"p99 at {RATE:,.0f}/s ÷ Envoy", scenario="rate", figure="p99_ms", limit=1.0, over="envoy"),
    Bar(title="resident memory after small GETs ÷ Envoy", scenario="small", figure="rss_mib", limit=0.75, over="envoy"),
    Bar(title=f"resident memory, {IDLE:,} idle ÷ Envoy", scenario="idle", figure="rss_mib", limit=0.75, over="envoy"),
    Bar(title="an idle connection", scenario="idle", figure="idle_kib", limit=6.0, unit="KiB"),
    Bar(title="cold start to LIVE", scenario="cold-start", figure="start_ms", limit=500.0, unit="ms"),
    Bar(
        title="two workers ÷ one, requests per second (needs free cores)",
        scenario="workers-2",
        figure="rps",
        limit=1.7,
        of="meshproxy×2",
        over="meshproxy",
        at_least=True,
        cores=4,
    ),
    Bar(title="big reload: complete within", scenario="reload", figure="reload_s", limit=5.0, unit="s", summary=max),
    Bar(title="big reload: failed requests", scenario="reload", figure="failed", limit=0.0, summary=max),
    Bar(title="check on 1,000 resources", scenario="tools", figure="check_ms", limit=2000.0, unit="ms"),
    Bar(title="explain, from a cold start", scenario="tools", figure="explain_ms", limit=300.0, unit="ms"),
    Bar(title="big reload: added delay", scenario="reload", figure="delay_ms", limit=50.0, unit="ms", summary=max),
)
