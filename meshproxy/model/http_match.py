"""The conditions of a rule: StringMatch and HTTPMatchRequest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from meshproxy.model.checks import label_key, label_value, match_header_name, optional_dns_label, regex
from meshproxy.model.fields import boolean, message, message_map, text, text_map, texts, whole
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message
from meshproxy.model.references import gateway_name_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class StringMatch(Message):
    """exact, prefix or regex; None is not written, "" is. None of them is a test for presence."""

    ONE_OF: ClassVar = (("exact", "prefix", "regex"),)

    exact: str | None = text(default=None)
    prefix: str | None = text(default=None)
    regex: str | None = text(default=None)

    def problems(self, *, empty_prefix: bool = False) -> Iterator[Problem]:
        """What is wrong with the condition: only a uri may have an empty prefix."""
        if self.regex is not None and (wrong := regex(self.regex)):
            yield self.at.error("regex", wrong)
        if self.prefix == "" and not empty_prefix:
            yield self.at.error("prefix", "an empty prefix is only allowed for uri: leave it out to test for presence")


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPMatchRequest(Message):
    """One match block: all its conditions must hold."""

    name: str = text()
    uri: StringMatch | None = message(StringMatch)
    scheme: StringMatch | None = message(StringMatch)
    method: StringMatch | None = message(StringMatch)
    authority: StringMatch | None = message(StringMatch)
    headers: Mapping[str, StringMatch] = message_map(StringMatch, key=match_header_name, nulls=False)
    port: int = whole(0, 65535)
    source_labels: Mapping[str, str] = text_map(label_value, key=label_key)
    gateways: tuple[str, ...] = texts()
    query_params: Mapping[str, StringMatch] = message_map(StringMatch)
    ignore_uri_case: bool = boolean()
    without_headers: Mapping[str, StringMatch] = message_map(StringMatch, key=match_header_name)
    source_namespace: str = text(optional_dns_label)
    stat_prefix: str = text()

    def rules(self) -> Iterator[Problem]:
        if self.uri is not None:
            yield from self.uri.problems(empty_prefix=True)
        singles = (self.scheme, self.method, self.authority)
        for condition in (*singles, *self.headers.values(), *self.query_params.values()):
            if condition is not None:
                yield from condition.problems()
        for condition in self.without_headers.values():
            if condition.regex != "*":  # no RE2, but here Istio takes it as a test for presence
                yield from condition.problems()
        yield from gateway_name_problems(self.at, self.gateways)
