"""The match blocks of a VirtualService as conjunctions of literals, for the search of rules never reached.

Owns what each field of HTTPMatchRequest asks of a request; the matching itself is the plan's, and what follows from
it is `coverage.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from meshproxy.analysis.coverage import URI, Block, Literal, Subject
from meshproxy.analysis.patterns import read_pattern
from meshproxy.analysis.values import ANYTHING, OneOf, Starts, Values, one
from meshproxy.model.hosts import MESH, resolve_gateway
from meshproxy.model.http_match import HTTPMatchRequest, StringMatch
from meshproxy.model.virtual_service import VirtualService

_SCHEMES = OneOf(frozenset((b"http", b"https")))
_PLAIN = ("scheme", "method", "authority")
_ALSO = {":scheme": "scheme", ":method": "method", ":authority": "authority", "host": "authority"}
"""Headers that are another name for one of those."""


def domain(service: VirtualService) -> dict[Subject, Values]:
    """What any request that reaches this VirtualService has."""
    gateways = _gateways(service.gateways or (MESH,), service)
    return {Subject("scheme"): _SCHEMES, Subject("gateway"): gateways}


def blocks(service: VirtualService) -> Iterator[Block | None]:
    """One block for each match of each rule, in order; None for a block that has no meaning (a bad regex)."""
    for index, rule in enumerate(service.http):
        takes = rule.delegate is None  # what the delegate does not match goes on to the next rule
        if not rule.match:
            yield Block(index, None, (), takes)
        for position, match in enumerate(rule.match):
            literals = _literals(match, service)
            yield None if literals is None else Block(index, position, literals, takes)


def _gateways(names: tuple[str, ...], service: VirtualService) -> OneOf:
    return OneOf(frozenset(resolve_gateway(name, service.meta.namespace).encode() for name in names))


def _literals(match: HTTPMatchRequest, service: VirtualService) -> tuple[Literal, ...] | None:
    found = [
        *_uri(match),
        *_values(match),
        *(literal for name, wanted in match.without_headers.items() for literal in _without(name, wanted)),
        *_source(match, service),
    ]
    return None if None in found else tuple(literal for literal in found if literal is not None)


def _uri(match: HTTPMatchRequest) -> Iterator[Literal | None]:
    values = _admitted(match.uri) if match.uri is not None else ANYTHING
    if values is None or values == one(b"*"):
        yield None  # `*` is what OPTIONS asks of the server itself
    elif values != ANYTHING:
        folded = match.ignore_uri_case and match.uri is not None and match.uri.regex is None
        yield Literal(URI, replace(values, fold=True) if folded else values)


def _values(match: HTTPMatchRequest) -> Iterator[Literal | None]:
    asked = [(Subject(kind), getattr(match, kind)) for kind in _PLAIN if getattr(match, kind) is not None]
    asked += [(_header(name), wanted) for name, wanted in match.headers.items()]
    asked += [(Subject("query", name), wanted) for name, wanted in match.query_params.items()]
    for subject, wanted in asked:
        values = _admitted(wanted)
        yield None if values is None else Literal(subject, values)


def _header(name: str) -> Subject:
    other = _ALSO.get(name.lower())
    return Subject(other) if other is not None else Subject("header", name.lower())


def _without(name: str, unwanted: StringMatch) -> Iterator[Literal | None]:
    subject = _header(name)
    values = _admitted(unwanted)
    if values is None:
        yield None
        return
    yield Literal(subject, values, positive=False)
    if not _asks_presence(unwanted) and values.holds(b""):
        # a missing header counts as an empty value, which is unwanted here
        yield Literal(subject, ANYTHING)


def _source(match: HTTPMatchRequest, service: VirtualService) -> Iterator[Literal | None]:
    if match.port:
        yield Literal(Subject("port"), one(str(match.port).encode()))
    if match.gateways:
        yield Literal(Subject("gateway"), _gateways(match.gateways, service))
        return  # Istio does not look at the source then
    for key, value in match.source_labels.items():
        yield Literal(Subject("label", key), one(value.encode()))
    if match.source_namespace:
        yield Literal(Subject("namespace"), one(match.source_namespace.encode()))


def _asks_presence(match: StringMatch) -> bool:
    return match.exact is None and match.prefix is None and match.regex in (None, "*")


def _admitted(match: StringMatch) -> Values | None:
    if match.exact is not None:
        return one(match.exact.encode())
    if match.prefix is not None:
        return Starts(match.prefix.encode(), len(match.prefix.encode()))
    if _asks_presence(match):
        return ANYTHING
    return read_pattern(match.regex or "")
