"""The request target: its forms (RFC 9112, 3.2) and the normalization of paths, Istio's BASE, as Envoy does it.

`/a/../b`, `/%2e%2e/`, `\\`, `..;x`, escapes of unreserved characters: what is matched is what is sent on. Slashes are
not merged, `%2F` and `%5C` are kept, the query is not touched, the fragment is cut.
"""

from __future__ import annotations

import re

from meshproxy.base.errors import Kind, ProxyError, Side

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
PLAIN = _UNRESERVED + b"/!$&'()*+,=:@"
"""Of these letters a path is made that stays as it is, unless it has a segment that begins with a dot."""
_ESCAPED_BY_US = {byte: b"%%%02X" % byte for byte in b'"<>^`{|} '}
_BARE = b"\xff"  # stands for it: no path has this byte
_MADE_ESCAPE = re.compile(_BARE + rb"(?=[0-9A-Fa-f]{2})")
_TOKEN = re.compile(rb"%([0-9A-Fa-f]{2})|.", re.DOTALL)
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)(.*)", re.DOTALL | re.IGNORECASE)
_DOT_SEGMENT = re.compile(rb"(\.\.?)(?:;.*)?", re.DOTALL)


def _bad(cause: str) -> ProxyError:
    return ProxyError(Kind.BAD_REQUEST, Side.DOWNSTREAM, cause)


def split_target(target: bytes, method: bytes) -> tuple[bytes, bytes | None, bytes | None]:
    """(normalized path, query or None, authority of an absolute-form target or None)."""
    authority = None
    if target[:1] != b"/":
        if target == b"*":
            if method != b"OPTIONS":
                raise _bad("the target * is for OPTIONS only")
            return target, None, None
        found = _ABSOLUTE.fullmatch(target)
        if found is None:
            raise _bad("the target is neither a path nor an absolute URI")
        authority, target = found[2], found[3]
        if b"@" in authority:
            raise _bad("user information in the target")
        if target[:1] != b"/":
            target = b"/" + target
    if (end := target.find(b"#")) >= 0:
        target = target[:end]
    path, mark, query = target.partition(b"?")
    if path.translate(None, PLAIN) or b"/." in path:
        path = normalized(path)
    return path, (query if mark else None), authority


def normalized(path: bytes) -> bytes:
    """Istio's BASE normalization. Raises ProxyError(BAD_REQUEST) for NUL and for bytes beyond ASCII."""
    segments: list[bytes] = []
    parts = _decoded(path).split(b"/")[1:]
    for number, part in enumerate(parts, 1):
        dots = _DOT_SEGMENT.fullmatch(part)
        if dots is None:
            segments.append(part)
            continue
        if dots[1] == b".." and segments:
            segments.pop()
        if number == len(parts):
            segments.append(b"")
    return b"/" + b"/".join(segments)


def _decoded(path: bytes) -> bytes:
    """Escapes of unreserved characters undone, once; `\\` as `/`; what a path may not hold escaped."""
    out: list[bytes] = []
    bare = False  # whether there is a % that begins no escape
    for token in _TOKEN.finditer(path):
        text = token[0]
        byte = text[0]
        if len(text) == 3:
            value = int(token[1], 16)
            if value == 0:
                raise _bad("an escaped NUL in the path")
            out.append(bytes((value,)) if value in _UNRESERVED else text)
        elif byte >= 0x7F or byte < 0x20:
            raise _bad("a byte in the path that must be escaped")
        elif byte == 0x5C:
            out.append(b"/")
        elif byte == 0x25:
            bare = True
            out.append(_BARE)
        else:
            out.append(_ESCAPED_BY_US.get(byte, text))
    decoded = b"".join(out)
    # what is undone behind it must not make an escape of it, which the next one would undo (googleurl does the same)
    return _MADE_ESCAPE.sub(b"%25", decoded).replace(_BARE, b"%") if bare else decoded
