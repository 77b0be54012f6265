"""What of a plan the export leaves out, each with the place where it is written: nothing is dropped without a word.

CONNECT on the mesh listener is not written by anybody, and is left out always.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.origin import Origin
from meshproxy.plan.cluster import Cluster, Resolution
from meshproxy.plan.listener import Listener
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.upstream_tls import Pem

Gap = tuple[str, Origin | None]


def export_gaps(snapshot: Snapshot) -> tuple[Gap, ...]:
    """Each once."""
    listeners = (gap for listener in snapshot.listeners for gap in _of_listener(listener))
    clusters = (gap for cluster in snapshot.clusters.values() for gap in _of_cluster(cluster))
    return tuple(dict.fromkeys((*listeners, *clusters)))


def exported(cluster: Cluster) -> bool:
    return cluster.resolution is not Resolution.DYNAMIC


def _of_listener(listener: Listener) -> Iterator[Gap]:
    for chain in listener.streams.chains if listener.streams is not None else ():
        if chain.tls is not None:
            yield "a server that terminates TLS", chain.origin
        elif chain.tunnel is not None:
            yield "a TCP or TLS route", chain.origin
        elif chain.http:
            yield "an HTTP server on a port of TCP or TLS", chain.origin


def _of_cluster(cluster: Cluster) -> Iterator[Gap]:
    if not exported(cluster):
        yield f"hosts that are looked up when they are asked for ({cluster.host})", cluster.origin
    if cluster.tls is not None and isinstance(cluster.tls.key, Pem):
        yield f"the certificate of {cluster.tls.key.name}: a key is not written out", cluster.origin
