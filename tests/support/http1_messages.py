"""Hypothesis strategies for HTTP/1.1 on the wire: valid messages, nearly valid ones, and their cuts into reads."""

from __future__ import annotations

from hypothesis import strategies as st

_METHODS = ["GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "get", "FOO", "G ET", ""]
_TARGETS = [
    "/",
    "/a",
    "/a?b=c",
    "/a/../b",
    "/%61",
    "*",
    "http://x/y",
    "http://u@x/",
    "a",
    "/a b",
    "/a#b",
    "/\xe9",
    "/\x00",
]
_VERSIONS = ["HTTP/1.1"] * 12 + ["HTTP/1.0"] * 3 + ["HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "http/1.1", "RTSP/1.0", ""]
_FRAMINGS = [
    "Content-Length: {n}",
    "content-length:{n}",
    "Content-Length:  {n} ",
    "Transfer-Encoding: chunked",
    "transfer-encoding: Chunked",
]
_ODD_FRAMINGS = [
    "Content-Length: +{n}",
    "Content-Length: {n}, {n}",
    "Content-Length: {n}\r\nContent-Length: {n}",
    "Content-Length: {n}\r\nContent-Length: 1{n}",
    "Content-Length: -1",
    "Content-Length: 0x1",
    "Content-Length:",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked\r\nContent-Length: {n}",
    "Content-Length: {n}\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: xchunked",
]
_FIELDS = [
    "X-A: one",
    "X-A: two, three",
    "x-empty:",
    "X-Space:   padded \t ",
    "X-Latin: caf\xe9",
    "Accept: */*",
    "Cookie: a=b; c=d",
    "Connection: keep-alive",
    "Connection: close",
    "Connection: x-a",
    "Connection: upgrade",
    "Expect: 100-continue",
    "TE: trailers",
]
_ODD_FIELDS = [
    "X-Fold: a\r\n b",
    " X-Leading: a",
    "X Space: a",
    "X-Colon : a",
    "no colon",
    ": no name",
    "X-Nul: a\x00b",
    "X-Bell: a\x07b",
    "X-Del: a\x7fb",
    "X-CR: a\rb",
    "X-LF: a\nX-B: b",
    "X-Paren(): a",
    "X-\xe9: a",
]
_HOSTS = ["Host: x"] * 12 + [
    "host: x:80",
    "Host: [::1]:80",
    "Host: u@x",
    "Host: x/y",
    "Host:",
    "",
    "Host: x\r\nHost: x",
]
_SIZES = ["{:x}", "{:X}", "0{:x}", "{:x};a=b", '{:x};a="b;c"', "{:x} ", "{:x}\t;a"]
_ODD_SIZES = ["", "+{:x}", "0x{:x}", " {:x}", "{:x};a\nb", "{:x}\n", "-{:x}", "g", "1{:016x}", "{:x}\r"]
_TRAILERS = ["X-T: 1\r\n", "X-T: 1\r\nX-U: 2\r\n", "x-t:\r\n"]
_ODD_TRAILERS = ["bad\r\n", "X-T : 1\r\n", "X-T: a\r\n b\r\n", "X-T: \x00\r\n", "\n"]
_STATUS_LINES = ["HTTP/1.1 200 OK"] * 10 + [
    "HTTP/1.0 200 OK",
    "HTTP/1.1 204 No Content",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 404 ",
    "HTTP/1.1 599 x\xe9",
    "HTTP/1.1 103 Early Hints",
]
_ODD_STATUS_LINES = [
    "HTTP/1.1 200",
    "HTTP/1.1 20 OK",
    "HTTP/1.1 2000 OK",
    "HTTP/1.1 000 OK",
    "HTTP/1.1 600 OK",
    "HTTP/1.1 abc OK",
    "HTTP/1.1  200 OK",
    "HTTP/2.0 200 OK",
    "HTTP/x 200 OK",
    "ICY 200 OK",
    "200 OK",
    "HTTP/1.1 101 Switching",
    "HTTP/1.1 200 O\x00K",
]


def _mostly(good: list[str], odd: list[str], odd_share: int = 8) -> st.SearchStrategy[str]:
    """One of `odd` in one of `odd_share` cases."""
    return st.integers(1, odd_share).flatmap(lambda n: st.sampled_from(odd if n == odd_share else good))


@st.composite
def _chunked(draw: st.DrawFn) -> bytes:
    out = b""
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=3)):
        size = draw(_mostly(_SIZES, _ODD_SIZES, 20)).format(len(data))
        end = draw(_mostly(["\r\n"], ["\n", "", "XX", "\r"], 30))
        out += size.encode("latin-1") + b"\r\n" + data + end.encode()
    last = draw(_mostly(["0", "000", "0;x=y"], ["", "00x", "0\n"], 20))
    trailers = draw(st.one_of(st.just(""), _mostly(_TRAILERS, _ODD_TRAILERS)))
    return (
        f"{last}\r\n{trailers}\r\n".encode("latin-1")
        if not out
        else out + f"{last}\r\n{trailers}\r\n".encode("latin-1")
    )


@st.composite
def _framed(draw: st.DrawFn) -> tuple[str, bytes]:
    """(framing lines, body) that fit each other, or nearly."""
    if not draw(st.booleans()):
        return "", b""
    framing = draw(_mostly(_FRAMINGS, _ODD_FRAMINGS))
    if "hunked" in framing:
        body = draw(_chunked())
        return framing.format(n=len(body)) + "\r\n", body
    body = draw(st.binary(max_size=60))
    return framing.format(n=len(body)) + "\r\n", body


@st.composite
def _fields(draw: st.DrawFn) -> str:
    lines = draw(st.lists(_mostly(_FIELDS, _ODD_FIELDS, 25), max_size=4))
    return "".join(f"{line}\r\n" for line in lines)


@st.composite
def request(draw: st.DrawFn) -> bytes:
    method = draw(_mostly(_METHODS[:7], _METHODS[7:], 25))
    target = draw(_mostly(_TARGETS[:5], _TARGETS[5:], 10))
    version = draw(st.sampled_from(_VERSIONS))
    host = draw(st.sampled_from(_HOSTS))
    framing, body = draw(_framed())
    end = draw(_mostly(["\r\n"], ["\n", ""], 60))
    head = f"{method} {target} {version}{end}" + (f"{host}\r\n" if host else "") + draw(_fields()) + framing + "\r\n"
    return head.encode("latin-1") + body


@st.composite
def response(draw: st.DrawFn) -> bytes:
    line = draw(_mostly(_STATUS_LINES, _ODD_STATUS_LINES))
    framing, body = draw(_framed())
    return f"{line}\r\n{draw(_fields())}{framing}\r\n".encode("latin-1") + body


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Sometimes one byte is lost, doubled or replaced."""
    data = draw(whole)
    if not data or draw(st.integers(0, 3)):
        return data
    at = draw(st.integers(0, len(data) - 1))
    byte = draw(st.sampled_from([b"", data[at : at + 1] * 2, b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"\x80", b"0"]))
    return data[:at] + byte + data[at + 1 :]


@st.composite
def stream(draw: st.DrawFn, message: st.SearchStrategy[bytes], most: int = 3) -> list[bytes]:
    """One to `most` messages in a row, cut into one to four reads."""
    data = b"".join(draw(st.lists(damaged(message), min_size=1, max_size=most)))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [piece for piece in pieces if piece]
