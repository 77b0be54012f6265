"""What two snapshots do differently with connections: filter chains and tunnels, each with a connection that shows it.

Every chain is asked for by its own names and networks, on both sides; what HTTP there is behind one is `changes`'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meshproxy.admin.stream_text import connection_text
from meshproxy.cli.outcome import Outcome, differences, stream_outcome
from meshproxy.plan.explain_stream import Connection, Speaks, StreamDecision, decide_stream
from meshproxy.plan.listener import Listener
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.stream_table import Chain, StreamTable

_PATH = re.compile(r"spec\.(tls|tcp|servers)\[(\d+)\](?:\.match\[(\d+)\])?")
_WORDS = {"tls": "tls rule", "tcp": "tcp rule", "servers": "server"}
_ANY = "any-host.example"
"""Stands for a name that is asked for where any will do."""
_NOBODY: Outcome = {"ends": "nothing listens there"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChange:
    """One rule or server. `kind` is added, removed or changed; `connection` shows it."""

    kind: str
    rule: str
    place: str
    listener: str
    connection: str
    differences: dict[str, tuple[str, str]]


def stream_changes(old: Snapshot, new: Snapshot) -> list[StreamChange]:
    """All chains of which a connection tells, each once."""
    found: dict[object, StreamChange] = {}
    before, after = _listeners(old), _listeners(new)
    # witnesses of the new side first: what is new is shown by its own
    asked = dict.fromkeys([*_witnesses(after), *_witnesses(before)])
    for name, connection in asked:
        was, now = (_decided(side, of, name, connection) for side, of in ((old, before), (new, after)))
        told = differences(_outcome(was), _outcome(now))
        taker = _chain(now) or _chain(was)
        if told and taker is not None:
            change = StreamChange(
                kind="added" if _chain(was) is None else "removed" if _chain(now) is None else "changed",
                rule=_rule(taker),
                place=str(taker.origin or ""),
                listener=name,
                connection=connection_text(connection),
                differences=told,
            )
            found.setdefault((name, *(_rule(each) for each in (_chain(was), _chain(now)) if each)), change)
    return list(found.values())


def _listeners(snapshot: Snapshot) -> dict[str, Listener]:
    return {each.name: each for each in snapshot.listeners}


def _decided(
    snapshot: Snapshot, listeners: dict[str, Listener], name: str, connection: Connection
) -> StreamDecision | None:
    listener = listeners.get(name)
    return decide_stream(snapshot, listener, connection) if listener is not None else None


def _outcome(decision: StreamDecision | None) -> Outcome:
    return stream_outcome(decision) if decision is not None else _NOBODY


def _chain(decision: StreamDecision | None) -> Chain | None:
    """The chain it gets, unless all it says is that HTTP is read."""
    chain = decision.chain if decision is not None else None
    return chain if chain is not None and (chain.tunnel is not None or chain.tls is not None) else None


def _rule(chain: Chain) -> str:
    """`default/mongo tcp rule 0`, or whose own way it is."""
    origin = chain.origin
    found = _PATH.match(origin.path) if origin is not None else None
    if origin is None or found is None:
        return f"{chain.tunnel.service if chain.tunnel is not None else chain.http} (the service's own route)"
    match = f".{found[3]}" if found[3] not in (None, "0") else ""
    return f"{origin.resource.rpartition(' ')[2]} {_WORDS[found[1]]} {found[2]}{match}"


# ---- connections


def _witnesses(listeners: dict[str, Listener]) -> Iterator[tuple[str, Connection]]:
    for name, listener in listeners.items():
        if listener.streams is not None:
            for host, speaks in _asked(listener.streams, ()):
                yield name, Connection(host=host, port=listener.server_port, speaks=speaks)
        for entry in listener.connect.entries if listener.connect is not None else ():
            for host, speaks in _asked(entry.table, entry.names[:1]):
                yield name, Connection(host=host, port=entry.port, speaks=speaks, connects=True)


def _asked(table: StreamTable, names: Iterable[str]) -> Iterator[tuple[str, Speaks]]:
    """Hosts, and what is spoken, that reach every chain of `table`, as far as hosts do."""
    for chain in table.chains:
        hosts = [*names, *(str(network[min(1, network.num_addresses - 1)]) for network in chain.networks)]
        for host in (*hosts, *chain.server_names) or (_ANY,):
            named = _ANY if host == "*" else host.replace("*", "any", 1)
            if table.needs_hello:
                yield named, Speaks.TLS
            if not chain.is_tls:
                yield named, Speaks.BYTES
