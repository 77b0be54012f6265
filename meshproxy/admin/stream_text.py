"""The decision about a connection as a ladder for people: its filter chain, why it got that one, where the bytes go."""

from __future__ import annotations

import re
from collections.abc import Iterable

from meshproxy.admin.ladder import BOLD, DIM, Ladder, place, policy_text
from meshproxy.admin.target_json import NOBODY, UNUSED, Live
from meshproxy.base.units import duration_text
from meshproxy.control.in_use import Breakers
from meshproxy.plan.cluster import Cluster
from meshproxy.plan.explain_stream import CLOSED, ChainRung, Connection, Speaks, StreamDecision, stream_source
from meshproxy.plan.server_tls import ServerTls
from meshproxy.plan.stream_table import Chain

_MOST_PASSED = 12
"""So many chains that were not chosen are listed: AUTO_PASSTHROUGH has one for every cluster."""
_SERVER = re.compile(r"spec\.servers\[(\d+)\]")
_THEN = {
    Speaks.TLS: "TLS for {}",
    Speaks.HTTP: "HTTP",
    Speaks.BYTES: "bytes of its own",
    Speaks.ANY: "whatever it likes",
}


class _Streams(Ladder):
    """The ladder of one connection."""

    def cluster_more(self, cluster: Cluster) -> Iterable[tuple[str, str]]:
        yield "connect", f"within {duration_text(cluster.connect_timeout)}"
        yield "idle", f"closed after {duration_text(cluster.stream_idle_timeout)}"
        if cluster.tls is None:
            yield "tls", "none of ours: bytes as they come"


def stream_text(
    decision: StreamDecision, *, color: bool = False, live: Live = NOBODY, breakers: Breakers = UNUSED
) -> str:
    """The ladder of `decision`."""
    ladder = _Streams(color=color, live=live, breakers=breakers)
    ladder.line(ladder.paint(_asked(decision.connection), BOLD))
    ladder.line()
    put_front(ladder, decision)
    chain = decision.chain
    if chain is not None and decision.connection.connects:
        ladder.put("answers", "200 to the CONNECT, before anybody is called")
    if decision.reply is not None:
        closed = decision.reply.status == CLOSED
        label, said = ("closes", "the connection") if closed else ("answers", str(decision.reply.status))
        ladder.reply(label, decision.reply, said)
    if chain is not None and chain.tunnel is not None:
        for target in decision.targets:
            ladder.target(target, chain.tunnel.action)
    elif chain is not None and decision.reply is None:
        ladder.put("behind it", f"HTTP, answered by the listener {chain.http}")
        ladder.put("", f"ask for http://{_authority(decision.connection)}/ to see how", code=DIM)
    return ladder.text


def put_front(ladder: Ladder, decision: StreamDecision) -> None:
    """How the connection got its chain, and the TLS that ends there."""
    listener, chain = decision.listener, decision.chain
    if listener is not None:
        gateways = f", Gateway {', '.join(listener.gateways)}" if listener.is_gateway else ""
        ladder.put("listener", f"{listener.name}{gateways}")
    if decision.found_by:
        service = chain.tunnel.service if chain is not None and chain.tunnel is not None else ""
        ladder.put("connects to", service or _authority(decision.connection))
        ladder.put("", decision.found_by, code=DIM)
    at = stream_source(decision)
    if at is not None and at.resource.startswith("VirtualService "):
        ladder.put("governed by", at.resource)
        ladder.put("", str(at), code=DIM)
    ladder.line()
    passed = [rung for rung in decision.considered if rung.reason]
    for rung in passed[:_MOST_PASSED]:
        _put_rung(ladder, rung, decision)
    if len(passed) > _MOST_PASSED:
        ladder.put("", f"and {len(passed) - _MOST_PASSED} more that do not take it", code=DIM)
    for rung in decision.considered[len(passed) :]:
        _put_rung(ladder, rung, decision)
    if decision.considered:
        ladder.line()
    if chain is not None and chain.tls is not None:
        ladder.put("tls", *terminated(chain.tls))
        ladder.line()


def _asked(connection: Connection) -> str:
    if connection.connects:
        return f"CONNECT {_authority(connection)}, then {_THEN[connection.speaks].format(connection.host)}"
    return connection_text(connection)


def connection_text(connection: Connection) -> str:
    """The URL that asks for it."""
    return f"{'tls' if connection.speaks is Speaks.TLS else 'tcp'}://{_authority(connection)}"


def _authority(connection: Connection) -> str:
    host = f"[{connection.host}]" if ":" in connection.host else connection.host
    return f"{host}:{connection.port}"


def _put_rung(ladder: Ladder, rung: ChainRung, decision: StreamDecision) -> None:
    origin = rung.of.origin
    where = f"{rung.line[0]}:{rung.line[1]}" if rung.line is not None else place(origin)
    label, name = "default", "HTTP" if isinstance(rung.of, Chain) and rung.of.http else "the service itself"
    if origin is not None and origin.rule is not None:
        label, name = f"rule {origin.rule}", origin.resource
        if rung.of.match_index:
            label += f".{rung.of.match_index}"
    elif origin is not None:
        server = _SERVER.match(origin.path)
        label, name = (f"server {server[1]}", origin.resource) if server else ("cluster", origin.resource)
    ladder.rung(label, name, rung.reason, decision.chosen_by, where)


def terminated(tls: ServerTls) -> Iterable[str]:
    """What a client meets whose TLS ends here."""
    ends = f"ends here, {tls.minimum} to {tls.maximum}" if tls.minimum != tls.maximum else f"ends here, {tls.maximum}"
    alpn = f", ALPN {' or '.join(tls.alpn)}" if tls.alpn else ""
    yield f"{ends}{alpn}, client certificate {policy_text(tls.clients)}"
    names = ", ".join(pair.name for pair in tls.pairs)
    yield f"certificate {names}" if names else "no certificate is known here: without one the connection is closed (NR)"
