"""What makes a single value well formed: each check takes it and says what is wrong, or None.

As strict as Istio's admission webhook (`pkg/config/validation`), in words for the one who wrote the value.
"""

from __future__ import annotations

import ipaddress
import re

from meshproxy.model.hosts import is_ip
from meshproxy.model.protocols import Protocol, parse_protocol
from meshproxy.plan.regex import Regex

_LABEL = re.compile(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")
_WILDCARD_LABEL = re.compile(rf"\*|(?:\*|\*-)?{_LABEL.pattern}")
_OBJECT_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_KEY = re.compile(rf"(?:{_LABEL.pattern}(?:\.{_LABEL.pattern})*/)?({_QUALIFIED})")
_LABEL_VALUE = re.compile(rf"(?:{_QUALIFIED})?")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~A-Za-z0-9]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_COMMAND = re.compile(r"%%|%[^%(]+(?:\([^)]*\))? *%")
_JWT_CLAIM = re.compile(r"@request\.auth\.claims(?:\..+|(?:\[[^\]]+\])+)")
_SNI_CLUSTER = re.compile(r"outbound_\.?[0-9][^_]*_[^_]*_\.?[^_]*[a-zA-Z].*")
_PSEUDO_HEADERS = frozenset((":method", ":scheme", ":authority", ":path", ":status"))
_LONGEST_REGEX = 1024
PROTOCOLS = "HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, MYSQL and REDIS"
UNIX = "unix://"


def dns_label(value: str) -> str | None:
    """A DNS-1123 label, in any case as Istio has it."""
    if len(value) <= 63 and _LABEL.fullmatch(value):
        return None
    return f'"{value}" is not a DNS label: use letters, digits and "-" (not at the ends), 63 at most'


def optional_dns_label(value: str) -> str | None:
    return dns_label(value) if value else None


def object_name(value: str) -> str | None:
    """The name of a Kubernetes object."""
    if len(value) <= 253 and _OBJECT_NAME.fullmatch(value):
        return None
    return f'"{value}" is not a name of an object: use lower-case letters, digits, "-" and "." (not at the ends)'


def domain(value: str) -> str | None:
    """A domain name without wildcard; one dot at the end is allowed."""
    return _size(value) or _labels(value, value)


def wildcard_domain(value: str) -> str | None:
    """A domain name whose first label may begin with `*`."""
    if wrong := _size(value):
        return wrong
    first, dot, rest = value.partition(".")
    if len(first) > 63 or not _WILDCARD_LABEL.fullmatch(first):
        return f'"{value}" is not a host name: "{first}" is no label (letters, digits, "-", a "*" only in front)'
    return _labels(rest, value) if dot else None


def destination_host(value: str) -> str | None:
    return '"*" is not a destination: name the host to send to' if value == "*" else wildcard_domain(value)


def sni_host(value: str) -> str | None:
    """As `wildcard_domain`; also the names a gateway in AUTO_PASSTHROUGH sees."""
    return None if _SNI_CLUSTER.fullmatch(value) and len(value) <= 255 else wildcard_domain(value)


def partial_wildcard(value: str) -> str | None:
    if "*" in value and value != "*" and not value.startswith("*."):
        return f'the partial wildcard "{value}" is not allowed: write "*." and a domain'
    return None


def _size(value: str) -> str | None:
    if not value:
        return "a host name must not be empty"
    return f'"{value}" is longer than a host name may be (255)' if len(value) > 255 else None


def _labels(value: str, whole: str) -> str | None:
    labels = value.split(".")
    if labels[-1].isdecimal():
        return f'"{whole}" is not a host name: the last label must not be a number'
    if labels[-1] == "" and len(labels) > 1:
        labels.pop()
    wrong = next((label for label in labels if len(label) > 63 or not _LABEL.fullmatch(label)), None)
    return None if wrong is None else f'"{whole}" is not a host name: "{wrong}" is no label (letters, digits, "-")'


def ip_address(value: str) -> str | None:
    return None if is_ip(value) else f'"{value}" is not an IP address'


