"""Where a message stands in its file, and where each of its fields does.

A `Place` is a link to its parent plus the marks of its own fields: paths are put together only when asked for.
Its `error` and `warning` make the Problems of validation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from meshproxy.base.origin import Origin
from meshproxy.model.problem import SCHEMA_ERROR, SCHEMA_WARNING, Level, Problem

Mark = tuple[int, int]
_RULE = re.compile(r"spec\.(?:http|tls|tcp)\[(\d+)\]")


_IRREGULAR = {"meta": "metadata", "cluster_ip": "clusterIP", "cluster_ips": "clusterIPs", "pod_ip": "podIP"}


def json_name(name: str) -> str:
    """The written name of a field: `without_headers` is `withoutHeaders`, as proto JSON has it."""
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    head, *rest = name.rstrip("_").split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


@dataclass(frozen=True, slots=True)
class Home:
    """The file and the resource (`VirtualService default/reviews`) all places of one document share."""

    file: str
    resource: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The place of one message. `key` is its step from the parent, such as `http[0]` or `spec`.

    `marks` holds line and column of each field written, by the field's name in snake_case, of list elements
    (`hosts[1]`) and of map entries (`headers.end-user`).
    """

    home: Home
    mark: Mark
    key: str = ""
    parent: Place | None = None
    marks: dict[str, Mark] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The path inside the resource, such as `spec.http[0].route[1]`."""
        return f"{self.parent.path}.{self.key}" if self.parent is not None and self.parent.key else self.key

    @property
    def origin(self) -> Origin:
        """The message's own origin."""
        return self._origin(self.mark, self.path)

    def field(self, name: str, item: int | str | None = None) -> Origin:
        """Origin of the field `name` (snake_case), or of its list element or map entry `item`;
        of the nearest thing written where it is absent."""
        whole = where(name, item)
        mark = self.marks.get(whole) or self.marks.get(name) or self.mark
        shown = where(json_name(name), item)
        return self._origin(mark, f"{self.path}.{shown}" if self.key else shown)

    def error(self, name: str, message: str, item: int | str | None = None) -> Problem:
        """A schema validation error at the field `name`, or at the message where `name` is empty."""
        return Problem(SCHEMA_ERROR, Level.ERROR, message, self._of(name, item))

    def warning(self, name: str, message: str, item: int | str | None = None) -> Problem:
        """A schema warning at the field `name`, or at the message where `name` is empty."""
        return Problem(SCHEMA_WARNING, Level.WARNING, message, self._of(name, item))

    def _of(self, name: str, item: int | str | None) -> Origin:
        return self.field(name, item) if name else self.origin

    def _origin(self, mark: Mark, path: str) -> Origin:
        rule = _RULE.match(path)
        return Origin(self.home.file, *mark, self.home.resource, path, int(rule[1]) if rule else None)


NOWHERE = Place(Home("-"), (1, 1))


def where(name: str, item: int | str | None) -> str:
    """`hosts[1]` for a list element, `headers.end-user` for a map entry, `hosts` for neither."""
    if item is None:
        return name
    return f"{name}[{item}]" if isinstance(item, int) else f"{name}.{item}"
