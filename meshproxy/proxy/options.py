"""Time-outs and limits that guard the proxy itself; every one has a default. Seconds and bytes."""

from __future__ import annotations

from dataclasses import dataclass

from meshproxy.base.units import KIB, MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Defaults from http1.md, section 1."""

    header_timeout: float = 15.0  # from a connection's or a head's first moment to the head's last byte: 408
    idle_timeout: float = 3600.0  # a kept connection without a request
    stream_idle_timeout: float = 300.0  # no byte in either direction: 408 before the request is whole, else 504
    half_close_timeout: float = 1.0  # so long a client that has closed its half is waited with
    sweep_interval: float = 0.5  # how often the three above are looked at
    max_connections: int = 0  # downstream, for this worker; 0: no limit
    high_water: int = 64 * KIB  # request bytes waiting for an upstream before reading stops
    retry_buffer: int = MIB  # request bytes kept for a retry
    discard_limit: int = MIB  # request bytes read and dropped after an early answer
