"""Why a connection goes where it goes: its filter chain, and where the bytes are passed on to, decided by the tables
that serve (`StreamTable`, `ConnectTable`).

`explain_stream` asks `StreamTable.find` and adds the reasons; it matches nothing by itself. What HTTP there is behind a
chain is `plan.explain`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from meshproxy.base.addresses import is_ip
from meshproxy.base.origin import Origin
from meshproxy.plan.explain_target import Reply, Target, behind_gateways, meant, target_of
from meshproxy.plan.listener import Listener
from meshproxy.plan.route import Line, Skipped
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.stream_table import Chain, Network, StreamTable

CLOSED = 0
"""The status of what ends without a word of HTTP."""


class Speaks(Enum):
    """What a client begins with. ANY: what the port is for."""

    TLS = "TLS"
    HTTP = "HTTP"
    BYTES = "TCP"
    ANY = "ANY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What a client opens: to `host` and `port`, where `connects` by a CONNECT that names them."""

    host: str  # in lower case, without brackets
    port: int
    speaks: Speaks
    connects: bool = False
    by_method: bool = False  # the CONNECT is what was asked about

    @property
    def server_name(self) -> str:
        """The SNI: clients leave it out where they know an address alone."""
        return self.host if self.speaks is Speaks.TLS and not is_ip(self.host) else ""


@dataclass(frozen=True, slots=True)
class ChainRung:
    """One filter chain (or match that can take nothing here) that was asked; `reason` is empty where it was chosen."""

    of: Chain | Skipped
    reason: str = ""
    line: Line | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDecision:
    """`chain` None: none takes the connection. `reply`: how it ends, with CLOSED where nothing is said; None: its bytes
    are passed on, or HTTP is answered by the listener `chain.http`."""

    connection: Connection
    listener: Listener | None
    found_by: str = ""  # why this table, where a CONNECT chooses it
    considered: tuple[ChainRung, ...] = ()
    chain: Chain | None = None
    chosen_by: str = ""
    targets: tuple[Target, ...] = ()
    reply: Reply | None = None


def explain_stream(snapshot: Snapshot, listener: Listener, connection: Connection) -> StreamDecision:
    """What `listener` does with `connection`, and why."""
    made = decide_stream(snapshot, listener, connection)
    table = table_of(listener, connection)
    if table is None:
        return replace(made, reply=Reply(404, "NR", _why_no_service(snapshot, listener, connection)))
    chain, connection = made.chain, made.connection
    found = chain_of(table, connection)
    return replace(
        made,
        found_by=_found_by(listener, table, connection) if connection.connects else "",
        considered=tuple(_rungs(table, found, connection)),
        chosen_by=_chosen_by(table, chain, connection) if chain is not None else "",
        reply=made.reply if chain is not None else Reply(CLOSED, "NR", _why_no_chain(table, connection)),
    )


def decide_stream(snapshot: Snapshot, listener: Listener, connection: Connection) -> StreamDecision:
    """The same without the reasons."""
    table = table_of(listener, connection)
    if table is None:
        return StreamDecision(connection=connection, listener=listener, reply=Reply(404, "NR", ""))
    if connection.speaks is Speaks.ANY:
        connection = replace(connection, speaks=_usual(table))
    chain = chain_of(table, connection)
    if chain is None or not (chain.http or chain.tunnel):
        return StreamDecision(connection=connection, listener=listener, reply=Reply(CLOSED, "NR", ""))
    destinations = chain.tunnel.action.destinations if chain.tunnel is not None else ()
    targets = tuple(target_of(each, snapshot.clusters) for each in destinations)
    reply = _end(chain, targets, connection)
    return StreamDecision(connection=connection, listener=listener, chain=chain, targets=targets, reply=reply)


def table_of(listener: Listener, connection: Connection) -> StreamTable | None:
    """Where its chain is looked for; None: a CONNECT that leads nowhere."""
    if connection.connects:
        return listener.connected(connection.host, connection.port)
    return listener.streams or StreamTable((Chain(http=listener.name, origin=listener.origin),))


def chain_of(table: StreamTable, connection: Connection) -> Chain | None:
    """The chain `connection` gets, as `proxy.front` finds it."""
    if table.http and connection.speaks is Speaks.HTTP:
        return Chain(http=table.http)
    # who need not wait for the client does not see what it says
    is_tls = table.needs_hello and connection.speaks is Speaks.TLS
    name = connection.server_name if is_tls else ""
    return table.find(name, is_tls=is_tls, destination=connection.host if connection.connects else "")


def _usual(table: StreamTable) -> Speaks:
    """What the clients of such a port speak."""
    if table.http or any(chain.http for chain in table.chains if not chain.is_tls):
        return Speaks.HTTP
    return Speaks.TLS if table.needs_hello else Speaks.BYTES


def _end(chain: Chain, targets: tuple[Target, ...], connection: Connection) -> Reply | None:
    if chain.http and chain.tls is None and connection.speaks is not Speaks.HTTP:
        return Reply(400, "DPE", f"HTTP is read here, and {connection.speaks.value} is none")
    if targets and all(target.flag for target in targets):
        return Reply(CLOSED, targets[0].flag, targets[0].cause)
    return None


# ---- chains


def _rungs(table: StreamTable, found: Chain | None, connection: Connection) -> Iterator[ChainRung]:
    """Everything up to and with `found`, in the order written."""
    if found is not None and all(chain is not found for chain in table.chains):
        yield ChainRung(found)  # HTTP, whatever the chains say
        return
    skipped = list(table.skipped)
    for number, chain in enumerate(table.chains):
        while skipped and skipped[0].before <= number:
            yield _passed(skipped.pop(0))
        if chain is found:
            yield ChainRung(chain)
            return
        yield ChainRung(chain, *_why_not(table, chain, found, connection))
    yield from map(_passed, skipped)


