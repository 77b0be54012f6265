"""What a rule does with a request besides routing it: redirects, rewrites, retries, faults, mirrors, CORS."""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from meshproxy.model.checks import (
    cors_header_name,
    fine_percent,
    http_status,
    milliseconds,
    not_negative,
    optional_dns_label,
    percent,
    regex,
)
from meshproxy.model.destination import Destination
from meshproxy.model.fields import INT32, boolean, double, duration, enum, message, messages, octets, text, texts, whole
from meshproxy.model.http_match import StringMatch
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Check, Message

_Bytes = bytes
_REDIRECT_CODES = frozenset((301, 302, 303, 307, 308))
_WRITE_CODE = "write 301, 302, 303, 307 or 308"
_LARGE_BODY, _LARGEST_BODY = 100 * 1024, 1024 * 1024
_RETRY_ON = frozenset(
    """5xx gateway-error reset reset-before-request connect-failure retriable-4xx refused-stream
    retriable-status-codes retriable-headers envoy-ratelimited http3-post-connect-failure
    cancelled deadline-exceeded internal resource-exhausted unavailable""".split()
)
_STATUSES = frozenset(str(status.value) for status in HTTPStatus)
_CORS_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"))
_GRPC_STATUSES = frozenset(
    """OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED
    RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS
    UNAUTHENTICATED""".split()
)


def _cors_method(name: str) -> str | None:
    if name in _CORS_METHODS:
        return None
    return f'"{name}" is not an HTTP method CORS knows: write it in capitals, or "*" for all'


def _grpc_status(name: str) -> str | None:
    if not name or name in _GRPC_STATUSES:
        return None
    return f'"{name}" is not a gRPC status: write its name, such as "UNAVAILABLE"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent(Message):
    value: float = double()


