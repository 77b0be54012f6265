"""Sizes and durations in words people write, both ways."""

KIB = 1024
MIB = 1024 * 1024


def duration_text(seconds: float) -> str:
    """`1.5` as `1.5s`, `0.025` as `25ms`, `0` as `0s`: what Istio users read and write."""
    if seconds and seconds < 1:
        return f"{seconds * 1000:g}ms"
    return f"{seconds:g}s"
