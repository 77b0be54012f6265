"""RTSP and ICE look like HTTP to httptools, which does not say what it saw: the first line of a message does.

Owns the first lines, as far as they have come; refuses everything else of a message.
"""

from __future__ import annotations

import re

from meshproxy.base.errors import Kind, ProxyError, Side

METHOD = re.compile(rb"\s*[!#$%&'*+\-.^_`|~0-9A-Za-z]+ ")
"""A line that begins as a request line does."""
_HTTP = re.compile(rb"[A-Z-]+ \S+ HTTP/[0-9]\.[0-9]$")
_OTHER = re.compile(rb" (?:RTSP|ICE)/[0-9]\.[0-9]$")


class OtherProtocols:
    """`line` is what has come of a message's first line; None once it is whole. Set it to b"" where a message ends."""

    __slots__ = ("line",)

    def __init__(self) -> None:
        self.line: bytes | None = b""

    def check(self, data: bytes) -> None:
        """Goes on with the first line. Raises ProxyError(BAD_REQUEST) where it is of another protocol."""
        line = self.line + data if self.line else data
        end = line.find(b"\r")
        if end == 0:
            line = line.lstrip(b"\r\n")
            end = line.find(b"\r")
        if end < 0:
            self.line = line
            return
        self.line = None
        if line[end - 8 : end - 3] != b"HTTP/" and _OTHER.search(line[:end]):
            raise ProxyError(Kind.BAD_REQUEST, Side.DOWNSTREAM, "not HTTP")

    def check_later(self, data: bytes, heads: int, *, partial: bool) -> int | None:
        """For messages behind the first of a read: where they begin is not known, so that any line that looks like a
        request of another protocol is taken for one. The number of messages before it, or None where there is none.
        `heads`: how many of them began in an earlier read; `partial`: the last one's head is not whole."""
        if b" RTSP/" in data or b" ICE/" in data:
            for line in data.split(b"\r\n"):
                if METHOD.match(line) and _OTHER.search(line):
                    return heads
                heads += _HTTP.match(line) is not None
        if partial:
            last = data[data.rfind(b"\r\n\r\n") + 4 :]
            self.line = None if b"\r" in last else last
        return None
