"""Envoy's command operators, `%COMMAND(argument):length%`: how they are written and what each says of a record.

One table serves access logs and header values. An operator is a Python expression over the record, so that a
format becomes one function without a call per field (`access_log.py`). What a user writes never becomes
source: arguments are bound as values under names of ours.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from meshproxy.base import clock
from meshproxy.base.headers import Fields
from meshproxy.telemetry.record import Record
from meshproxy.telemetry.start_time import StartTime

Value = str | bytes | int | None

_OPERATOR = re.compile(r"%([A-Z][A-Z0-9_]*)(?:\(([^)]*)\))?(?::(\d+))?%")
_SPELLINGS = 4096  # of header names a picker remembers


_ATTRIBUTE = re.compile(r"\b[rq]\.[a-z_]+")


class Operator(NamedTuple):
    """One operator of a format. `position` is its offset in the format."""

    command: str
    argument: str = ""
    length: int | None = None
    position: int = 0


class Kind(Enum):
    """What an expression gives, and what it gives where there is no value."""

    TEXT = auto()  # str, "" for none
    BYTES = auto()  # bytes, never none
    HEADER = auto()  # bytes, None for none
    NUMBER = auto()  # int, never none
    PORT = auto()  # int, None for none


class Need(Enum):
    """Whether an operator takes an argument."""

    NONE = auto()
    OPTIONAL = auto()
    REQUIRED = auto()


@dataclass(slots=True)
class Scope:
    """What the expressions of one function refer to: bound values, and the header names to pick in one pass.
    `shorter` says how attributes, such as `r.details`, can be had of the records it is for; the source of them is ours.
    """

    shorter: Mapping[str, str] = field(default_factory=dict)
    bound: dict[str, object] = field(default_factory=dict)
    headers: dict[str, list[bytes]] = field(default_factory=dict)

    def bind(self, value: object) -> str:
        name = f"v{len(self.bound)}"
        self.bound[name] = value
        return name

    def header(self, source: str, name: str) -> str:
        names = self.headers.setdefault(source, [])
        wanted = name.lower().encode()
        if wanted not in names:
            names.append(wanted)
        return f"{source}[{names.index(wanted)}]"


class Expression(NamedTuple):
    """Python source over `r` (the record), `q` (its request) and what its scope binds."""

    source: str
    kind: Kind


_Build = Callable[[str, Scope], Expression]


@dataclass(frozen=True, slots=True)
class _Spec:
    build: _Build
    need: Need = Need.NONE
    length: bool = False


def _plain(source: str, kind: Kind = Kind.TEXT) -> _Spec:
    return _Spec(lambda argument, scope: Expression(source, kind))


def _start_time(argument: str, scope: Scope) -> Expression:
    return Expression(f"{scope.bind(StartTime(argument).render)}(r.started)", Kind.TEXT)


def _environment(argument: str, scope: Scope) -> Expression:
    return Expression(scope.bind(os.environ.get(argument, "")), Kind.TEXT)


def _hostname(argument: str, scope: Scope) -> Expression:
    return Expression(scope.bind(socket.gethostname()), Kind.TEXT)


#: Fields that a record knows by another way than by searching its headers.
_KNOWN_FIELDS: dict[str, dict[str, Expression]] = {
    "req": {
        ":method": Expression("q.method", Kind.BYTES),
        ":path": Expression("r.target", Kind.BYTES),
        ":scheme": Expression("q.scheme", Kind.BYTES),
        ":authority": Expression("r.authority", Kind.BYTES),
        "host": Expression("r.authority", Kind.BYTES),
        "x-envoy-original-path": Expression("r.original_path", Kind.HEADER),
    },
    "resp": {
        ":status": Expression("(b'%d' % r.status if r.status else None)", Kind.HEADER),
        "x-envoy-upstream-service-time": Expression("milliseconds(r.upstream_service_time)", Kind.HEADER),
    },
    "trailer": {},
}

#: What is found of the fields of each source, as source code.
_PICKED = {
    "req": "r.pick_upstream(pick_req)",
    "resp": "pick_resp(r.response_fields)",
    "trailer": "pick_trailer(r.response_trailers)",
}


def _field(source: str) -> _Build:
    def build(argument: str, scope: Scope) -> Expression:
        names = argument.split("?")
        if len(names) > 2:
            raise ValueError("only one alternative header is allowed")
        if not names[0] or any(not name.isascii() or any(c.isspace() for c in name) for name in names):
            raise ValueError(f"not a header name: {argument!r}")
        parts = [
            _KNOWN_FIELDS[source].get(name.lower()) or Expression(scope.header(source, name), Kind.HEADER)
            for name in names
        ]
        if len(parts) == 1 or parts[0].kind is Kind.BYTES:
            return parts[0]
        either = f"(y if (y := {parts[0].source}) is not None else {parts[1].source})"
        return Expression(either, parts[1].kind)

    return build


def _without_query(argument: str, scope: Scope) -> Expression:
    whole = _field("req")(argument, scope)
    if whole.kind is Kind.BYTES:
        return Expression(f"{whole.source}.partition(b'?')[0]", Kind.BYTES)
    return Expression(f"(z.partition(b'?')[0] if (z := {whole.source}) is not None else None)", Kind.HEADER)


def milliseconds(seconds: float | None) -> bytes | None:
    """As the field has them that tells of the upstream's time."""
    return None if seconds is None else b"%d" % int(seconds * 1000)


