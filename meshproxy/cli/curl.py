"""A pasted curl command line: what of it makes a request. Options that shape only curl's own doings are ignored."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from meshproxy.control.asked import Asked, AskedError

_DATA = frozenset("-d --data --data-raw --data-binary --data-ascii --data-urlencode --json -F --form".split())
#: Options with a value that says nothing about the request line or the headers.
_VALUED = frozenset(
    """-o --output -x --proxy --resolve --connect-to --cacert --capath -E --cert --key -m --max-time --connect-timeout
    -w --write-out --retry --retry-delay --retry-max-time -r --range -c --cookie-jar -D --dump-header --unix-socket
    --interface --limit-rate -y --speed-time -Y --speed-limit --ciphers --max-redirs -K --config -T --upload-file
    --noproxy -U --proxy-user --trace --trace-ascii --stderr -z --time-cond -C --continue-at --dns-servers
    --form-string --url-query --tls-max --pinnedpubkey --doh-url""".split()
)
_SHORT_VALUED = frozenset(option[1] for option in _VALUED if len(option) == 2)


@dataclass(slots=True)
class _Line:
    """What has been read so far."""

    urls: list[str] = field(default_factory=list)
    method: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    get: bool = False
    head: bool = False
    sends: str = ""  # the content type of what is sent

    def header(self, text: str) -> None:
        """`name: value`; `name;` is an empty value, `name:` takes a header of curl's own away."""
        name, colon, value = text.partition(":")
        if not colon and text.endswith(";"):
            name, colon = text[:-1], ":"
        if colon:
            self.headers.append((name.strip(), value.strip()))

    def send(self, option: str, text: str) -> None:
        kinds = {"--json": "application/json", "-F": "multipart/form-data", "--form": "multipart/form-data"}
        self.sends = kinds.get(option, self.sends or "application/x-www-form-urlencoded")
        name, equals, value = text.partition("=")
        urlencoded = option == "--data-urlencode"
        self.data.append((f"{name}={quote(value)}" if equals else quote(text)) if urlencoded else text)


_TAKES: dict[str, Callable[[_Line, str], None]] = {
    "--url": lambda line, text: line.urls.append(text),
    "-H": _Line.header,
    "-X": lambda line, text: setattr(line, "method", text),
    "-u": lambda line, text: line.headers.append(("authorization", _basic(text))),
    "-A": lambda line, text: line.headers.append(("user-agent", text)),
    "-e": lambda line, text: line.headers.append(("referer", text)),
    "-b": lambda line, text: line.headers.append(("cookie", text)),
    "--oauth2-bearer": lambda line, text: line.headers.append(("authorization", f"Bearer {text}")),
}
_LONG = {
    "--header": "-H",
    "--request": "-X",
    "--user": "-u",
    "--user-agent": "-A",
    "--referer": "-e",
    "--cookie": "-b",
}


def split_line(text: str) -> list[str]:
    """A command line as a shell splits it, continued lines included."""
    try:
        return shlex.split(text.replace("\\\r\n", " ").replace("\\\n", " "))
    except ValueError as error:
        raise AskedError(f"this curl line does not end: {error}") from None


def read_curl(words: Sequence[str], *, gateway: str = "") -> Asked:
    """The request of `curl` and these words behind it. Raises AskedError for what is no curl line."""
    line = _Line()
    for option, value in _options(words):
        if option == "":
            line.urls.append(value)
        elif option in _DATA:
            line.send(option, value)
        elif option in _TAKES:
            _TAKES[option](line, value)
        elif option in ("-G", "--get"):
            line.get = True
        elif option in ("-I", "--head"):
            line.head = True
        elif option == "--compressed":
            line.headers.append(("accept-encoding", "deflate, gzip, br, zstd"))
    if not line.urls:
        raise AskedError("this curl line has no URL")
    return _asked(line, gateway)


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Option and value; a URL has the option ""."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "-":
            yield "", word
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            name = _LONG.get(name, name)
            takes = name in _TAKES or name in _VALUED or name in _DATA
            yield name, value if equals or not takes else _next(rest, word)
        else:
            yield from _short(word, rest)


def _short(word: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    """`-sSk`, `-XPOST`, `-H`, `name: value`."""
    for position, letter in enumerate(word[1:], 2):
        option = f"-{letter}"
        if option in _TAKES or option in _DATA or letter in _SHORT_VALUED:
            yield option, word[position:] or _next(rest, word)
            return
        yield option, ""


def _next(rest: Iterator[str], option: str) -> str:
    value = next(rest, None)
    if value is None:
        raise AskedError(f"curl's {option} needs a value")
    return value


def _asked(line: _Line, gateway: str) -> Asked:
    url = line.urls[0]
    if line.get and line.data:
        url += ("&" if "?" in url else "?") + "&".join(line.data)
    sends = line.data and not line.get
    method = line.method or ("HEAD" if line.head else "POST" if sends else "GET")
    own = [("user-agent", "curl/8.5.0"), ("accept", "application/json" if line.sends == "application/json" else "*/*")]
    if sends:
        own.append(("content-type", line.sends))
    user, at, rest = url.partition("@")
    scheme, slashes, credentials = user.rpartition("//")
    if at and "/" not in credentials:
        url = scheme + slashes + rest
        own.append(("authorization", _basic(credentials)))
    given = {name.lower() for name, _ in line.headers}
    headers = [pair for pair in line.headers if pair[1]] + [pair for pair in own if pair[0] not in given]
    return Asked(url=url, method=method, headers=tuple(headers), gateway=gateway)


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()
