"""Durations as Istio's YAML has them: Go's (`1h30m`, `100ms`) and proto JSON's (`1.5s`), to seconds."""

import re
from decimal import Decimal

_UNITS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "μs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"[-+]?(?:{_PART.pattern})+")
_LONGEST = Decimal(2**63 - 1) / 10**9
"""Go's longest, 292 years."""


def parse_duration(written: str) -> float | None:
    """Seconds, or None where `written` is no duration. Exact for what a float can hold: `0.1s` is 0.1."""
    if written in ("0", "+0", "-0"):
        return 0.0
    if not _WHOLE.fullmatch(written):
        return None
    seconds = sum((Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(written)), Decimal())
    if seconds > _LONGEST:
        return None
    return float(-seconds if written.startswith("-") else seconds)