def _passed(match: Skipped) -> ChainRung:
    return ChainRung(match, match.reason, match.line)


def _why_not(table: StreamTable, chain: Chain, found: Chain | None, connection: Connection) -> tuple[str, Line | None]:
    """The first condition of `chain` that fails, in words, and where it is written."""
    lines = iter(chain.lines)
    line = next(lines, None) if chain.networks else None
    network = table.network_of(connection.host if connection.connects else "")
    if chain.networks if network is None else network not in chain.networks:
        return _other_network(chain, network, connection), line
    line = next(lines, None)
    if chain.is_tls and not (table.needs_hello and connection.speaks is Speaks.TLS):
        return f"wanted TLS, got {connection.speaks.value}", line
    wanted, got = named(chain), connection.server_name or "a client without SNI"
    covering = _covering(chain.server_names, connection.server_name)
    if covering is None:
        return f"{wanted}: wanted {_list(chain.server_names)}, got {got}", line
    nearer = _covering(found.server_names, connection.server_name) if found is not None else None
    return f"{wanted}: {covering} covers {got}, but {nearer} is more exact", line


def _other_network(chain: Chain, decided: Network | None, connection: Connection) -> str:
    wanted = _list([str(each) for each in chain.networks]) if chain.networks else "none"
    got = connection.host if connection.connects and is_ip(connection.host) else ""
    if not got:
        got = f"the name {connection.host}" if connection.connects else "no address that a client could name"
    why = f", which {decided} holds more narrowly" if decided is not None else ""
    return f"destinationSubnets: wanted {wanted}, got {got}{why}"


def named(chain: Chain) -> str:
    """What the names of `chain` are called where they are written."""
    if chain.tls is not None:
        return "hosts"
    resource = chain.origin.resource if chain.origin is not None else ""
    return "sniHosts" if resource.startswith("VirtualService ") else "SNI"


def _covering(names: Iterable[str], asked: str) -> str | None:
    """The most exact of `names` that covers `asked`; no names cover all."""
    names = tuple(names) or ("*",)
    if asked in names:
        return asked
    wild = [name for name in names if name.startswith("*.") and asked.endswith(name[1:]) and len(asked) >= len(name)]
    return max(wild, key=len) if wild else "*" if "*" in names else None


def _chosen_by(table: StreamTable, chain: Chain, connection: Connection) -> str:
    """Which of what it asks for the connection has."""
    if table.http and chain.http:
        return "it turns out to be HTTP"
    parts = []
    network = table.network_of(connection.host if connection.connects else "")
    if network is not None:
        parts.append(f"{network} holds {connection.host}")
    if chain.server_names:
        name = connection.server_name
        covering = _covering(chain.server_names, name)
        parts.append(f"{covering} covers {name or 'a client without SNI'}" if covering != name else f"SNI is {name}")
    return ", ".join(parts) or "takes any connection"


def _why_no_chain(table: StreamTable, connection: Connection) -> str:
    if not table.chains:
        return "no rule is for this port"
    if connection.speaks is not Speaks.TLS and all(chain.is_tls for chain in table.chains):
        return "the connection is not TLS"
    name = connection.server_name
    if not name:
        return "no server is for a client without SNI"
    names = [each for chain in table.chains for each in chain.server_names]
    return f"no server is for {name}{meant(name, names)}"


# ---- CONNECT


def _found_by(listener: Listener, table: StreamTable, connection: Connection) -> str:
    """By what the connect table has found the port."""
    connect, host, port = listener.connect, connection.host, connection.port
    if connect is not None and table is connect.rest:
        return f"no service has {host}:{port}, and ALLOW_ANY lets it through"
    entry = next((each for each in connect.entries if each.table is table), None) if connect is not None else None
    if entry is None:
        return f"{host}:{port} is an HTTP port: what is behind the CONNECT is HTTP again"
    if host in entry.names:
        return f"{host} is one of its names"
    if is_ip(host):
        return f"one of its networks holds {host}"
    return f"{_covering(entry.names, host) or 'one of its names'} covers {host}"


def _why_no_service(snapshot: Snapshot, listener: Listener, connection: Connection) -> str:
    host, port = connection.host, connection.port
    if listener.connect is None:
        return f"{listener.name} is no forward proxy: CONNECT is not understood"
    entries = listener.connect.entries
    ports = {each.port for each in entries if host in each.names}
    ports |= {each.port for each in listener.virtual_hosts.hosts if f"{host}:{each.port}" in each.domains}
    if ports:
        return f"{host} has no port {port}; it has {', '.join(map(str, sorted(ports)))}"
    names = [name for each in entries for name in each.names]
    names += [name for each in listener.virtual_hosts.hosts for name in each.domains if ":" not in name]
    gateways = behind_gateways(name for each in _gateways_for(snapshot, connection) for name in each.gateways)
    return f"no service has {host}:{port}{gateways or meant(host, names)}"


def _gateways_for(snapshot: Snapshot, connection: Connection) -> Iterator[Listener]:
    """Those with a server of that port and name."""
    for each in snapshot.listeners:
        if each.is_gateway and each.streams is not None and each.server_port == connection.port:
            found = each.streams.find(connection.host, is_tls=True)
            if found is not None and found.server_names:
                yield each


def _list(names: Iterable[str]) -> str:
    return " or ".join(names) or "any"


def stream_source(decision: StreamDecision) -> Origin | None:
    """Where the rule that was chosen is written, else the server."""
    chain = decision.chain
    if chain is None:
        return None
    return (chain.tunnel.origin if chain.tunnel is not None else None) or chain.origin
