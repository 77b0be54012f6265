"""VirtualService: its hosts, gateways and rules."""

from collections.abc import Mapping
from dataclasses import dataclass

from meshproxy.model.destination import Destination, HTTPRouteDestination, RouteDestination
from meshproxy.model.headers import Headers
from meshproxy.model.http_match import HTTPMatchRequest
from meshproxy.model.http_policies import (
    CorsPolicy,
    Delegate,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPMirrorPolicy,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    Percent,
)
from meshproxy.model.reader import Message, duration, message, messages, text, text_map, texts, whole
from meshproxy.model.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRoute(Message):
    name: str = text()
    match: tuple[HTTPMatchRequest, ...] = messages(HTTPMatchRequest)
    route: tuple[HTTPRouteDestination, ...] = messages(HTTPRouteDestination)
    redirect: HTTPRedirect | None = message(HTTPRedirect)
    direct_response: HTTPDirectResponse | None = message(HTTPDirectResponse)
    delegate: Delegate | None = message(Delegate)
    rewrite: HTTPRewrite | None = message(HTTPRewrite)
    timeout: float | None = duration()
    retries: HTTPRetry | None = message(HTTPRetry)
    fault: HTTPFaultInjection | None = message(HTTPFaultInjection)
    mirror: Destination | None = message(Destination)
    mirrors: tuple[HTTPMirrorPolicy, ...] = messages(HTTPMirrorPolicy)
    mirror_percent: int | None = whole(default=None)
    mirror_percentage: Percent | None = message(Percent)
    cors_policy: CorsPolicy | None = message(CorsPolicy)
    headers: Headers | None = message(Headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSMatchAttributes(Message):
    sni_hosts: tuple[str, ...] = texts()
    destination_subnets: tuple[str, ...] = texts()
    port: int = whole()
    source_labels: Mapping[str, str] = text_map()
    gateways: tuple[str, ...] = texts()
    source_namespace: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSRoute(Message):
    match: tuple[TLSMatchAttributes, ...] = messages(TLSMatchAttributes)
    route: tuple[RouteDestination, ...] = messages(RouteDestination)


@dataclass(frozen=True, slots=True, kw_only=True)
class L4MatchAttributes(Message):
    destination_subnets: tuple[str, ...] = texts()
    port: int = whole()
    source_subnet: str = text()
    source_labels: Mapping[str, str] = text_map()
    gateways: tuple[str, ...] = texts()
    source_namespace: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPRoute(Message):
    match: tuple[L4MatchAttributes, ...] = messages(L4MatchAttributes)
    route: tuple[RouteDestination, ...] = messages(RouteDestination)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService(Resource):
    hosts: tuple[str, ...] = texts()
    gateways: tuple[str, ...] = texts()
    http: tuple[HTTPRoute, ...] = messages(HTTPRoute)
    tls: tuple[TLSRoute, ...] = messages(TLSRoute)
    tcp: tuple[TCPRoute, ...] = messages(TCPRoute)
    export_to: tuple[str, ...] = texts()
