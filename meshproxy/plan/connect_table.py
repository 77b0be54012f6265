"""Where a CONNECT leads: from the host and port it names to what becomes of the bytes behind it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from meshproxy.base.addresses import is_ip
from meshproxy.plan.stream_table import Network, StreamTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Connectable:
    """One port of a service: `names` in lower case, some may be wildcards; `networks` are its addresses."""

    names: tuple[str, ...]
    port: int
    table: StreamTable
    networks: tuple[Network, ...] = ()


class ConnectTable:
    """The first that claims a name and port has it. `rest` is for everybody else; None: there is no way."""

    __slots__ = ("_exact", "_networks", "_wildcards", "entries", "rest")

    def __init__(self, entries: Iterable[Connectable], rest: StreamTable | None = None) -> None:
        self.entries = tuple(entries)
        self.rest = rest
        self._exact: dict[tuple[str, int], StreamTable] = {}
        self._wildcards: dict[tuple[str, int], StreamTable] = {}
        self._networks: dict[int, list[tuple[Network, StreamTable]]] = {}
        for entry in self.entries:
            for name in entry.names:
                wild = name.startswith("*.")
                (self._wildcards if wild else self._exact).setdefault(
                    (name[1:] if wild else name, entry.port), entry.table
                )
            self._networks.setdefault(entry.port, []).extend((each, entry.table) for each in entry.networks)

    def find(self, host: str, port: int) -> StreamTable | None:
        """`host` in lower case, without brackets."""
        found = self._exact.get((host, port))
        if found is not None:
            return found
        if is_ip(host):
            address = ipaddress.ip_address(host)
            holding = [(net, table) for net, table in self._networks.get(port, ()) if address in net]
            return max(holding, key=lambda pair: pair[0].prefixlen)[1] if holding else self.rest
        dot = host.find(".", 1)
        while dot > 0:
            found = self._wildcards.get((host[dot:], port))
            if found is not None:
                return found
            dot = host.find(".", dot + 1)
        return self.rest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConnectTable) and (other.entries, other.rest) == (self.entries, self.rest)

    def __hash__(self) -> int:
        return hash((self.entries, self.rest))

    def __repr__(self) -> str:
        return f"ConnectTable({self.entries!r}, {self.rest!r})"

    def __reduce__(self) -> tuple[type[ConnectTable], tuple[tuple[Connectable, ...], StreamTable | None]]:
        return ConnectTable, (self.entries, self.rest)
