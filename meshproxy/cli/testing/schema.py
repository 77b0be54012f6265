"""What may stand in a file of route tests, ours and istio-config-validator's: one dataclass per mapping.

Read by the model's reader, so a wrong key is an error with its line. What each field means is in the README.
"""

# ruff: noqa: RUF009 (the fields of a message are declared by calls that make dataclass fields)

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from meshproxy.model.destination import HTTPRouteDestination
from meshproxy.model.fields import boolean, double, duration, message, messages, text, text_map, texts, whole
from meshproxy.model.fields import whole_or_text as rule_reference
from meshproxy.model.headers import Headers
from meshproxy.model.http_policies import Delegate, HTTPFaultInjection, HTTPRedirect, HTTPRewrite
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRequest(Message):
    """`url`, or `host` with `path` (and `port`), or a `curl` line. `labels` and `namespace` are the caller's."""

    url: str = text()
    host: str = text()
    port: int = whole(1, 65535)
    path: str = text()
    method: str = text()
    headers: Mapping[str, str] = text_map()
    curl: str = text()
    gateway: str = text()
    namespace: str = text()
    labels: Mapping[str, str] = text_map()

    def rules(self) -> Iterator[Problem]:
        given = [name for name in ("url", "host", "curl") if getattr(self, name)]
        if len(given) != 1:
            yield self.at.error(given[1] if given else "", "a request has one of url, host and curl")
        for name in ("port", "path"):
            if not self.host and name in self.at.marks and given:
                yield self.at.error(name, f"{name} goes with host: a {given[0]} has its own")
        for name in ("method", "headers"):
            if self.curl and name in self.at.marks:
                yield self.at.error(name, f"the curl line has its own {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedDestination(Message):
    host: str = text(required=True)
    subset: str = text()
    port: int = whole(1, 65535)
    weight: int = whole()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedMirror(Message):
    host: str = text(required=True)
    subset: str = text()
    port: int = whole(1, 65535)
    percentage: float = double()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRewrite(Message):
    uri: str = text()
    authority: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRedirect(Message):
    status: int = whole(300, 399)
    location: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedResponse(Message):
    status: int = whole(200, 599)
    body: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedDelay(Message):
    fixed_delay: float | None = duration()
    percentage: float = double()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAbort(Message):
    http_status: int = whole(200, 599)
    grpc_status: int = whole(0, 16)
    percentage: float = double()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFault(Message):
    delay: ExpectedDelay | None = message(ExpectedDelay)
    abort: ExpectedAbort | None = message(ExpectedAbort)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRetries(Message):
    attempts: int = whole()
    per_try_timeout: float | None = duration()
    retry_on: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect(Message):
    """Only what is written is compared; an empty mapping or list expects that there is none."""

    virtual_service: str = text()
    rule: int | str = rule_reference()
    destination: ExpectedDestination | None = message(ExpectedDestination)
    destinations: tuple[ExpectedDestination, ...] = messages(ExpectedDestination)
    status: int = whole(100, 599)
    flag: str = text()
    redirect: ExpectedRedirect | None = message(ExpectedRedirect)
    direct_response: ExpectedResponse | None = message(ExpectedResponse)
    rewrite: ExpectedRewrite | None = message(ExpectedRewrite)
    fault: ExpectedFault | None = message(ExpectedFault)
    timeout: float | None = duration()
    retries: ExpectedRetries | None = message(ExpectedRetries)
    mirrors: tuple[ExpectedMirror, ...] = messages(ExpectedMirror)
    headers: Headers | None = message(Headers)

    def rules(self) -> Iterator[Problem]:
        if not self.at.marks:
            yield self.at.error("", "a case without expectations tests nothing")
        if self.destination is not None and "destinations" in self.at.marks:
            yield self.at.error("destinations", "destination and destinations exclude each other: keep one")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTest(Message):
    """One case; its `matrix` has been expanded before it is read."""

    name: str = text(required=True)
    request: CaseRequest | None = message(CaseRequest, required=True)
    expect: Expect | None = message(Expect, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorRequest(Message):
    """All combinations of the lists are asked."""

    authority: tuple[str, ...] = texts(required=True)
    method: tuple[str, ...] = texts(required=True)
    uri: tuple[str, ...] = texts(required=True)
    headers: Mapping[str, str] = text_map()


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorCase(Message):
    """A test case of istio-config-validator: what is written in Istio's words must be (or not be) the rule's."""

    description: str = text()
    want_match: bool = boolean()
    request: ValidatorRequest | None = message(ValidatorRequest, required=True)
    route: tuple[HTTPRouteDestination, ...] = messages(HTTPRouteDestination)
    redirect: HTTPRedirect | None = message(HTTPRedirect)
    rewrite: HTTPRewrite | None = message(HTTPRewrite)
    fault: HTTPFaultInjection | None = message(HTTPFaultInjection)
    headers: Headers | None = message(Headers)
    delegate: Delegate | None = message(Delegate)
