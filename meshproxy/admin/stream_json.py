"""The decision about a connection as JSON: the keys of a request's, those that mean nothing here null, and its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshproxy.admin.target_json import NOBODY, UNUSED, Live, destination_json
from meshproxy.base.units import duration_text
from meshproxy.control.in_use import Breakers
from meshproxy.plan.cluster import Cluster
from meshproxy.plan.explain_stream import CLOSED, ChainRung, StreamDecision, stream_source
from meshproxy.plan.explain_target import Target
from meshproxy.plan.server_tls import ServerTls
from meshproxy.plan.stream_table import Chain

_OF_REQUESTS = ("timeout", "retries", "fault", "rewrite")


def stream_json(decision: StreamDecision, live: Live = NOBODY, breakers: Breakers = UNUSED) -> dict[str, Any]:
    """`status` is null where the connection is closed without an answer; `cause` says why."""
    at, reply, chain = stream_source(decision), decision.reply, decision.chain
    resource = at.resource if at is not None else ""
    targets = decision.targets
    return {
        "virtual_host": None,
        "virtual_service": resource.partition(" ")[2] if resource.startswith("VirtualService ") else None,
        "rule": at.rule if at is not None else None,
        "rule_name": None,
        "source": {"file": at.file, "line": at.line} if at is not None else None,
        "considered": [_rung(rung) for rung in decision.considered],
        "action": _action(decision),
        "destinations": [destination_json(each, len(targets), live, breakers) | _stream_of(each) for each in targets],
        "status": _status(decision),
        "flag": (reply.flag or None) if reply is not None else None,
        **dict.fromkeys(_OF_REQUESTS),
        "mirrors": [],
        "redirect": None,
        "cause": reply.cause if reply is not None else None,
        "http": chain.http or None if chain is not None and reply is None else None,
        **front_json(decision),
    }


def front_json(decision: StreamDecision) -> dict[str, Any]:
    """How the connection got its filter chain."""
    listener, chain = decision.listener, decision.chain
    return {
        "listener": listener.name if listener is not None else None,
        "server_name": decision.connection.server_name or None,
        "filter_chain": _chain(chain) if chain is not None else None,
    }


def chain_rungs(decision: StreamDecision) -> list[dict[str, Any]]:
    return [_rung(rung) for rung in decision.considered]


def _action(decision: StreamDecision) -> str:
    """Of a connection that comes to nothing: none."""
    if decision.chain is None or (decision.reply is not None and not decision.targets):
        return "none"
    return "connect" if decision.connection.by_method else decision.connection.speaks.value.lower()


def _status(decision: StreamDecision) -> int | None:
    reply = decision.reply
    if reply is not None and reply.status != CLOSED:
        return reply.status
    return 200 if decision.connection.by_method else None


def _rung(rung: ChainRung) -> dict[str, Any]:
    origin = rung.of.origin
    where = f" ({rung.line[0]}:{rung.line[1]})" if rung.line is not None else ""
    return {
        "rule": origin.rule if origin is not None else None,
        "match": rung.of.match_index,
        "matched": not rung.reason,
        "reason": rung.reason + where if rung.reason else None,
        "resource": origin.resource if origin is not None else None,
    }


def _chain(chain: Chain) -> dict[str, Any]:
    at = chain.origin
    return {
        "server_names": list(chain.server_names),
        "networks": [str(each) for each in chain.networks],
        "source": {"file": at.file, "line": at.line} if at is not None else None,
        "tls": _tls(chain.tls) if chain.tls is not None else None,
    }


def _tls(tls: ServerTls) -> Mapping[str, Any]:
    return {
        "certificates": [pair.name for pair in tls.pairs],
        "client_certificate": tls.clients.value,
        "minimum": tls.minimum,
        "maximum": tls.maximum,
        "alpn": list(tls.alpn),
    }


def _stream_of(target: Target) -> dict[str, Any]:
    """What a stream has that a request has not."""
    cluster = target.cluster
    return _times(cluster) if cluster is not None else {}


def _times(cluster: Cluster) -> dict[str, Any]:
    return {
        "tls": cluster.tls.mode if cluster.tls is not None else None,
        "connect_timeout": duration_text(cluster.connect_timeout),
        "idle_timeout": duration_text(cluster.stream_idle_timeout),
    }
