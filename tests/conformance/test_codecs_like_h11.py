"""Our codecs (on httptools) and h11 make the same of thousands of generated messages, valid and nearly valid.

Where they do not, the difference is in `STRICTER` or `LENIENT` with its reason; anything else fails. Both lists are
about bytes: each entry is a pattern that has to be found in the message for the difference to be allowed.
"""

from __future__ import annotations

import re

import h11
from hypothesis import HealthCheck, Phase, event, given, settings
from support import h11_oracle, http1_messages
from support.h11_oracle import Message, Pairs, Reading

from meshproxy.base.errors import ProxyError
from meshproxy.base.headers import MANAGED_REQUEST, MANAGED_RESPONSE
from meshproxy.base.message import CHUNKED, Request, Response
from meshproxy.wire.http1_client import ResponseReader
from meshproxy.wire.http1_server import RequestReader

#: What we refuse and h11 takes: our cause, what the bytes then have to contain, and why it is right.
STRICTER = (
    (r"unknown method|Invalid method", rb"(?i)\S+ \S+ HTTP", "httptools knows the registered methods only; 501"),
    (r"Host field is not valid", rb"(?i)host:[^\r\n]*[@/\[:0\x80-\xff]", "RFC 9110, 7.2: a Host is a host"),
    (r"Host field is empty", rb"(?i)host:[ \t]*\r", "no virtual host can be meant"),
    (r"HTTP/[02]\.[09]|HTTP version|Expected HTTP/", rb"(?i)HTTP/(?!1\.[01]\b)|[^\n]:", "only 1.0 and 1.1 are spoken"),
    (
        r"header value char|whitespace after header value",
        rb"\n[ \t]|[\x01-\x08\x0b-\x1f\x7f]",
        "obs-fold, control bytes",
    ),
    (
        r"Missing expected CR|Expected CRLF|header field char|header token",
        rb"(?:^|[^\r])\n|\x00",
        "a bare LF ends no line",
    ),
    (r"(?i)expected LF", rb"\r[^\n]|\r$", "a bare CR ends no line"),
    (r"character in chunk size", rb"\n[0-9a-fA-F]+[ \t]", "white space behind a chunk size is obsolete"),
    (r"not HTTP/1\.1|in HTTP/1\.0", rb"(?i)transfer-encoding:", "RFC 9112, 6.1: framing of 1.0 is not trusted"),
    (r"can't be present with", rb"(?i)transfer-encoding:", "both are how requests are smuggled; h11 drops the length"),
    (r"Duplicate Content-Length", rb"(?i)content-length:", "RFC 9110, 8.6 allows to refuse it"),
    (r"character in Content-Length", rb"(?i)content-length:[^\r]*,", "the same, in one line"),
    (r"chunk extension", rb";", "h11 does not read extensions"),
    (r"expectation other than", rb"(?i)expect:", "417; twice is not once"),
    (r"target \* is for OPTIONS", rb" \* ", "RFC 9112, 3.2.4"),
    (r"user information", rb"@", "RFC 9110, 4.2.4: an attack more often than not"),
    (
        r"char(?:acters)? in url|url schema|the target",
        rb"(?i)[A-Z]+ (?!/)\S*|%00",
        "a target is /path, http://host or *",
    ),
    (r"escaped NUL", rb"%00", "envoy-facts 2"),
    (r"status \d+", rb"HTTP/1\.[01] [06-9]", "statuses are 100 to 599"),
    (r"not HTTP$", rb"RTSP/|ICE/", "httptools speaks them"),
)

