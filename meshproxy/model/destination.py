"""Where a rule sends to: Destination and the weighted destinations of HTTP, TLS and TCP routes."""

from dataclasses import dataclass

from meshproxy.model.headers import Headers
from meshproxy.model.reader import INT32, Message, message, text, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSelector(Message):
    number: int = whole()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination(Message):
    host: str = text()
    subset: str = text()
    port: PortSelector | None = message(PortSelector)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRouteDestination(Message):
    destination: Destination | None = message(Destination)
    weight: int = whole(-INT32, INT32)
    headers: Headers | None = message(Headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDestination(Message):
    destination: Destination | None = message(Destination)
    weight: int = whole(-INT32, INT32)
