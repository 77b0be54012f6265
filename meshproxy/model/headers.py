"""Header manipulation of a route or a destination."""

from collections.abc import Mapping
from dataclasses import dataclass

from meshproxy.model.reader import Message, message, text_map, texts


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderOperations(Message):
    set: Mapping[str, str] = text_map()
    add: Mapping[str, str] = text_map()
    remove: tuple[str, ...] = texts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers(Message):
    request: HeaderOperations | None = message(HeaderOperations)
    response: HeaderOperations | None = message(HeaderOperations)
