"""The conditions of a rule: StringMatch and HTTPMatchRequest."""

from collections.abc import Mapping
from dataclasses import dataclass

from meshproxy.model.reader import Message, boolean, message, message_map, text, text_map, texts, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class StringMatch(Message):
    """exact, prefix or regex; None is not written, "" is."""

    exact: str | None = text(default=None)
    prefix: str | None = text(default=None)
    regex: str | None = text(default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPMatchRequest(Message):
    """One match block: all its conditions must hold."""

    name: str = text()
    uri: StringMatch | None = message(StringMatch)
    scheme: StringMatch | None = message(StringMatch)
    method: StringMatch | None = message(StringMatch)
    authority: StringMatch | None = message(StringMatch)
    headers: Mapping[str, StringMatch] = message_map(StringMatch)
    port: int = whole()
    source_labels: Mapping[str, str] = text_map()
    gateways: tuple[str, ...] = texts()
    query_params: Mapping[str, StringMatch] = message_map(StringMatch)
    ignore_uri_case: bool = boolean()
    without_headers: Mapping[str, StringMatch] = message_map(StringMatch)
    source_namespace: str = text()
    stat_prefix: str = text()