#: What we take and h11 refuses: its words, what the bytes have to contain, and why it does no harm.
LENIENT = (
    (
        r"Got data when expecting EOF",
        rb"",
        "bytes behind an answer: it is delivered, they are not, the connection closes",
    ),
    (r"_SWITCH_UPGRADE", rb"HTTP/1\.1 101", "both refuse; h11 has seen no head by then"),
    (r"event type ConnectionClosed", rb"HTTP/1\.[01] 1", "the end before any final answer: the caller's to tell"),
    (r"illegal status line", rb"^HTTP/1\.[01] \d{3} [^\r]*[\x00-\x08]", "a reason is never passed on"),
    (r"illegal request line", rb"[A-Z]+(?: {2,}\S+ | \S+ {2,})HTTP/1", "several blanks: there is no second reading"),
    (r"unexpectedly closed", rb"\r\n\r$", "all of the head but its last LF, then the end"),
)

REQUEST_SPECIAL = MANAGED_REQUEST | {b"host", b"expect"}
_HOP = frozenset(
    b"connection content-length http2-settings keep-alive proxy-connection te transfer-encoding upgrade".split()
)
RUNS = settings(
    max_examples=2000,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def ours_of_requests(pieces: list[bytes]) -> Reading:
    reader = RequestReader()
    taken: list[Request] = []
    for piece in pieces:
        reader.feed(piece)
        while reader.requests:
            taken.append(reader.requests.popleft())
            if taken[-1].upgrade is not None and taken[-1].complete:
                reader.refuse_upgrade()
    reading = Reading([_of_request(one) for one in taken])
    if reader.error is not None:
        reading.refused = reader.error.cause
    reader.close()
    return reading


def _of_request(request: Request) -> Message:
    start = (request.method, request.target, request.version.removeprefix(b"HTTP/"))
    trailers = h11_oracle.lowered(request.trailers)
    fields = h11_oracle.lowered(request.fields)
    return Message(start, fields, b"".join(request.body), trailers, request.complete)


def ours_of_response(pieces: list[bytes], method: bytes, *, ends: bool) -> Reading:
    reader = ResponseReader()
    reader.expect(method)
    reading = Reading()
    try:
        for piece in pieces:
            reader.feed(piece)
        if ends:
            reader.eof()
    except ProxyError as error:
        reading.refused = error.cause
    found = [*reader.informational, *([reader.response] if reader.response else [])]
    reading.messages = [_of_response(one) for one in found]
    reader.close()
    return reading


def _of_response(response: Response) -> Message:
    trailers = h11_oracle.lowered(response.trailers)
    fields = h11_oracle.lowered(response.fields)
    return Message((b"%d" % response.status,), fields, b"".join(response.body), trailers, response.complete)


def forwarded(message: Message, special: frozenset[bytes]) -> Pairs:
    """h11's fields without those that our codec keeps apart, or that Connection names."""
    named = {
        name.strip().lower() for key, value in message.fields if key == b"connection" for name in value.split(b",")
    }
    keep = (b"host", b"cookie", b"authorization")
    dropped = special | _HOP | {name for name in named if name not in keep}
    return [(name, value) for name, value in message.fields if name not in dropped]


Table = tuple[tuple[str, bytes, str], ...]


def allowed(table: Table, refusal: str, data: bytes) -> bool:
    return any(re.search(words, refusal) and re.search(pattern, data) for words, pattern, _ in table)


def compare(ours: Reading, theirs: Reading, data: bytes, special: frozenset[bytes]) -> None:
    """The same messages, up to the first one that only one of them refuses for a listed reason."""
    if theirs.ended:
        del ours.messages[len(theirs.messages) :]
    for index in range(max(len(ours.messages), len(theirs.messages))):
        if index >= len(ours.messages):
            assert ours.refused, f"we wait where h11 reads {theirs.messages[index]}"
            assert allowed(STRICTER, ours.refused, data), f"we refuse ({ours.refused}) what h11 takes"
            return
        if index >= len(theirs.messages):
            assert theirs.refused, f"h11 waits where we read {ours.messages[index]}"
            assert allowed(LENIENT, theirs.refused, data), f"we take what h11 refuses ({theirs.refused})"
            return
        mine, its = ours.messages[index], theirs.messages[index]
        if mine.complete != its.complete:
            refusal = ours.refused if its.complete else theirs.refused
            assert refusal, "only one of both sees the end, and the other waits"
            assert allowed(STRICTER if its.complete else LENIENT, refusal, data), refusal
            return
        if mine.complete:
            same(mine, its, data, special)
    if bool(ours.refused) != bool(theirs.refused) and not theirs.ended and not theirs.waiting:
        refusal = ours.refused or theirs.refused
        assert allowed(STRICTER if ours.refused else LENIENT, refusal, data), refusal


def same(mine: Message, its: Message, data: bytes, special: frozenset[bytes]) -> None:
    assert mine.start[0] == its.start[0]
    assert mine.start[2:] == its.start[2:]
    if re.fullmatch(rb"/[a-z]*(\?[a-z=]*)?", its.start[-1] if len(its.start) == 1 else its.start[1]):
        assert mine.start[1] == its.start[1]
    assert mine.body == its.body
    assert mine.trailers == its.trailers
    theirs = forwarded(its, special)
    if b"\r\n " not in data and b"\r\n\t" not in data:
        # white space behind a value is passed on as it came; whoever looks at the value does not see it
        ours = [(name, value.strip(b" \t")) for name, value in mine.fields if name != b"te"]
        assert ours == theirs


@RUNS
@given(http1_messages.stream(http1_messages.request()))
def test_requests_are_read_as_h11_reads_them(pieces: list[bytes]) -> None:
    ours, theirs = ours_of_requests(pieces), h11_oracle.requests(pieces)
    event(f"ours {'refused' if ours.refused else 'taken'}, h11 {'refused' if theirs.refused else 'taken'}")
    compare(ours, theirs, b"".join(pieces), REQUEST_SPECIAL)


@RUNS
@given(http1_messages.stream(http1_messages.response(), 1))
def test_responses_are_read_as_h11_reads_them(pieces: list[bytes]) -> None:
    for method, ends in ((b"GET", False), (b"GET", True), (b"HEAD", True)):
        ours = ours_of_response(pieces, method, ends=ends)
        theirs = h11_oracle.response(pieces, method, ends=ends)
        compare(ours, theirs, b"".join(pieces), frozenset(MANAGED_RESPONSE))


@RUNS
@given(http1_messages.stream(http1_messages.request(), 2))
def test_requests_do_not_depend_on_how_they_are_cut(pieces: list[bytes]) -> None:
    """One read, these pieces, byte by byte: the same messages, the same verdict."""
    data = b"".join(pieces)
    whole = ours_of_requests([data])
    for cut in (pieces, [data[at : at + 1] for at in range(len(data))]):
        other = ours_of_requests(cut)
        assert bool(other.refused) == bool(whole.refused), (other, whole)
        assert [m for m in other.messages if m.complete] == [m for m in whole.messages if m.complete]


@RUNS
@given(http1_messages.stream(http1_messages.response(), 1))
def test_responses_do_not_depend_on_how_they_are_cut(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    whole = ours_of_response([data], b"GET", ends=True)
    for cut in (pieces, [data[at : at + 1] for at in range(len(data))]):
        other = ours_of_response(cut, b"GET", ends=True)
        assert bool(other.refused) == bool(whole.refused), (other, whole)
        if not whole.refused:
            assert other.messages == whole.messages


def test_every_listed_difference_is_real() -> None:
    """h11 takes these; we do not. A reason without an example would be a loophole."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\n"
    examples = [
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x07\r\n\r\n",
        b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
        head + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        head + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    for data in examples:
        assert not h11_oracle.requests([data]).refused, data
        assert allowed(STRICTER, ours_of_requests([data]).refused, data), data


def test_lengths_are_read_as_numbers() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0012\r\n\r\nhello, world")
    assert (reader.requests[0].content_length, reader.requests[0].complete) == (12, True)
    reader.feed(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert reader.requests[1].content_length == CHUNKED
    assert h11.__version__
