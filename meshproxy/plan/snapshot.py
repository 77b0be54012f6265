"""The whole plan: what one generation of the configuration compiles to. Replaced as one, never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from meshproxy.plan.cluster import Cluster
from meshproxy.plan.listener import Listener
from meshproxy.plan.server_tls import ServerTls


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`digest` names the sources it was built from; `counts` how many of each kind were loaded."""

    listeners: tuple[Listener, ...] = ()
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    digest: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def servers(self) -> Iterator[ServerTls]:
        """The TLS of every chain that terminates it."""
        for listener in self.listeners:
            for chain in listener.streams.chains if listener.streams is not None else ():
                if chain.tls is not None:
                    yield chain.tls

    @property
    def http_listeners(self) -> Iterator[Listener]:
        """All that have virtual hosts: those that are opened, and those behind the chains of such."""
        for listener in self.listeners:
            yield listener
            yield from listener.behind
