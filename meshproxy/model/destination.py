"""Where a rule sends to: Destination and the weighted destinations of HTTP, TLS and TCP routes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from meshproxy.model.checks import destination_host, not_negative, optional_dns_label
from meshproxy.model.fields import INT32, message, text, whole
from meshproxy.model.headers import Headers
from meshproxy.model.place import Place
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSelector(Message):
    number: int = whole(1, 65535, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination(Message):
    host: str = text(destination_host, required=True)
    subset: str = text(optional_dns_label)
    port: PortSelector | None = message(PortSelector)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRouteDestination(Message):
    destination: Destination | None = message(Destination, required=True)
    weight: int = whole(-INT32, INT32, check=not_negative)
    headers: Headers | None = message(Headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDestination(Message):
    destination: Destination | None = message(Destination, required=True)
    weight: int = whole(-INT32, INT32, check=not_negative)


def weight_problems(at: Place, route: Sequence[HTTPRouteDestination | RouteDestination]) -> Iterator[Problem]:
    """Of several destinations one at least needs a weight. A single one needs none."""
    if len(route) > 1 and not sum(destination.weight for destination in route):
        yield at.error("route", "the weights of the destinations add up to 0: give at least one of them a weight")
