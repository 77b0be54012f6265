"""What a single rule says and surely does not mean: its conditions, weights, retries and faults."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from meshproxy.analysis.codes import finding
from meshproxy.analysis.patterns import read_pattern
from meshproxy.analysis.values import Starts, disjoint
from meshproxy.analysis.view import Check, View
from meshproxy.model.destination import HTTPRouteDestination, RouteDestination
from meshproxy.model.http_match import HTTPMatchRequest, StringMatch
from meshproxy.model.http_policies import Abort, Delay
from meshproxy.model.problem import Problem
from meshproxy.model.virtual_service import HTTPRoute

#: Headers that hold several things, of which a condition means one.
_COMPOSITE = frozenset("accept accept-language cookie forwarded referer user-agent via x-forwarded-for".split())
#: Conditions of retryOn after which the upstream may have acted already.
_AFTER_THE_ACT = frozenset(
    "5xx gateway-error reset retriable-4xx cancelled deadline-exceeded internal resource-exhausted".split()
)
_NOT_REPEATABLE = ("POST", "PATCH")
_NARROWING = (
    "headers",
    "without_headers",
    "query_params",
    "source_labels",
    "source_namespace",
    "gateways",
    "authority",
)


def _rules(view: View) -> Iterator[HTTPRoute]:
    return (rule for service in view.catalog.virtual_services for rule in service.http)


def _matches(view: View) -> Iterator[HTTPMatchRequest]:
    return (match for rule in _rules(view) for match in rule.match)


def check_queries(view: View) -> Iterator[Problem]:
    """MPX0104: a path never holds `?` or `#`."""
    for match in _matches(view):
        for kind, written in _written(match.uri):
            sign = next((s for s in "?#" if s in written), "") if kind != "regex" else ""
            if kind == "regex" and re.search(r"\\\?|\[\?\]", written):
                sign = "?"
            if sign and match.uri is not None:
                yield finding(
                    "MPX0104",
                    f'uri is compared with the path alone, which never holds "{sign}": this {kind} never matches; '
                    f"put conditions on the query into queryParams",
                    match.uri.at.field(kind),
                )


def _written(match: StringMatch | None) -> Iterator[tuple[str, str]]:
    for kind in ("exact", "prefix", "regex"):
        text = getattr(match, kind, None)
        if text:
            yield kind, text


def check_regexes(view: View) -> Iterator[Problem]:
    """MPX0105: regexes that are written as if a part of the value were enough."""
    for match in _matches(view):
        asked = [("uri", match.uri), ("authority", match.authority)]
        asked += [(f"header {name.lower()}", wanted) for name, wanted in match.headers.items()]
        asked += [(f"query parameter {name}", wanted) for name, wanted in match.query_params.items()]
        for subject, wanted in asked:
            if wanted is not None and wanted.regex and (advice := _unanchored(subject, wanted.regex)):
                yield finding(
                    "MPX0105",
                    f'regex "{wanted.regex}" must match the whole {subject.partition(" ")[0]}, not a part of it: '
                    f"{advice}",
                    wanted.at.field("regex"),
                )


def _unanchored(subject: str, pattern: str) -> str:
    """What to do about a pattern that looks as if it were searched for; empty if it does not."""
    if (read := read_pattern(pattern)) is None:
        return ""
    opened = pattern.startswith("^") or _open_start(pattern)
    closed = (pattern.endswith("$") and not pattern.endswith(r"\$")) or _open_end(pattern)
    if subject == "uri" and disjoint(read, Starts(b"/", 1)):
        return 'a path begins with "/", so it never matches; begin it with .*'
    if pattern.startswith("^") and not closed:
        return "end it with .*, or with $ if that is the end"
    if pattern.endswith("$") and not pattern.endswith(r"\$") and not opened and subject != "uri":
        return "begin it with .*, or with ^ if that is the beginning"
    if subject.removeprefix("header ") in _COMPOSITE and not (_open_start(pattern) or _open_end(pattern)):
        return "this header holds more than that; begin and end it with .*"
    return ""


def _open_start(pattern: str) -> bool:
    return bool(re.match(r"\^?\(*(\?:)?(\.|\[\^[^\]]*\])[*+]", pattern))


def _open_end(pattern: str) -> bool:
    return bool(re.search(r"(\.|\[\^[^\]]*\])[*+]\??\)*[?*]?\$?$", pattern))


def check_weights(view: View) -> Iterator[Problem]:
    """MPX0106: weights are shares of their sum, whatever it is."""
    for service in view.catalog.virtual_services:
        for rule in service.http:
            yield from _check_weights(rule.route)
        for stream in service.tls:
            yield from _check_weights(stream.route)
        for tcp in service.tcp:
            yield from _check_weights(tcp.route)


def _check_weights(route: Sequence[HTTPRouteDestination] | Sequence[RouteDestination]) -> Iterator[Problem]:
    total = sum(each.weight for each in route)
    if len(route) > 1 and total > 0 and total != 100:
        shares = ", ".join(f"{each.weight / total:.1%}" for each in route)
        yield finding(
            "MPX0106", f"weights add up to {total}, not 100: they act as {shares}", route[0].at.field("weight")
        )


def check_retries(view: View) -> Iterator[Problem]:
    """MPX0107, MPX0115, MPX0110, MPX0111."""
    for rule in _rules(view):
        retries = rule.retries
        if retries is None:
            continue
        if "attempts" not in retries.at.marks:
            yield finding("MPX0110", "a retries block without attempts switches retries off", retries.at.origin)
        if retries.per_try_timeout and rule.timeout and retries.per_try_timeout >= rule.timeout:
            message = f"perTryTimeout is not shorter than the timeout of {rule.timeout:g}s, so it never acts"
            yield finding("MPX0111", message, retries.at.field("per_try_timeout"))
        if retries.attempts > 0:
            yield from _check_repeats(rule)


def _check_repeats(rule: HTTPRoute) -> Iterator[Problem]:
    assert rule.retries is not None
    words = [word.strip() for word in rule.retries.retry_on.split(",")]
    after = [word for word in words if word in _AFTER_THE_ACT or word.isdigit()]
    if not after:
        return
    origin = rule.retries.at.field("retry_on")
    named = [method for method in _NOT_REPEATABLE if any(_admits(match, method) for match in rule.match)]
    why = f"retryOn {', '.join(after)} sends a request again that the upstream may have acted on"
    if named:
        yield finding("MPX0107", f"{why}, and the rule matches {' and '.join(named)}", origin)
    elif not rule.match or any(match.method is None for match in rule.match):
        yield finding("MPX0115", f"{why}, and the rule matches every method, so POST and PATCH too", origin)


def _admits(match: HTTPMatchRequest, method: str) -> bool:
    wanted = match.method
    if wanted is None:
        return False
    if wanted.regex is not None:
        read = read_pattern(wanted.regex)
        return read is not None and read.holds(method.encode())
    return wanted.exact == method or bool(wanted.prefix and method.startswith(wanted.prefix))


def check_faults(view: View) -> Iterator[Problem]:
    """IST0002, MPX0108, MPX0109."""
    for rule in _rules(view):
        if rule.fault is None:
            continue
        kinds: tuple[tuple[str, Delay | Abort | None], ...] = (("delay", rule.fault.delay), ("abort", rule.fault.abort))
        for kind, fault in kinds:
            if fault is not None:
                yield from _check_fault(rule, kind, fault)


def _check_fault(rule: HTTPRoute, kind: str, fault: Delay | Abort) -> Iterator[Problem]:
    old = fault.percent if isinstance(fault, Delay) else 0
    share = fault.percentage.value if fault.percentage is not None else float(old)
    if old > 0:
        yield finding("IST0002", "fault.delay.percent is deprecated: write percentage.value", fault.at.field("percent"))
    if fault.percentage is None and not old:
        yield finding(
            "MPX0109", f"{kind} without percentage acts on no request: write percentage.value: 100", fault.at.origin
        )
    everybody = not rule.match or any(not any(getattr(match, name) for name in _NARROWING) for match in rule.match)
    if share > 0 and everybody:
        whom = "every request" if share >= 100 else f"{share:g}% of the requests"
        message = f"{kind} hits {whom} of this rule, whoever sends it: no match asks for a header, query or source"
        yield finding("MPX0108", message, fault.at.origin)


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("MPX0104",), check_queries),
    (("MPX0105",), check_regexes),
    (("MPX0106",), check_weights),
    (("MPX0107", "MPX0110", "MPX0111", "MPX0115"), check_retries),
    (("IST0002", "MPX0108", "MPX0109"), check_faults),
)
