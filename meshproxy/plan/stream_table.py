"""From the first bytes of a connection to what becomes of it: filter chains by destination address and server name.

As Envoy has it: the most specific network that holds the destination decides first, then the server name (exact,
then the longest wildcard, then any); what was decided first is not taken back.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from meshproxy.base.addresses import is_ip
from meshproxy.base.origin import Origin
from meshproxy.plan.route import Forward, Line, Skipped
from meshproxy.plan.server_tls import ServerTls

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRoute:
    """Where the bytes of a connection go; the weights are drawn once for each connection."""

    name: str
    action: Forward
    service: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """`server_names` in lower case, empty: any, and none. With `is_tls` the connection must be TLS; with `tls` it is
    terminated. Behind it HTTP is answered by the virtual hosts of the listener `http`, or bytes go where `tunnel`
    says; with neither the connection is closed. `lines`: where its networks, if it has any, and its names are written.
    """

    server_names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    is_tls: bool = False
    tls: ServerTls | None = None
    http: str = ""
    tunnel: StreamRoute | None = None
    origin: Origin | None = None
    match_index: int | None = None  # which match of the rule, where it has any
    lines: tuple[Line, ...] = ()


class _Names:
    """Chains by server name; the first that claims a name has it."""

    __slots__ = ("_any", "_exact", "_wildcards")

    def __init__(self, chains: Iterable[Chain]) -> None:
        self._any: list[Chain] = []
        self._exact: dict[str, Chain] = {}
        self._wildcards: dict[str, Chain] = {}
        for chain in chains:
            for name in chain.server_names or ("*",):
                if name == "*":
                    self._any.append(chain)
                elif name.startswith("*."):
                    self._wildcards.setdefault(name[1:], chain)
                else:
                    self._exact.setdefault(name, chain)

    def find(self, name: str, *, is_tls: bool) -> Chain | None:
        if is_tls and name:
            found = self._exact.get(name)
            dot = name.find(".", 1)
            while found is None and dot > 0 and self._wildcards:
                found = self._wildcards.get(name[dot:])
                dot = name.find(".", dot + 1)
            if found is not None:
                return found
        return next((chain for chain in self._any if is_tls or not chain.is_tls), None)


class StreamTable:
    """`needs_hello`: nothing can be decided before the client has spoken. `proxy_protocol`: it begins with a PROXY
    header. `http`: what turns out to be HTTP is for this listener, whatever the chains say. `skipped`: matches that can
    take nothing here."""

    __slots__ = ("_by_network", "_names", "chains", "http", "needs_hello", "proxy_protocol", "skipped")

    def __init__(
        self,
        chains: tuple[Chain, ...],
        *,
        proxy_protocol: bool = False,
        http: str = "",
        skipped: tuple[Skipped, ...] = (),
    ) -> None:
        self.chains = chains
        self.proxy_protocol = proxy_protocol
        self.http = http
        self.skipped = skipped
        self.needs_hello = any(chain.is_tls or chain.server_names for chain in chains)
        networks = {network for chain in chains for network in chain.networks}
        self._by_network = {
            network: _Names(chain for chain in chains if network in chain.networks)
            for network in sorted(networks, key=lambda network: -network.prefixlen)
        }
        self._names = _Names(chain for chain in chains if not chain.networks)

    def find(self, server_name: str = "", *, is_tls: bool = False, destination: str = "") -> Chain | None:
        """`destination` is the IP address that was connected to, or the name, which no network holds."""
        network = self.network_of(destination)
        names = self._names if network is None else self._by_network[network]
        return names.find(server_name, is_tls=is_tls)

    def network_of(self, destination: str) -> Network | None:
        """The narrowest of the chains' networks that holds `destination`: only its chains are asked for the name."""
        if not self._by_network or not is_ip(destination):
            return None
        address = ipaddress.ip_address(destination)
        return next((network for network in self._by_network if address in network), None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StreamTable) and other.__reduce__() == self.__reduce__()

    def __hash__(self) -> int:
        return hash((self.chains, self.proxy_protocol, self.http, self.skipped))

    def __repr__(self) -> str:
        return f"StreamTable({self.chains!r})"

    def __reduce__(self) -> tuple[object, tuple[tuple[Chain, ...], bool, str, tuple[Skipped, ...]]]:
        return _table, (self.chains, self.proxy_protocol, self.http, self.skipped)


def _table(chains: tuple[Chain, ...], proxy_protocol: bool, http: str, skipped: tuple[Skipped, ...]) -> StreamTable:
    return StreamTable(chains, proxy_protocol=proxy_protocol, http=http, skipped=skipped)