def percentage_problems(percentage: Percent | None, check: Check) -> Iterator[Problem]:
    """What is wrong with a percentage: faults are finer than mirrors."""
    if percentage is not None and (wrong := check(percentage.value)):
        yield percentage.at.error("value", wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRedirect(Message):
    ONE_OF: ClassVar = (("port", "derive_port"),)

    uri: str = text()
    authority: str = text()
    port: int | None = whole(0, 65535, default=None)
    derive_port: str = enum("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT")
    scheme: str = text()
    redirect_code: int = whole()
    prefix_rewrite: str = text()

    def rules(self) -> Iterator[Problem]:
        if self.uri and self.prefix_rewrite:
            yield self.at.error("prefix_rewrite", "uri and prefixRewrite exclude each other: keep one")
        changes = (self.uri, self.prefix_rewrite, self.authority, self.scheme, self.derive_port)
        if not any(changes) and "port" not in self.at.marks:
            yield self.at.error("", "a redirect needs a uri, prefixRewrite, authority, scheme or port to go to")
        if self.redirect_code and not 300 <= self.redirect_code <= 399:
            yield self.at.error("redirect_code", f"{self.redirect_code} is not a redirect: {_WRITE_CODE}")
        elif self.redirect_code and self.redirect_code not in _REDIRECT_CODES:
            yield self.at.warning("redirect_code", f"Envoy cannot redirect with {self.redirect_code}: {_WRITE_CODE}")
        if self.scheme not in ("", "http", "https"):
            yield self.at.error("scheme", f'"{self.scheme}" is not a scheme to redirect to: write http or https')


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPBody(Message):
    ONE_OF: ClassVar = (("string", "bytes"),)

    string: str | None = text(default=None)
    bytes: _Bytes | None = octets()

    @property
    def content(self) -> _Bytes:
        """The body, by whichever field it is written."""
        return (self.string or "").encode() if self.bytes is None else self.bytes

    def rules(self) -> Iterator[Problem]:
        size = len(self.content)
        if size > _LARGEST_BODY:
            yield self.at.error("", f"a body of {size} bytes: at most 1 MiB is allowed")
        elif size > _LARGE_BODY:
            yield self.at.warning("", f"a body of {size} bytes is large for a configuration")


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPDirectResponse(Message):
    status: int = whole(required=True, check=http_status)
    body: HTTPBody | None = message(HTTPBody)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate(Message):
    name: str = text(required=True)
    namespace: str = text(optional_dns_label)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexRewrite(Message):
    match: str = text(regex, required=True)
    rewrite: str = text(required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRewrite(Message):
    uri: str = text()
    authority: str = text()
    uri_regex_rewrite: RegexRewrite | None = message(RegexRewrite)

    def rules(self) -> Iterator[Problem]:
        if self.uri and self.uri_regex_rewrite is not None:
            yield self.at.error("uri_regex_rewrite", "uri and uriRegexRewrite exclude each other: keep one")
        if not (self.uri or self.authority) and self.uri_regex_rewrite is None:
            yield self.at.error("", "a rewrite needs a uri, a uriRegexRewrite or an authority")


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRetry(Message):
    attempts: int = whole(-INT32, INT32, check=not_negative)
    per_try_timeout: float | None = duration(milliseconds)
    retry_on: str = text()
    retry_remote_localities: bool | None = boolean(None)
    retry_ignore_previous_hosts: bool | None = boolean(None)
    backoff: float | None = duration(milliseconds)

    def rules(self) -> Iterator[Problem]:
        if not self.attempts:
            for name in ("per_try_timeout", "retry_on", "retry_remote_localities"):
                if name in self.at.marks:
                    yield self.at.error(name, "attempts is 0, which switches retries off: set attempts or remove this")
                    break
        for condition in self.retry_on.split(",") if self.retry_on else ():
            if condition not in _RETRY_ON and condition not in _STATUSES:
                hint = ": no spaces are allowed" if condition.strip() in _RETRY_ON | _STATUSES else ""
                yield self.at.error("retry_on", f'"{condition}" is neither a retry condition nor an HTTP status{hint}')


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy(Message):
    allow_origin: tuple[str, ...] = texts()
    allow_origins: tuple[StringMatch, ...] = messages(StringMatch)
    allow_methods: tuple[str, ...] = texts(_cors_method)
    allow_headers: tuple[str, ...] = texts(cors_header_name)
    expose_headers: tuple[str, ...] = texts(cors_header_name)
    max_age: float | None = duration(milliseconds)
    allow_credentials: bool | None = boolean(None)
    unmatched_preflights: str = enum("UNSPECIFIED", "FORWARD", "IGNORE")

    def rules(self) -> Iterator[Problem]:
        for origin in self.allow_origins:
            if not (origin.exact or origin.prefix or origin.regex):
                yield origin.at.error("", "an origin must not be empty: write exact, prefix or regex")
            elif origin.regex and (wrong := regex(origin.regex)):
                yield origin.at.error("regex", wrong)
        if self.max_age is not None and self.max_age % 1:
            yield self.at.error("max_age", "maxAge must be whole seconds: browsers know no fractions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(Message):
    ONE_OF: ClassVar = (("fixed_delay", "exponential_delay"),)

    percent: int = whole(0, 100)
    fixed_delay: float | None = duration(milliseconds)
    exponential_delay: float | None = duration()
    percentage: Percent | None = message(Percent)

    def rules(self) -> Iterator[Problem]:
        yield from percentage_problems(self.percentage, fine_percent)
        if self.exponential_delay is not None:
            yield self.at.error("exponential_delay", "Istio does not support exponentialDelay: write fixedDelay")


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort(Message):
    ONE_OF: ClassVar = (("http_status", "grpc_status", "http2_error"),)

    http_status: int | None = whole(-INT32, INT32, default=None, check=http_status)
    grpc_status: str = text(_grpc_status)
    http2_error: str = text()
    percentage: Percent | None = message(Percent)

    def rules(self) -> Iterator[Problem]:
        yield from percentage_problems(self.percentage, fine_percent)
        if self.http2_error:
            yield self.at.error("http2_error", "Istio does not support http2Error: write httpStatus or grpcStatus")
        elif not self.at.marks.keys() & {"http_status", "grpc_status"}:
            yield self.at.warning("", "this abort has neither httpStatus nor grpcStatus and does nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPFaultInjection(Message):
    delay: Delay | None = message(Delay)
    abort: Abort | None = message(Abort)

    def rules(self) -> Iterator[Problem]:
        if self.delay is None and self.abort is None:
            yield self.at.error("", "a fault needs a delay, an abort or both")


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPMirrorPolicy(Message):
    destination: Destination | None = message(Destination, required=True)
    percentage: Percent | None = message(Percent)

    def rules(self) -> Iterator[Problem]:
        yield from percentage_problems(self.percentage, percent)
