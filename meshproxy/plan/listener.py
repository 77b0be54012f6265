"""One address we listen on and the virtual hosts behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from meshproxy.base.message import FORWARDED_PROTO, Request
from meshproxy.base.origin import Origin
from meshproxy.plan.connect_table import ConnectTable
from meshproxy.plan.stream_table import Chain, StreamTable
from meshproxy.plan.table import VirtualHosts

_SCHEMES = frozenset((b"http", b"https"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """`name` is stable over reloads: `mesh`, or `0.0.0.0_8080` for a gateway port. `port` is what is bound
    (0: any free one), `server_port` what the configuration says (redirects and `match.port` speak of that one).

    As a gateway it appends the client's address to X-Forwarded-For, sets X-Forwarded-Proto from the connection and
    answers as `istio-envoy`; as the mesh listener it trusts what the client says and answers as `envoy`.

    Without `streams` every connection is plain HTTP. With them they say what a connection is; the listeners `behind`,
    which are not opened, have the virtual hosts of the chains that are HTTP.
    """

    name: str
    host: str
    port: int
    server_port: int
    virtual_hosts: VirtualHosts = field(default_factory=lambda: VirtualHosts(()))
    is_gateway: bool = False
    origin: Origin | None = None
    gateways: tuple[str, ...] = ()  # the Gateways it serves: namespace/name
    scheme: bytes = b"http"  # of requests on a gateway
    streams: StreamTable | None = None
    behind: tuple[Listener, ...] = ()
    connect: ConnectTable | None = None  # None: CONNECT is not understood

    def connected(self, host: str, port: int) -> StreamTable | None:
        """What a CONNECT leads to. An HTTP port of a service is HTTP again behind it, so that no rule is passed by."""
        if self.connect is None or not port:
            return None
        found = self.connect.find(host, port)
        if found is self.connect.rest:
            served = self.virtual_hosts.find((f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode())
            if served is not None and served.port == port:
                return StreamTable((Chain(http=self.name),))
        return found


def settle_scheme(listener: Listener, request: Request) -> None:
    """What `scheme` conditions and redirects see, and X-Forwarded-Proto: a gateway says how the request came, any other
    listener believes its client, if it says something that can be (Envoy, `ConnectionManagerUtility`)."""
    said = request.managed.get(FORWARDED_PROTO)
    if said is None:
        return
    if listener.is_gateway:
        request.managed = request.managed | {FORWARDED_PROTO: [request.scheme]}
    else:
        request.scheme = said[0].lower() if said[0].lower() in _SCHEMES else b"http"


def finds_none(request: Request) -> bool:
    """Whether there can be no route, when the scheme is settled: for a client that leaves X-Forwarded-Proto empty Envoy
    looks for none (`VirtualHostImpl::getRouteFromEntries`)."""
    return request.managed.get(FORWARDED_PROTO) == [b""]
