"""A connection to an endpoint for bytes as they are: counted against its cluster's limit, opened as any other."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from meshproxy.base.errors import Kind, ProxyError, Side
from meshproxy.upstream.breaker import Resource
from meshproxy.upstream.cluster import LiveCluster
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.opening import ANY, Ends, open_connection
from meshproxy.upstream.policed import PolicedCluster
from meshproxy.upstream.tls import Contexts
from meshproxy.upstream.tunnel import Asking, asked

P = TypeVar("P", bound=asyncio.Protocol)


def admit(cluster: LiveCluster) -> Resource | None:
    """One more connection to `cluster`: what is to be given back when it ends, None where nobody counts. Raises
    ProxyError(OVERFLOW)."""
    if not isinstance(cluster, PolicedCluster):
        return None
    breaker = cluster.breaker
    if breaker.connections.full():
        breaker.connection_overflow.add()
        raise ProxyError(Kind.OVERFLOW, Side.LOCAL, "overflow")
    breaker.connections.take()
    return breaker.connections


async def open_stream(
    cluster: LiveCluster, endpoint: LiveEndpoint, protocol: P, *, host: str, source: str, local: str
) -> P:
    """`host` is whom the client asked for, `source` and `local` the ends of its connection (`ip:port`): what TLS and
    a PROXY header to the endpoint may need. Raises ProxyError CONNECT_FAILURE or CONNECT_TIMEOUT."""
    purpose, contexts = cluster.purpose(host.encode(), Ends(local, source)) or ANY, Contexts()
    if isinstance(cluster, PolicedCluster):
        contexts = cluster.contexts
    tunnel = cluster.plan.tunnel
    if tunnel is None:
        await open_connection(cluster.plan, endpoint, purpose, contexts, lambda: protocol)
    else:
        asking = await open_connection(cluster.plan, endpoint, purpose, contexts, lambda: Asking(tunnel, protocol))
        await asked(asking, cluster.plan.connect_timeout)
    if isinstance(cluster, PolicedCluster):
        cluster.connected(endpoint)
    return protocol
