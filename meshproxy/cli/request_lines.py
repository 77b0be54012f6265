"""Requests that were once made, from a file: access log lines in Istio's text or JSON format, and curl lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from meshproxy.base.origin import Origin
from meshproxy.cli.curl import read_curl, split_line
from meshproxy.control.asked import Asked, AskedError
from meshproxy.model.problem import UNREADABLE, Level, Problem

#: Istio's default text format, as far as it tells of the request. Quotes that clients send are not escaped.
_TEXT = re.compile(
    r'\[[^\]]*\] "(?P<method>\S+) (?P<path>\S+) (?:HTTP/[\d.]+|-)" \d+ \S+ \S+ \S+ ".*?" \d+ \d+ \S+ \S+ '
    r'"(?P<x_forwarded_for>[^"]*)" "(?P<user_agent>.*?)" "(?P<request_id>[^"]*)" "(?P<authority>[^"]*)" "[^"]*" '
)
_HEADERS = {"user_agent": "user-agent", "x_forwarded_for": "x-forwarded-for", "request_id": "x-request-id"}
_ABSENT = ("", "-", None)


def read_requests(name: str, text: str, *, gateway: str = "") -> tuple[list[tuple[Origin, Asked]], list[Problem]]:
    """The requests of a file with their lines, and the lines that are none."""
    found: list[tuple[Origin, Asked]] = []
    problems: list[Problem] = []
    for number, line in _lines(text):
        origin = Origin(name, number)
        try:
            asked = _read(line, gateway)
            asked.head()
        except AskedError as error:
            problems.append(Problem(UNREADABLE, Level.WARNING, str(error), origin))
        else:
            found.append((origin, asked))
    return found, problems


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not empty; what ends with a backslash goes on."""
    begun, parts = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        parts.append(line)
        begun = begun or number
        if line.endswith("\\"):
            continue
        whole = "\n".join(parts).strip()
        if whole and not whole.startswith("#"):
            yield begun, whole
        begun, parts = 0, []
    if parts:
        yield begun, "\n".join(parts).rstrip("\\").strip()


def _read(line: str, gateway: str) -> Asked:
    words = line.removeprefix("$ ")
    if words.startswith("curl "):
        return read_curl(split_line(words)[1:], gateway=gateway)
    values = _from_json(line) if line.startswith("{") else _from_text(line)
    authority, path = str(values.get("authority") or ""), str(values.get("path") or "/")
    headers = [(name, str(values[key])) for key, name in _HEADERS.items() if values.get(key) not in _ABSENT]
    if authority in _ABSENT:
        raise AskedError("this log line does not say which host was asked for (authority)")
    method = str(values.get("method") or "GET")
    return Asked(url=f"http://{authority}{path}", method=method, headers=tuple(headers), gateway=gateway)


def _from_json(line: str) -> Mapping[str, object]:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise AskedError(f"not a JSON log line: {error}") from None
    if not isinstance(values, dict):
        raise AskedError("not a JSON log line: expected an object")
    return values


def _from_text(line: str) -> Mapping[str, object]:
    found = _TEXT.match(line)
    if found is None:
        raise AskedError("neither an access log line in Istio's text or JSON format nor a curl line")
    return found.groupdict()
