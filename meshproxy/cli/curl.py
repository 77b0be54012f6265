"""A pasted curl command line: what of it makes a request. Options that shape only curl's own doings are ignored."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from meshproxy.control.asked import Asked, AskedError

_DATA = frozenset(
    "-d --data --data-raw --data-binary --data-ascii --data-urlencode --json -F --form --form-string".split()
)
#: Options with a value that says nothing about the request line or the headers: the rest of curl's own list.
_VALUED = frozenset(
    """--abstract-unix-socket --alt-svc --aws-sigv4 -C -c --cacert --capath --cert --cert-type --ciphers --config
    --connect-timeout --connect-to --continue-at --cookie-jar --create-file-mode --crlfile --curves -D --delegation
    --dns-interface --dns-ipv4-addr --dns-ipv6-addr --dns-servers --doh-url --dump-header -E --ech --egd-file
    --engine --etag-compare --etag-save --expect100-timeout --ftp-account --ftp-alternative-to-user --ftp-method
    --ftp-port --ftp-ssl-ccc-mode --happy-eyeballs-timeout-ms --haproxy-clientip --hostpubmd5 --hostpubsha256 --hsts
    --interface --ip-tos -K --keepalive-cnt --keepalive-time --key --key-type --krb --libcurl --limit-rate
    --local-port --login-options -m --mail-auth --mail-from --mail-rcpt --max-filesize --max-redirs --max-time
    --netrc-file --noproxy -o --output --output-dir -P --parallel-max --pass --pinnedpubkey --preproxy --proto
    --proto-default --proto-redir --proxy --proxy-cacert --proxy-capath --proxy-cert --proxy-cert-type
    --proxy-ciphers --proxy-crlfile --proxy-header --proxy-key --proxy-key-type --proxy-pass --proxy-pinnedpubkey
    --proxy-service-name --proxy-tls13-ciphers --proxy-tlsauthtype --proxy-tlspassword --proxy-tlsuser --proxy-user
    --proxy1.0 --pubkey -Q --quote --random-file --rate --resolve --retry --retry-delay --retry-max-time
    --sasl-authzid --service-name --sigalgs --socks4 --socks4a --socks5 --socks5-gssapi-service --socks5-hostname
    --speed-limit --speed-time --stderr -t --telnet-option --tftp-blksize --time-cond --tls-max --tls13-ciphers
    --tlsauthtype --tlspassword --tlsuser --trace --trace-ascii --trace-config -U --unix-socket --upload-flags
    --variable --vlan-priority -w --write-out -x -Y -y -z""".split()
)
_SHORT_VALUED = frozenset(option[1] for option in _VALUED if len(option) == 2)


_KINDS = {"--json": "application/json"} | dict.fromkeys(("-F", "--form", "--form-string"), "multipart/form-data")


@dataclass(slots=True)
class _Line:
    """What has been read so far."""

    urls: list[str] = field(default_factory=list)
    method: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)  # of curl's own headers
    data: list[str] = field(default_factory=list)
    get: bool = False
    head: bool = False
    sends: str = ""  # the content type of what is sent
    uploads: str = ""  # a file's name
    target: str = ""
    queries: list[str] = field(default_factory=list)

    def header(self, text: str) -> None:
        """`name: value`; `name;` is an empty value, `name:` takes a header of curl's own away."""
        name, colon, value = text.partition(":")
        if not colon and text.endswith(";"):
            self.headers.append((text[:-1].strip(), ""))
        elif colon:
            self.own(name.strip(), value.strip())

    def own(self, name: str, value: str) -> None:
        """A header in place of curl's; without a value, none at all."""
        if value:
            self.headers.append((name, value))
        else:
            self.removed.add(name.lower())

    def cookie(self, text: str) -> None:
        """`name=value`; without `=` it is the name of a file."""
        if "=" in text:
            self.headers.append(("cookie", text))

    def send(self, option: str, text: str) -> None:
        self.sends = _KINDS.get(option, self.sends or "application/x-www-form-urlencoded")
        name, equals, value = text.partition("=")
        urlencoded = option == "--data-urlencode"
        self.data.append((f"{name}={quote(value)}" if equals else quote(text)) if urlencoded else text)


_TAKES: dict[str, Callable[[_Line, str], None]] = {
    "--url": lambda line, text: line.urls.append(text),
    "-H": _Line.header,
    "-X": lambda line, text: setattr(line, "method", text),
    "-u": lambda line, text: line.headers.append(("authorization", _basic(text))),
    "-A": lambda line, text: line.own("user-agent", text),
    "-e": lambda line, text: line.own("referer", text),
    "-b": _Line.cookie,
    "-r": lambda line, text: line.headers.append(("range", f"bytes={text}")),
    "-T": lambda line, text: setattr(line, "uploads", text),
    "--url-query": lambda line, text: line.queries.append(text.removeprefix("+")),
    "--request-target": lambda line, text: setattr(line, "target", text),
    "--oauth2-bearer": lambda line, text: line.headers.append(("authorization", f"Bearer {text}")),
}
_LONG = {
    "--header": "-H",
    "--request": "-X",
    "--user": "-u",
    "--user-agent": "-A",
    "--referer": "-e",
    "--cookie": "-b",
    "--range": "-r",
    "--upload-file": "-T",
}


#: Quoted parts of a command line; of `$'…'`, which browsers write when they copy a request, what is in it.
_QUOTED = re.compile(r"""\$'((?:\\.|[^'\\])*)'|'[^']*'|"(?:\\.|[^"\\])*"|\\.""", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def _unescaped(found: re.Match[str]) -> str:
    if found[1] is None:  # shlex leaves `"\\$"` as it is
        return _ESCAPE.sub(lambda e: e[3] if e[3] in ("$", "`") else e[0], found[0]) if found[0][0] == '"' else found[0]
    return shlex.quote(
        _ESCAPE.sub(lambda e: _ESCAPED.get(e[3], e[3]) if e[3] else chr(int(e[1] or e[2], 16)), found[1])
    )


def split_line(text: str) -> list[str]:
    """A command line as a shell splits it, continued lines included."""
    text = text.replace("\\\r\n", " ").replace("\\\n", " ")
    try:
        return shlex.split(_QUOTED.sub(_unescaped, text))
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
    url = _url(line)
    sends = line.data and not line.get
    method = line.method or ("HEAD" if line.head else "PUT" if line.uploads else "POST" if sends else "GET")
    own = [("user-agent", "curl/8.5.0"), ("accept", "application/json" if line.sends == "application/json" else "*/*")]
    if sends:
        own.append(("content-type", line.sends))
    user, at, rest = url.partition("@")
    scheme, slashes, credentials = user.rpartition("//")
    if at and "/" not in credentials:
        url = scheme + slashes + rest
        own.append(("authorization", _basic(credentials)))
    given = {name.lower() for name, _ in line.headers} | line.removed
    headers = line.headers + [pair for pair in own if pair[0] not in given]
    return Asked(url=url, method=method, headers=tuple(headers), gateway=gateway)


def _url(line: _Line) -> str:
    """The URL with what other options say of its path and query."""
    url, queries = line.urls[0], line.queries + (line.data if line.get else [])
    scheme, slashes, rest = url.rpartition("://")
    authority, slash, path = rest.partition("/")
    if line.uploads not in ("", "-", ".") and (not slash or path.endswith("/")):
        url = f"{scheme}{slashes}{authority}/{path}{line.uploads.rpartition('/')[2]}"
    if queries:
        url += ("&" if "?" in url else "?") + "&".join(queries)
    return f"{scheme}{slashes}{authority}/{line.target.removeprefix('/')}" if line.target else url


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()
