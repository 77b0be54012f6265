"""What h11, a strict pure-Python parser, makes of the same bytes: the second opinion on our codecs."""

from __future__ import annotations

from dataclasses import dataclass, field

import h11

Pairs = list[tuple[bytes, bytes]]
_LIMIT = 1 << 20


@dataclass
class Message:
    """One message as either parser understands it; field names in lower case."""

    start: tuple[bytes, ...]
    fields: Pairs
    body: bytes = b""
    trailers: Pairs = field(default_factory=list)
    complete: bool = False


@dataclass
class Reading:
    """What a stream of bytes is: messages, and whether the parser then refused to go on; `ended` where it takes
    the last message for the last one of the connection, `waiting` where it wants more bytes before it judges."""

    messages: list[Message] = field(default_factory=list)
    refused: str = ""
    ended: bool = False
    waiting: bool = False


def _whole(reading: Reading) -> bool:
    return bool(reading.messages) and reading.messages[-1].complete


def lowered(pairs: list[tuple[bytes, bytes]] | h11._headers.Headers) -> Pairs:
    return [(bytes(name).lower(), bytes(value)) for name, value in pairs]


def requests(pieces: list[bytes]) -> Reading:
    """h11 as a server; every request is answered, so that the next one may follow."""
    reading = Reading()
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_LIMIT)
    try:
        for piece in pieces:
            parser.receive_data(piece)
            while _take_request(parser, reading):
                pass
        reading.waiting = bool(parser.trailing_data[0]) or not _whole(reading)
    except h11.RemoteProtocolError as error:
        reading.refused = str(error) or "refused"
    return reading


def _take_request(parser: h11.Connection, reading: Reading) -> bool:
    event = parser.next_event()
    if isinstance(event, h11.Request):
        start = (bytes(event.method), bytes(event.target), bytes(event.http_version))
        reading.messages.append(Message(start, lowered(event.headers)))
    elif isinstance(event, h11.Data):
        reading.messages[-1].body += bytes(event.data)
    elif isinstance(event, h11.EndOfMessage):
        reading.messages[-1].trailers = lowered(event.headers)
        reading.messages[-1].complete = True
        parser.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        parser.send(h11.EndOfMessage())
        if parser.our_state is not h11.DONE or parser.their_state is not h11.DONE:
            reading.ended = True
            return False
        parser.start_next_cycle()
    else:
        return False
    return True


def response(pieces: list[bytes], method: bytes, *, ends: bool) -> Reading:
    """h11 as a client that has sent one request; with `ends` the connection is closed behind the pieces."""
    reading = Reading()
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LIMIT)
    parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    parser.send(h11.EndOfMessage())
    try:
        for piece in [*pieces, b""] if ends else pieces:
            parser.receive_data(piece)
            while _take_response(parser, reading):
                pass
        reading.waiting = bool(parser.trailing_data[0]) or not _whole(reading)
    except h11.RemoteProtocolError as error:
        reading.refused = str(error) or "refused"
    return reading


def _take_response(parser: h11.Connection, reading: Reading) -> bool:
    event = parser.next_event()
    if isinstance(event, h11.Response | h11.InformationalResponse):
        reading.messages.append(Message((b"%d" % event.status_code,), lowered(event.headers)))
        reading.messages[-1].complete = isinstance(event, h11.InformationalResponse)
    elif isinstance(event, h11.Data):
        reading.messages[-1].body += bytes(event.data)
    elif isinstance(event, h11.EndOfMessage):
        reading.messages[-1].trailers = lowered(event.headers)
        reading.messages[-1].complete = True
        return False
    else:
        return False
    return True
