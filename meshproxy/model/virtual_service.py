"""VirtualService: its hosts, gateways and rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from meshproxy.model.checks import (
    is_jwt_claim,
    label_key,
    label_value,
    milliseconds_or_zero,
    percent,
    sni_host,
    subnet,
    wildcard_domain,
)
from meshproxy.model.destination import Destination, HTTPRouteDestination, RouteDestination, weight_problems
from meshproxy.model.fields import duration, message, messages, text, text_map, texts, whole
from meshproxy.model.headers import Headers
from meshproxy.model.hosts import MESH, host_matches, is_ip
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
    percentage_problems,
)
from meshproxy.model.place import json_name
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message
from meshproxy.model.references import export_to_problems, gateway_name_problems
from meshproxy.model.resource import Resource

#: The actions of a rule, first the one that counts, and what each excludes.
_EXCLUDED: Mapping[str, tuple[str, ...]] = {
    "delegate": ("redirect", "route"),
    "redirect": ("route", "fault", "rewrite", "direct_response"),
    "direct_response": ("route", "fault", "rewrite"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRoute(Message):
    name: str = text()
    match: tuple[HTTPMatchRequest, ...] = messages(HTTPMatchRequest)
    route: tuple[HTTPRouteDestination, ...] = messages(HTTPRouteDestination)
    redirect: HTTPRedirect | None = message(HTTPRedirect)
    direct_response: HTTPDirectResponse | None = message(HTTPDirectResponse)
    delegate: Delegate | None = message(Delegate)
    rewrite: HTTPRewrite | None = message(HTTPRewrite)
    timeout: float | None = duration(milliseconds_or_zero)
    retries: HTTPRetry | None = message(HTTPRetry)
    fault: HTTPFaultInjection | None = message(HTTPFaultInjection)
    mirror: Destination | None = message(Destination)
    mirrors: tuple[HTTPMirrorPolicy, ...] = messages(HTTPMirrorPolicy)
    mirror_percent: int | None = whole(0, 100, default=None)
    mirror_percentage: Percent | None = message(Percent)
    cors_policy: CorsPolicy | None = message(CorsPolicy)
    headers: Headers | None = message(Headers)

    def rules(self) -> Iterator[Problem]:
        yield from self._action_problems()
        yield from percentage_problems(self.mirror_percentage, percent)
        if self.mirror_percent is not None:
            yield self.at.warning("mirror_percent", "mirrorPercent is deprecated: write mirrorPercentage.value")
        if self.timeout == 0:
            message = "0s switches the timeout off, as without this field; Istio's own validation refuses it"
            yield self.at.warning("timeout", message)
        if self.redirect is not None and self.redirect.prefix_rewrite:
            for block in self.match:
                if block.uri is not None and block.uri.prefix is None:
                    yield block.at.error("uri", "redirect.prefixRewrite needs prefix matches in all uri conditions")
        yield from self._authority_problems()
        yield from weight_problems(self.at, self.route)

    def _action_problems(self) -> Iterator[Problem]:
        """A rule either routes, redirects, answers or delegates."""
        action, others = next(
            ((name, others) for name, others in _EXCLUDED.items() if getattr(self, name) is not None), ("", ())
        )
        for other in others:
            if getattr(self, other):
                yield self.at.error(other, f"{json_name(other)} and {json_name(action)} exclude each other: keep one")
        if not action and not self.route:
            yield self.at.error("route", "a rule needs a route, a redirect, a directResponse or a delegate")
        if self.mirror is not None and self.mirrors and action != "delegate":
            yield self.at.error("mirrors", "mirror and mirrors exclude each other: keep one")

    def _authority_problems(self) -> Iterator[Problem]:
        """The Host may be rewritten at one place only."""
        written = self.headers.authorities() if self.headers is not None else []
        for operations, field, name in written if self.rewrite is not None and self.rewrite.authority else written[1:]:
            yield operations.at.error(field, "the Host is already rewritten by this rule: keep one of them", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSMatchAttributes(Message):
    sni_hosts: tuple[str, ...] = texts(required=True)
    destination_subnets: tuple[str, ...] = texts(subnet)
    port: int = whole(0, 65535)
    source_labels: Mapping[str, str] = text_map(label_value, key=label_key)
    gateways: tuple[str, ...] = texts()
    source_namespace: str = text()

    def rules(self) -> Iterator[Problem]:
        yield from gateway_name_problems(self.at, self.gateways)


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSRoute(Message):
    match: tuple[TLSMatchAttributes, ...] = messages(TLSMatchAttributes, required=True)
    route: tuple[RouteDestination, ...] = messages(RouteDestination, required=True)

    def rules(self) -> Iterator[Problem]:
        yield from weight_problems(self.at, self.route)


@dataclass(frozen=True, slots=True, kw_only=True)
class L4MatchAttributes(Message):
    destination_subnets: tuple[str, ...] = texts(subnet)
    port: int = whole(0, 65535)
    source_subnet: str = text()
    source_labels: Mapping[str, str] = text_map(label_value, key=label_key)
    gateways: tuple[str, ...] = texts()
    source_namespace: str = text()

    def rules(self) -> Iterator[Problem]:
        yield from gateway_name_problems(self.at, self.gateways)


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPRoute(Message):
    match: tuple[L4MatchAttributes, ...] = messages(L4MatchAttributes)
    route: tuple[RouteDestination, ...] = messages(RouteDestination, required=True)

    def rules(self) -> Iterator[Problem]:
        yield from weight_problems(self.at, self.route)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService(Resource):
    hosts: tuple[str, ...] = texts()
    gateways: tuple[str, ...] = texts()
    http: tuple[HTTPRoute, ...] = messages(HTTPRoute)
    tls: tuple[TLSRoute, ...] = messages(TLSRoute)
    tcp: tuple[TCPRoute, ...] = messages(TCPRoute)
    export_to: tuple[str, ...] = texts()

    @property
    def is_delegate(self) -> bool:
        """Without hosts it is only a part of the VirtualServices that name it."""
        return not self.hosts

    @property
    def is_gateway_bound(self) -> bool:
        """Whether it is for gateways only."""
        return bool(self.gateways) and MESH not in self.gateways

    def rules(self) -> Iterator[Problem]:
        if not (self.http or self.tls or self.tcp) and not self.at.marks.keys() & {"http", "tls", "tcp"}:
            yield self.at.error("", "a VirtualService needs http, tls or tcp rules")
        yield from gateway_name_problems(self.at, self.gateways)
        yield from self._delegate_problems() if self.is_delegate else self._host_problems()
        if not self.is_gateway_bound:
            yield from self._claim_problems()
        for route in self.tls:
            for match in route.match:
                yield from self._sni_problems(match)
        yield from export_to_problems(self.at, self.export_to, self.meta.namespace)

    def _delegate_problems(self) -> Iterator[Problem]:
        for name in ("gateways", "tls", "tcp"):
            if getattr(self, name):
                yield self.at.error(name, f"a VirtualService without hosts is a delegate and has no {name}")
        for rule in self.http:
            if rule.delegate is not None:
                yield rule.at.error("delegate", "a delegate cannot delegate further")

    def _host_problems(self) -> Iterator[Problem]:
        check = sni_host if self.is_gateway_bound and self.tls else wildcard_domain
        valid = True
        for index, host in enumerate(self.hosts):
            wrong = None if is_ip(host) else check(host)
            if host == "*" and not self.is_gateway_bound:
                wrong = 'the host "*" is only for VirtualServices of gateways: name hosts, or set gateways'
            if wrong:
                valid = False
                yield self.at.error("hosts", wrong, index)
        for index, host in enumerate(self.hosts) if valid else ():
            for earlier in self.hosts[:index]:
                if host_matches(host, earlier) or host_matches(earlier, host):
                    yield self.at.error("hosts", f'"{host}" overlaps with "{earlier}": keep one of them', index)

    def _claim_problems(self) -> Iterator[Problem]:
        for rule in self.http:
            for block in rule.match:
                for field, headers in (("headers", block.headers), ("without_headers", block.without_headers)):
                    for name in filter(is_jwt_claim, headers):
                        message = f"the JWT claim {name} can only be matched on gateways: set gateways without mesh"
                        yield block.at.error(field, message, name)

    def _sni_problems(self, match: TLSMatchAttributes) -> Iterator[Problem]:
        check = sni_host if self.is_gateway_bound else wildcard_domain
        for index, host in enumerate(match.sni_hosts):
            wrong = check(host)
            if wrong and is_ip(host):
                yield match.at.warning("sni_hosts", f'"{host}": clients do not send an IP address as SNI', index)
            elif wrong:
                yield match.at.error("sni_hosts", wrong, index)
            elif not any(host_matches(host, pattern) for pattern in self.hosts):
                hosts = ", ".join(self.hosts)
                yield match.at.error("sni_hosts", f'"{host}" is not covered by the hosts ({hosts})', index)
