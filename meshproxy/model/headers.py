"""Header manipulation of a route or a destination."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from meshproxy.model.checks import changeable_header, header_value, is_authority, settable_request_header
from meshproxy.model.fields import message, text_map, texts
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderOperations(Message):
    """Which names may be changed depends on the direction: see `Headers`."""

    set: Mapping[str, str] = text_map(header_value)
    add: Mapping[str, str] = text_map(header_value)
    remove: tuple[str, ...] = texts(changeable_header)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers(Message):
    request: HeaderOperations | None = message(HeaderOperations)
    response: HeaderOperations | None = message(HeaderOperations)

    def rules(self) -> Iterator[Problem]:
        for operations, check in ((self.request, settable_request_header), (self.response, changeable_header)):
            if operations is not None:
                for field, names in (("set", operations.set), ("add", operations.add)):
                    for name in names:
                        if wrong := check(name):
                            yield operations.at.error(field, wrong, name)

    def authorities(self) -> list[tuple[HeaderOperations, str, str]]:
        """Where the request's Host is written: the operations, their field, the header's name."""
        if self.request is None:
            return []
        fields = (("set", self.request.set), ("add", self.request.add))
        return [(self.request, field, name) for field, names in fields for name in names if is_authority(name)]
