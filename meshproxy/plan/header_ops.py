"""Header manipulation as Envoy does it: remove, then set, then add (`common/router/header_parser.cc`).

Values are templates: literal bytes, or `%COMMAND%`s that are looked up when they are applied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from meshproxy.base.headers import Fields

Lookup = Callable[[str, str], bytes]
"""(command, argument) → its value for this request, empty where there is none: `("REQ", "user-agent")`."""


@dataclass(frozen=True, slots=True)
class Template:
    """A header value: literals and commands in turn. `parts` of plain bytes are literals."""

    parts: tuple[bytes | tuple[str, str], ...]

    def render(self, lookup: Lookup) -> bytes:
        return b"".join(part if isinstance(part, bytes) else lookup(*part) for part in self.parts)

    @property
    def text(self) -> str:
        """As it was written."""
        shown = ""
        for part in self.parts:
            if isinstance(part, bytes):
                shown += part.decode("utf-8", "replace").replace("%", "%%")
            else:
                command, argument = part
                shown += f"%{command}({argument})%" if argument else f"%{command}%"
        return shown


@dataclass(frozen=True, slots=True)
class HeaderOps:
    """`remove` in lower case; `set` and `add` as (name, template). A value that renders empty is not written,
    and leaves an existing header alone."""

    remove: frozenset[bytes] = frozenset()
    set: tuple[tuple[bytes, Template], ...] = ()
    add: tuple[tuple[bytes, Template], ...] = ()

    def strip(self, fields: Fields) -> Fields:
        """A new list without what is removed: what the values of the others are looked up in."""
        return [pair for pair in fields if pair[0].lower() not in self.remove] if self.remove else list(fields)

    def apply(self, fields: Fields, lookup: Lookup) -> Fields:
        """A new list; `fields` stays as it is."""
        out = self.strip(fields)
        for name, template in self.set:
            if value := template.render(lookup):
                lower = name.lower()
                out = [pair for pair in out if pair[0].lower() != lower]
                out.append((name, value))
        for name, template in self.add:
            if value := template.render(lookup):
                out.append((name, value))
        return out