def without_port(address: str) -> str:
    """`10.0.0.1` of `10.0.0.1:80`, `::1` of `[::1]:80`; a path of a Unix socket as it is."""
    host, colon, port = address.rpartition(":")
    return host.strip("[]") if colon and port.isdecimal() else address


def port_of(address: str) -> int | None:
    """The port of `ip:port`; None where there is none."""
    port = address.rpartition(":")[2]
    return int(port) if port.isdecimal() else None


def _underscored(attribute: str) -> _Spec:
    return _plain(f"r.{attribute}.replace(' ', '_')")


def _address(command: str, source: str) -> dict[str, _Spec]:
    return {
        f"{command}_ADDRESS": _plain(source),
        f"{command}_ADDRESS_WITHOUT_PORT": _plain(f"without_port({source})"),
        f"{command}_PORT": _plain(f"port_of({source})", Kind.PORT),
    }


OPERATORS: dict[str, _Spec] = {
    "START_TIME": _Spec(_start_time, Need.OPTIONAL),
    "REQ": _Spec(_field("req"), Need.REQUIRED, length=True),
    "REQ_WITHOUT_QUERY": _Spec(_without_query, Need.REQUIRED, length=True),
    "RESP": _Spec(_field("resp"), Need.REQUIRED, length=True),
    "TRAILER": _Spec(_field("trailer"), Need.REQUIRED, length=True),
    "PROTOCOL": _plain("q.version", Kind.BYTES),
    "RESPONSE_CODE": _plain("r.status", Kind.NUMBER),
    "RESPONSE_FLAGS": _plain("(r.flags or '-')"),
    "RESPONSE_CODE_DETAILS": _underscored("details"),
    "CONNECTION_TERMINATION_DETAILS": _plain("r.termination_details"),
    "BYTES_RECEIVED": _plain("r.bytes_received", Kind.NUMBER),
    "BYTES_SENT": _plain("r.bytes_sent", Kind.NUMBER),
    "DURATION": _plain("int(r.duration * 1000)", Kind.NUMBER),
    "ROUTE_NAME": _plain("r.route_name"),
    "REQUESTED_SERVER_NAME": _plain("r.requested_server_name"),
    "UPSTREAM_HOST": _plain("r.upstream_host"),
    "UPSTREAM_CLUSTER": _plain("r.upstream_cluster"),
    "UPSTREAM_CLUSTER_RAW": _plain("r.upstream_cluster"),
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": _plain("r.attempts", Kind.NUMBER),
    "UPSTREAM_TRANSPORT_FAILURE_REASON": _underscored("transport_failure"),
    "HOSTNAME": _Spec(_hostname),
    "ENVIRONMENT": _Spec(_environment, Need.REQUIRED, length=True),
    # Envoy names the host it chose even if it could not connect, the remote address only if it could
    **_address("UPSTREAM_REMOTE", "(r.upstream_local_address and r.upstream_host)"),
    **_address("UPSTREAM_LOCAL", "r.upstream_local_address"),
    **_address("DOWNSTREAM_LOCAL", "r.downstream_local_address"),
    **_address("DOWNSTREAM_REMOTE", "r.downstream_remote_address"),
    **_address("DOWNSTREAM_DIRECT_REMOTE", "r.downstream_remote_address"),
}


