"""The whole plan: what one generation of the configuration compiles to. Replaced as one, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshproxy.plan.cluster import Cluster
from meshproxy.plan.listener import Listener


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`digest` names the sources it was built from; `counts` how many of each kind were loaded."""

    listeners: tuple[Listener, ...] = ()
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    digest: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
