"""Rules that never get a request: as Istio's validation sees it, and as it can be proven.

IST0130 and IST0131 follow Istio's comparisons, MPX0101 to MPX0103 are proofs. What Istio's say is left out where a
request shows that it is not so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from meshproxy.analysis.codes import finding
from meshproxy.analysis.conditions import blocks, domain
from meshproxy.analysis.coverage import Block, Coverage, Covered
from meshproxy.analysis.view import Check, View
from meshproxy.model.http_match import HTTPMatchRequest, StringMatch
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message
from meshproxy.model.virtual_service import HTTPRoute, TCPRoute, TLSRoute, VirtualService

Rules = Sequence[HTTPRoute | TLSRoute | TCPRoute]
Told = set[tuple[int, int | None]]
"""What Istio's comparisons have said already: rule and match, or rule and None for all of it."""


def check_rules(view: View) -> Iterator[Problem]:
    """IST0130, IST0131, MPX0101, MPX0102, MPX0103."""
    for service in view.catalog.virtual_services:
        told: Told = set()
        yield from _as_istio(service.http, told)
        yield from _overlapping(service, told)
        yield from _as_istio(service.tls, set())
        yield from _as_istio(service.tcp, set())
        if service.hosts:
            # a delegate's rules are merged with its roots' before anything is matched
            yield from _proven(service, told)


# --- as Istio sees it


def _as_istio(rules: Rules, told: Told) -> Iterator[Problem]:
    """Rules behind one without match, and matches that are literally equal."""
    without_match: int | None = None
    seen: dict[Hashable, int] = {}
    for index, rule in enumerate(rules):
        if without_match is not None:
            told.add((index, None))
            yield _unused(
                rules, index, f"rule {_rule(rules, without_match)} before it has no match and takes everything"
            )
        if not rule.match:
            without_match = index
        if without_match is not None:
            continue
        duplicates = 0
        for position, match in enumerate(rule.match):
            key = _fingerprint(match)
            if key in seen:
                duplicates += 1
                told.add((index, position))
                why = f"rule {_rule(rules, seen[key])} has the same match"
                yield _ineffective(rules, index, position, why)
            else:
                seen[key] = index
        if duplicates == len(rule.match):
            told.add((index, None))
            yield _unused(rules, index, "rules before it have all its matches")


def _fingerprint(message: object) -> Hashable:
    """What a match says, its name aside, as a value that can be looked up."""
    if isinstance(message, Message):
        named = ((field.name, _fingerprint(getattr(message, field.name))) for field in fields(message))
        return tuple(pair for pair in named if pair[0] not in ("at", "name"))
    if isinstance(message, Mapping):
        return tuple(sorted((key, _fingerprint(value)) for key, value in message.items()))
    return message if isinstance(message, Hashable) else repr(message)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What Istio compares of two matches by prefix, as `exact:`, `prefix:` or empty texts."""

    rule: int
    match: int
    prefix: str
    port: int
    texts: Mapping[str, str]


def _overlapping(service: VirtualService, told: Told) -> Iterator[Problem]:
    """Matches by prefix that an earlier, shorter prefix covers; what Istio says of them is said where it is so."""
    rules = service.http
    asked = {(block.rule, block.match): block for block in blocks(service) if block is not None}
    earlier: dict[str, list[_Shape]] = defaultdict(list)
    for index, rule in enumerate(rules):
        for position, match in enumerate(rule.match):
            if match.uri is None or not match.uri.prefix or (index, position) in told or (index, None) in told:
                continue
            shape = _shape(index, position, match)
            for end in range(len(shape.prefix)):
                for other in earlier.get(shape.prefix[:end], ()):
                    pair = asked.get((other.rule, other.match)), asked.get((index, position))
                    if _covers(other, shape) and _is_left_nothing(service, *pair):
                        told.add((index, position))
                        why = (
                            f'prefix "{other.prefix}" in match {_match(rules, other.rule, other.match)} of rule '
                            f'{_rule(rules, other.rule)} covers its prefix "{shape.prefix}"'
                        )
                        yield _ineffective(rules, index, position, why)
            earlier[shape.prefix].append(shape)


def _shape(rule: int, position: int, match: HTTPMatchRequest) -> _Shape:
    texts = {"method": _text(match.method) or "exact:GET", "authority": _text(match.authority)}
    for kind in ("headers", "query_params", "without_headers"):
        texts |= {f"{kind} {name}": _text(wanted) for name, wanted in getattr(match, kind).items()}
    return _Shape(rule, position, (match.uri.prefix if match.uri else "") or "", match.port, texts)


def _text(match: StringMatch | None) -> str:
    if match is None:
        return ""
    return f"exact:{match.exact}" if match.exact else f"prefix:{match.prefix}" if match.prefix else ""


def _covers(earlier: _Shape, later: _Shape) -> bool:
    if earlier.port != later.port or earlier.texts.keys() != later.texts.keys():
        return False
    return all(text.startswith(later.texts[name]) for name, text in earlier.texts.items())


def _is_left_nothing(service: VirtualService, earlier: Block | None, later: Block | None) -> bool:
    """Whether that is so: Istio's comparison knows no regex, and takes a match without method for one of GET."""
    if earlier is None or later is None:
        return False
    coverage = Coverage(domain(service))
    coverage.add(earlier)
    return coverage.check(later) is not None