def subnet(value: str) -> str | None:
    """An IP address or a CIDR block."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return f'"{value}" is neither an IP address nor a CIDR block such as "10.0.0.0/8"'
    return None


def unix_path(value: str) -> str | None:
    """What follows `unix://`: an absolute path, or `@` and an abstract name."""
    if value.startswith("@") or (value.startswith("/") and not value.endswith("/")):
        return None
    return f'"{UNIX}{value}" needs an absolute path to a socket, or "@" and an abstract name'


def milliseconds(seconds: float) -> str | None:
    """Istio's rule for nearly every duration."""
    scaled = seconds * 1000
    if scaled < 1:
        return "must be at least 1ms"
    return "must be a whole number of milliseconds" if abs(scaled - round(scaled)) > 1e-6 else None


def milliseconds_or_zero(seconds: float) -> str | None:
    return None if seconds == 0 else milliseconds(seconds)


def not_negative(number: float) -> str | None:
    return "must not be negative" if number < 0 else None


def percent(number: float) -> str | None:
    return None if 0 <= number <= 100 else f"{number:g} is not a percentage from 0 to 100"


def fine_percent(number: float) -> str | None:
    """0, or what Envoy can tell from 0."""
    if number == 0 or 0.0001 <= number <= 100:
        return None
    return f"{number:g} is neither 0 nor a percentage from 0.0001 to 100"


def http_status(status: int) -> str | None:
    return None if 200 <= status <= 600 else f"{status} is not an HTTP status from 200 to 599"


def regex(pattern: str) -> str | None:
    """RE2, which has neither look-around nor back-references."""
    if not pattern:
        return "a regex must not be empty"
    if len(pattern) > _LONGEST_REGEX:
        return f"this regex has {len(pattern)} characters: {_LONGEST_REGEX} are allowed"
    try:
        Regex(pattern.encode())
    except ValueError as error:
        return f'"{pattern}" is not an RE2 regex: {error} (https://github.com/google/re2/wiki/Syntax)'
    return None


def header_name(name: str) -> str | None:
    """A token of RFC 9110."""
    if _TOKEN.fullmatch(name):
        return None
    return f'"{name}" is not a header name' if name else "a header name must not be empty"


def cors_header_name(name: str) -> str | None:
    return None if name == "*" else header_name(name)


def is_jwt_claim(name: str) -> bool:
    """`@request.auth.claims.group` or `@request.auth.claims[group]`."""
    return _JWT_CLAIM.fullmatch(name) is not None


def match_header_name(name: str) -> str | None:
    """A header, a pseudo header or a JWT claim."""
    return None if name in _PSEUDO_HEADERS or is_jwt_claim(name) else header_name(name)


def is_authority(name: str) -> bool:
    return name.lower() in ("host", ":authority")


def settable_request_header(name: str) -> str | None:
    """For `headers.request.set` and `add`: any header, and Host by either name."""
    return None if is_authority(name) else changeable_header(name)


def changeable_header(name: str) -> str | None:
    """For removal, and for all operations on responses."""
    if not name:
        return "a header name must not be empty"
    if name.lower() == "host":
        return "Host cannot be changed here: only request.set and request.add may name it"
    return f'the pseudo header "{name}" cannot be changed' if name.startswith(":") else None


def header_value(value: str) -> str | None:
    """No control characters; `%` is doubled or encloses a command."""
    if _CONTROL.search(value):
        return "a header value must not contain control characters"
    if "%" in _COMMAND.sub("", value):
        return f'"{value}" has a lone "%": write "%%" for the sign, "%NAME%" or "%NAME(args)%" for a command'
    return None


def label_key(key: str) -> str | None:
    found = _LABEL_KEY.fullmatch(key)
    if found and len(found[1]) <= 63 and len(key) - len(found[1]) <= 254:
        return None
    return f'"{key}" is not a label key: "name" or "domain/name", of letters, digits, "-", "_" and "."'


def label_value(value: str) -> str | None:
    if _LABEL_VALUE.fullmatch(value):
        return None
    return f'"{value}" is not a label value: use letters, digits, "-", "_" and "." (not at the ends)'


def selector_part(text: str) -> str | None:
    """A value of a selector: labels are compared whole."""
    return f'"{text}": a selector has no wildcards' if "*" in text else None


def selector_key(key: str) -> str | None:
    return selector_part(key) if key else "a label key must not be empty"


def domain_or_ip(value: str) -> str | None:
    return None if is_ip(value) else domain(value)


def known_protocol(word: str) -> str | None:
    """Empty is allowed: the protocol is then found out."""
    if not word or parse_protocol(word) is not Protocol.UNSUPPORTED:
        return None
    return f'"{word}" is not a protocol: Istio knows {PROTOCOLS}'
