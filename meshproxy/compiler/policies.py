"""What a rule does with its requests besides choosing a destination: each policy of an HTTPRoute to its plan."""

from __future__ import annotations

from meshproxy.compiler.matches import build_regex, build_value
from meshproxy.compiler.report import UnusableError
from meshproxy.model.http_policies import (
    CorsPolicy,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    Percent,
)
from meshproxy.plan.cors import Cors
from meshproxy.plan.fault import MILLION, Fault
from meshproxy.plan.match import Exact, PathMatch, Prefix
from meshproxy.plan.retry import DEFAULT, Retry
from meshproxy.plan.rewrite import DirectResponse, Redirect, Rewrite

REDIRECT_CODES = frozenset((301, 302, 303, 307, 308))
_DEFAULT_PORTS = {"http": 80, "https": 443}
_BACKOFF = 0.025
#: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
_GRPC_STATUSES = {
    name: number
    for number, name in enumerate(
        "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
        "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS "
        "UNAUTHENTICATED".split()
    )
}


def share(percentage: Percent | None, absent: float) -> int:
    """A percentage in millionths of all requests; Envoy's resolution is a 10,000th of a percent."""
    value = absent if percentage is None else percentage.value
    return min(max(round(value * 10_000), 0), MILLION)


def build_rewrite(rewrite: HTTPRewrite | None, path: PathMatch | None, authority: bytes | None) -> Rewrite | None:
    """`uri` replaces the matched part: the prefix, or the whole path where it was matched as a whole; without a path
    condition the prefix is `/`. `authority` is the Host that header operations ask for; the rewrite's own beats it."""
    if rewrite is None:
        return Rewrite(authority=authority) if authority is not None else None
    host = rewrite.authority.encode() or authority
    regex = rewrite.uri_regex_rewrite
    if regex is not None:
        pattern = build_regex(regex.match, regex.at.field("match"))
        return Rewrite(regex=pattern, substitution=regex.rewrite.encode(), authority=host)
    if not rewrite.uri:
        return Rewrite(authority=host) if host is not None else None
    return Rewrite(prefix=_matched_prefix(path), path=rewrite.uri.encode(), authority=host)


def _matched_prefix(path: PathMatch | None) -> bytes | None:
    if path is None:
        return b"/"
    return path.value if isinstance(path, Prefix) else None


def build_redirect(redirect: HTTPRedirect, path: PathMatch | None, port: int) -> Redirect:
    """`port` is the listener's, which FROM_REQUEST_PORT stands for."""
    code = redirect.redirect_code or 301
    if code not in REDIRECT_CODES:
        raise UnusableError(f"redirectCode {code} has no redirect in Envoy", redirect.at.field("redirect_code"))
    named = redirect.port if redirect.derive_port != "FROM_REQUEST_PORT" else port
    if named == _DEFAULT_PORTS[redirect.scheme or "http"]:
        named = None
    uri = redirect.uri
    return Redirect(
        status=code,
        scheme=redirect.scheme.encode() or None,
        authority=redirect.authority.encode() or None,
        port=named or None,
        path=(uri if uri.startswith("/") else f"/{uri}").encode() if uri else None,
        prefix=_matched_prefix(path) if redirect.prefix_rewrite else None,
        prefix_rewrite=redirect.prefix_rewrite.encode() or None,
    )


def build_direct_response(response: HTTPDirectResponse) -> DirectResponse:
    body = response.body
    if body is None:
        return DirectResponse(status=response.status)
    octets = body.bytes if body.bytes is not None else (body.string or "").encode()
    return DirectResponse(status=response.status, body=octets)


def build_retry(retries: HTTPRetry | None, timeout: float | None) -> Retry | None:
    """Istio's default where nothing is written; none for no attempts. A per-try timeout that the whole exchange
    cannot outlast is no timeout of its own."""
    if retries is None:
        return DEFAULT
    if retries.attempts <= 0:
        return None
    conditions, statuses = _retry_on(retries.retry_on)
    per_try = retries.per_try_timeout or None
    base = retries.backoff or _BACKOFF
    return Retry(
        attempts=retries.attempts,
        conditions=conditions,
        statuses=statuses,
        per_try_timeout=None if per_try and timeout and per_try >= timeout else per_try,
        base=base,
        maximum=base * 10,
        avoid_previous_hosts=retries.retry_ignore_previous_hosts is not False,
    )


def _retry_on(text: str) -> tuple[frozenset[str], frozenset[int]]:
    """Conditions and status numbers; a number turns on `retriable-status-codes`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        return DEFAULT.conditions, DEFAULT.statuses
    statuses = frozenset(int(part) for part in parts if part.isdigit())
    names = frozenset(part for part in parts if not part.isdigit())
    return names | ({"retriable-status-codes"} if statuses else frozenset()), statuses


def build_fault(fault: HTTPFaultInjection | None) -> Fault | None:
    """None where nothing can happen: a percentage that is absent is zero."""
    if fault is None:
        return None
    delay, abort = fault.delay, fault.abort
    delay_share = share(delay.percentage, delay.percent) if delay is not None and delay.fixed_delay else 0
    status = (abort.http_status or 0) if abort is not None else 0
    grpc_status = _GRPC_STATUSES.get(abort.grpc_status) if abort is not None else None
    has_abort = bool(status) or grpc_status is not None
    abort_share = share(abort.percentage, 0) if abort is not None and has_abort else 0
    if not delay_share and not abort_share:
        return None
    return Fault(
        delay=delay.fixed_delay or 0.0 if delay is not None and delay_share else 0.0,
        delay_share=delay_share,
        abort_status=status if abort_share else 0,
        abort_grpc_status=grpc_status if abort_share else None,
        abort_share=abort_share,
    )


def build_cors(policy: CorsPolicy | None) -> Cors | None:
    """`allowOrigin` counts only where there are no `allowOrigins`."""
    if policy is None:
        return None
    return Cors(
        origins=tuple(build_value(match) for match in policy.allow_origins)
        or tuple(Exact(origin.encode()) for origin in policy.allow_origin),
        methods=_listed(policy.allow_methods),
        headers=_listed(policy.allow_headers),
        expose_headers=_listed(policy.expose_headers),
        max_age=int(policy.max_age) if policy.max_age is not None else None,
        credentials=bool(policy.allow_credentials),
        forward_unmatched_preflights=policy.unmatched_preflights != "IGNORE",
    )


def _listed(names: tuple[str, ...]) -> bytes:
    return ",".join(names).encode()


def https_redirect() -> Redirect:
    """Of a Gateway server with `httpsRedirect`: Envoy keeps the Host as it is, its port included."""
    return Redirect(status=301, scheme=b"https", keep_host=True)
