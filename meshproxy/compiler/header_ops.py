"""Headers of routes and destinations to header operations of the plan, and to the Host they ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from meshproxy.compiler.report import Report
from meshproxy.model.headers import HeaderOperations, Headers
from meshproxy.plan.header_ops import HeaderOps, Template

_COMMAND = re.compile(r"%(?:%|(?P<name>[A-Z0-9_]+)(?:\((?P<argument>[^)]*)\))?(?P<length>:\d+)?%)")
_HOST = frozenset(("host", ":authority"))
_NOTHING = HeaderOps()


@dataclass(frozen=True, slots=True)
class HeaderChanges:
    """What one `headers` asks for. `authority` is the Host, which only request operations may name."""

    request: HeaderOps = _NOTHING
    response: HeaderOps = _NOTHING
    authority: bytes | None = None

    def then(self, later: HeaderChanges) -> HeaderChanges:
        """Both as one list: all removals, then all overwrites, then all additions, `later`'s behind ours. A Host
        counts from `later` only where we name none."""
        return HeaderChanges(
            _joined(self.request, later.request),
            _joined(self.response, later.response),
            self.authority if self.authority is not None else later.authority,
        )


def build_headers(headers: Headers | None, report: Report) -> HeaderChanges:
    if headers is None:
        return HeaderChanges()
    return HeaderChanges(
        _operations(headers.request, report), _operations(headers.response, report), _authority(headers.request)
    )


def or_none(ops: HeaderOps) -> HeaderOps | None:
    """Operations that do nothing cost nothing."""
    return ops if ops.remove or ops.set or ops.add else None


def build_template(text: str) -> Template:
    """`%REQ(user-agent)%` is a command, `%%` a percent sign, all else literal."""
    parts: list[bytes | tuple[str, str]] = []
    literal = ""
    position = 0
    for found in _COMMAND.finditer(text):
        literal += text[position : found.start()]
        position = found.end()
        if found["name"] is None:
            literal += "%"
            continue
        if literal:
            parts.append(literal.encode())
        literal = ""
        parts.append((found["name"], found["argument"] or ""))
    literal += text[position:]
    return Template((*parts, literal.encode()) if literal else tuple(parts))


def _operations(operations: HeaderOperations | None, report: Report) -> HeaderOps:
    if operations is None:
        return _NOTHING
    for field in ("set", "add"):
        for name, value in getattr(operations, field).items():
            if any(found["length"] for found in _COMMAND.finditer(value)):
                report.unsupported(f"a maximal length (`:N`) in the value of {name}", operations.at.field(field, name))
    return HeaderOps(
        frozenset(name.lower().encode() for name in operations.remove if not _is_reserved(name)),
        _values(operations.set),
        _values(operations.add),
    )


def _values(values: Mapping[str, str]) -> tuple[tuple[bytes, Template], ...]:
    """Sorted by name, as Istio emits them."""
    return tuple(
        (name.encode(), build_template(value)) for name, value in sorted(values.items()) if not _is_reserved(name)
    )


def _is_reserved(name: str) -> bool:
    """Host is rewritten, not operated on; what else begins with a colon is nobody's to change."""
    return name.startswith(":") or name.lower() in _HOST


def _authority(operations: HeaderOperations | None) -> bytes | None:
    """The Host that request operations ask for: `set` before `add`."""
    if operations is None:
        return None
    return next(
        (
            value.encode()
            for values in (operations.set, operations.add)
            for name, value in sorted(values.items())
            if name.lower() in _HOST
        ),
        None,
    )


def _joined(first: HeaderOps, later: HeaderOps) -> HeaderOps:
    return HeaderOps(first.remove | later.remove, first.set + later.set, first.add + later.add)
