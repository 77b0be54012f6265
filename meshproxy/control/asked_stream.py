"""Whatever is asked about: a request, or a connection of which only its first bytes say something.

`tcp://` and `tls://`, a CONNECT, and what an `https://` URL meets before there is a request. On the mesh listener
connections come by CONNECT: it is a forward proxy, and nothing else brings bytes to it.
"""

from __future__ import annotations

from dataclasses import replace

from meshproxy.control.asked import CONNECT, Asked, AskedError, answer_on, answer_to, at_port, mesh_of
from meshproxy.plan.explain import Decision
from meshproxy.plan.explain_stream import CLOSED, Connection, Speaks, StreamDecision, explain_stream
from meshproxy.plan.explain_target import Reply
from meshproxy.plan.listener import Listener
from meshproxy.plan.snapshot import Snapshot

_SPEAKS = {"tls": Speaks.TLS, "https": Speaks.TLS, "tcp": Speaks.BYTES}
_NO_CONNECT = "a gateway is no forward proxy: it does not understand CONNECT"


def decision_on(snapshot: Snapshot, asked: Asked) -> Decision | StreamDecision:
    """What becomes of a request or a connection."""
    connects = asked.method == CONNECT
    if asked.gateway:
        return _at_gateway(snapshot, asked)
    if connects or asked.parts[0] in ("tcp", "tls") or _passes_tls(snapshot, asked):
        return explain_stream(snapshot, mesh_of(snapshot), _connection(asked, connects=True))
    return answer_to(snapshot, asked)


def _connection(asked: Asked, *, connects: bool = False) -> Connection:
    host, port = asked.place
    if not port:
        raise AskedError(f"which port of {host}? {asked.parts[0]}://{host}:PORT")
    return Connection(
        host=host,
        port=port,
        speaks=_SPEAKS.get(asked.written[0], Speaks.ANY),
        connects=connects,
        by_method=asked.method == CONNECT,
    )


def _passes_tls(snapshot: Snapshot, asked: Asked) -> bool:
    """Whether an https URL is for a port whose bytes are passed on as they are."""
    found = mesh_of(snapshot).connected(*asked.place) if asked.parts[0] == "https" else None
    return found is not None and not any(chain.http for chain in found.chains)


def _at_gateway(snapshot: Snapshot, asked: Asked) -> Decision | StreamDecision:
    scheme = asked.parts[0]
    listeners = [each for each in snapshot.listeners if asked.gateway in each.gateways]
    found = at_port(listeners, asked.place[1])
    if asked.method == CONNECT and listeners:
        reply = Reply(501, "DPE", _NO_CONNECT)
        return StreamDecision(connection=_connection(asked, connects=True), listener=found, reply=reply)
    if scheme in ("tcp", "tls"):
        return _stream_at_gateway(snapshot, asked, listeners, found)
    if found is None or not (scheme == "https" or _ends_tls(found)):
        return answer_to(snapshot, asked)
    connection = _connection(asked)
    if scheme == "http":
        connection = replace(connection, speaks=Speaks.HTTP)
    front = explain_stream(snapshot, found, connection)
    behind = {each.name: each for each in found.behind}
    listener = behind.get(front.chain.http) if front.chain is not None else None
    return replace(answer_on(snapshot, listener, asked), front=front) if listener is not None else front


def _ends_tls(listener: Listener) -> bool:
    return listener.streams is not None and any(chain.is_tls for chain in listener.streams.chains)


def _stream_at_gateway(
    snapshot: Snapshot, asked: Asked, listeners: list[Listener], found: Listener | None
) -> StreamDecision:
    if not listeners:
        known = sorted({name for each in snapshot.listeners for name in each.gateways})
        raise AskedError(f"no Gateway {asked.gateway} is served here; there is {', '.join(known) or 'none'}")
    connection = _connection(asked)
    if found is not None:
        return explain_stream(snapshot, found, connection)
    ports = ", ".join(str(each.server_port) for each in listeners)
    cause = f"nothing listens on port {connection.port}: Gateway {asked.gateway} has {ports}"
    return StreamDecision(connection=connection, listener=None, reply=Reply(CLOSED, "", cause))
