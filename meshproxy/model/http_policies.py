"""What a rule does with a request besides routing it: retries, faults, mirrors, CORS, rewrites, redirects."""

from dataclasses import dataclass

from meshproxy.model.destination import Destination
from meshproxy.model.http_match import StringMatch
from meshproxy.model.reader import (
    INT32,
    Message,
    boolean,
    double,
    duration,
    enum,
    message,
    messages,
    octets,
    text,
    texts,
    whole,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent(Message):
    value: float = double()


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRedirect(Message):
    uri: str = text()
    authority: str = text()
    port: int | None = whole(default=None)
    derive_port: str = enum("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT")
    scheme: str = text()
    redirect_code: int = whole()
    prefix_rewrite: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPBody(Message):
    string: str | None = text(default=None)
    bytes: "bytes | None" = octets()


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPDirectResponse(Message):
    status: int = whole()
    body: HTTPBody | None = message(HTTPBody)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate(Message):
    name: str = text()
    namespace: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexRewrite(Message):
    match: str = text()
    rewrite: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRewrite(Message):
    uri: str = text()
    authority: str = text()
    uri_regex_rewrite: RegexRewrite | None = message(RegexRewrite)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRetry(Message):
    attempts: int = whole(-INT32, INT32)
    per_try_timeout: float | None = duration()
    retry_on: str = text()
    retry_remote_localities: bool | None = boolean(None)
    retry_ignore_previous_hosts: bool | None = boolean(None)
    backoff: float | None = duration()


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy(Message):
    allow_origin: tuple[str, ...] = texts()
    allow_origins: tuple[StringMatch, ...] = messages(StringMatch)
    allow_methods: tuple[str, ...] = texts()
    allow_headers: tuple[str, ...] = texts()
    expose_headers: tuple[str, ...] = texts()
    max_age: float | None = duration()
    allow_credentials: bool | None = boolean(None)
    unmatched_preflights: str = enum("UNSPECIFIED", "FORWARD", "IGNORE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(Message):
    percent: int = whole(-INT32, INT32)
    fixed_delay: float | None = duration()
    exponential_delay: float | None = duration()
    percentage: Percent | None = message(Percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort(Message):
    http_status: int | None = whole(-INT32, INT32, default=None)
    grpc_status: str = text()
    http2_error: str = text()
    percentage: Percent | None = message(Percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPFaultInjection(Message):
    delay: Delay | None = message(Delay)
    abort: Abort | None = message(Abort)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPMirrorPolicy(Message):
    destination: Destination | None = message(Destination)
    percentage: Percent | None = message(Percent)