def parse(text: str) -> tuple[str | Operator, ...]:
    """The literals and operators of a format, in turn; `%%` is a literal percent sign.

    Raises `ValueError` with the position (from 1) of what cannot be understood.
    """
    parts: list[str | Operator] = []
    literal = ""
    position = 0
    while (start := text.find("%", position)) >= 0:
        literal += text[position:start]
        if text.startswith("%%", start):
            literal += "%"
            position = start + 2
            continue
        found = _OPERATOR.match(text, start)
        if found is None:
            raise ValueError(
                f"position {start + 1}: no operator begins with {text[start : start + 20]!r}; write %% for %"
            )
        if literal:
            parts.append(literal)
            literal = ""
        length = int(found[3]) if found[3] else None
        parts.append(_checked(Operator(found[1], found[2] or "", length, start), takes=found[2] is not None))
        position = found.end()
    if literal := literal + text[position:]:
        parts.append(literal)
    return tuple(parts)


def _checked(operator: Operator, *, takes: bool) -> Operator:
    spec = OPERATORS.get(operator.command)
    problem = ""
    if spec is None:
        near = difflib.get_close_matches(operator.command, OPERATORS, 1)
        problem = "is not an operator known here" + (f"; did you mean %{near[0]}%?" if near else "")
    elif spec.need is Need.REQUIRED and not operator.argument:
        problem = "needs an argument in parentheses"
    elif spec.need is Need.NONE and takes:
        problem = "takes no argument"
    elif operator.length is not None and not spec.length:
        problem = "takes no length"
    if problem:
        raise ValueError(f"position {operator.position + 1}: %{operator.command}% {problem}")
    expression(operator, Scope())  # so that a bad argument is found here, with its position
    return operator


def expression(operator: Operator, scope: Scope) -> Expression:
    """The operator as source, its bound values and headers entered into `scope`."""
    try:
        source, kind = OPERATORS[operator.command].build(operator.argument, scope)
    except ValueError as error:
        raise ValueError(f"position {operator.position + 1}: %{operator.command}%: {error}") from None
    source = _ATTRIBUTE.sub(lambda found: scope.shorter.get(found[0], found[0]), source)
    if operator.length is None:
        return Expression(source, kind)
    if kind is Kind.HEADER:
        return Expression(f"(w[:{operator.length}] if (w := {source}) is not None else None)", kind)
    return Expression(f"{source}[:{operator.length}]", kind)


class FieldPicker:
    """The first value of each of some header fields, in one pass over them; None where it is missing.

    Remembers how names are spelled, so that a known spelling costs one look-up.
    """

    __slots__ = ("_names", "_nothing", "_slots", "names")

    def __init__(self, names: list[bytes]) -> None:
        self.names = tuple(names)
        self._names = {name: slot for slot, name in enumerate(names)}
        self._nothing: list[bytes | None] = [None] * len(names)
        self._slots: dict[bytes, int] = {}

    def __call__(self, fields: Fields) -> list[bytes | None]:
        found = self._nothing.copy()
        slots = self._slots
        for name, value in fields:
            slot = slots.get(name)
            if slot is None:
                slot = self._learn(name)
            if slot >= 0 and found[slot] is None:
                found[slot] = value
        return found

    def _learn(self, name: bytes) -> int:
        if len(self._slots) >= _SPELLINGS:
            self._slots.clear()
        slot = self._slots[name] = self._names.get(name.lower(), -1)
        return slot


def namespace(scope: Scope) -> dict[str, object]:
    """The globals of a function made of the scope's expressions."""
    pickers = {f"pick_{source}": FieldPicker(names) for source, names in scope.headers.items()}
    ours = {"without_port": without_port, "port_of": port_of, "milliseconds": milliseconds, "wall": clock.wall}
    return {**ours, **pickers, **scope.bound}


def preamble(scope: Scope) -> str:
    """The first statements of such a function, which must have the parameter `r`."""
    picks = [f"    {source} = {_PICKED[source]}\n" for source in scope.headers]
    return "    q = r.request\n" + "".join(picks)


@lru_cache(maxsize=1024)
def getter(operator: Operator) -> Callable[[Record], Value]:
    """A function that gives the operator's value for a record; None or empty where there is none."""
    scope = Scope()
    source = expression(operator, scope).source
    names = namespace(scope)
    exec(f"def get(r):\n{preamble(scope)}    return {source}\n", names)
    made: Callable[[Record], Value] = names["get"]  # type: ignore[assignment]
    return made


def value_of(record: Record, command: str, argument: str, length: int | None = None) -> bytes:
    """What an operator is in a header value: empty, not `-`, where there is no value."""
    value = getter(Operator(command, argument, length))(record)
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode("utf-8", "surrogateescape")