# --- as it can be proven


def _proven(service: VirtualService, told: Told) -> Iterator[Problem]:
    """Rules and matches that the ones before them leave nothing."""
    coverage = Coverage(domain(service))
    found: dict[int, list[Covered]] = defaultdict(list)
    for block in blocks(service):
        if block is not None:
            covered = coverage.check(block)
            if covered is not None:
                found[block.rule].append(covered)
            coverage.add(block)
    for index, blocked in found.items():
        yield from _said(service, index, blocked, told)


def _said(service: VirtualService, index: int, covered: Sequence[Covered], told: Told) -> Iterator[Problem]:
    rule, rules = service.http[index], service.http
    impossible = [each for each in covered if not each.by]
    for each in impossible:
        match = rule.match[each.block.match or 0]
        what = f"no request can fulfil match {_match(rules, index, each.block.match)} of rule {_rule(rules, index)}"
        yield finding("MPX0103", f"{what}: {_why_impossible(match)}", match.at.origin)
    taken = [each for each in covered if each.by]
    if (index, None) in told or not taken:
        return
    if len(covered) == max(1, len(rule.match)):
        yield finding(
            "MPX0101", f"rule {_rule(rules, index)} can never be reached: {_why(rules, taken)}", rule.at.origin
        )
        return
    for each in taken:
        if (index, each.block.match) not in told:
            what = f"match {_match(rules, index, each.block.match)} of rule {_rule(rules, index)}"
            origin = rule.match[each.block.match or 0].at.origin
            yield finding("MPX0102", f"{what} can never be reached: {_why(rules, [each])}", origin)


def _why_impossible(match: HTTPMatchRequest) -> str:
    path = (match.uri.exact or match.uri.prefix or "/") if match.uri is not None else "/"
    return "its conditions exclude each other" if path.startswith("/") else f'a path begins with "/", not with "{path}"'


def _why(rules: Sequence[HTTPRoute], covered: Sequence[Covered]) -> str:
    takers = dict.fromkeys(block.rule for each in covered for block in each.by)
    if len(takers) > 1:
        takers.pop(covered[0].block.rule, None)  # that its own matches overlap is the lesser news
    named = " and ".join(f"rule {_rule(rules, rule)} (line {rules[rule].at.origin.line})" for rule in takers)
    witness = next((each.witness for each in covered if each.witness), "")
    example = f", for example {witness}" if witness else ""
    return f"{named} before it take{'s' if len(takers) == 1 else ''} all its requests{example}"


# --- words


def _unused(rules: Rules, index: int, why: str) -> Problem:
    return finding("IST0130", f"rule {_rule(rules, index)} is never used: {why}", rules[index].at.origin)


def _ineffective(rules: Rules, index: int, position: int, why: str) -> Problem:
    what = f"match {_match(rules, index, position)} of rule {_rule(rules, index)}"
    return finding("IST0131", f"{what} is never used: {why}", rules[index].match[position].at.origin)


def _rule(rules: Rules, index: int) -> str:
    return _named(rules[index], index)


def _match(rules: Rules, index: int, position: int | None) -> str:
    return _named(rules[index].match[position or 0], position or 0)


def _named(message: Message, index: int) -> str:
    name = getattr(message, "name", "")
    return f'"{name}"' if name else f"#{index}"


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("IST0130", "IST0131", "MPX0101", "MPX0102", "MPX0103"), check_rules),
)
