"""Fault injection: a delay, an abort, each with its own share of requests, drawn apart, the delay first."""

from __future__ import annotations

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Shares in millionths (1/10000 of a percent). `abort_status` 0 and `abort_grpc_status` None: no abort."""

    delay: float = 0.0
    delay_share: int = 0
    abort_status: int = 0
    abort_grpc_status: int | None = None
    abort_share: int = 0

    def delays(self, draw: float) -> bool:
        """Whether this request is delayed; `draw` in [0, 1)."""
        return draw * MILLION < self.delay_share

    def aborts(self, draw: float) -> bool:
        """Whether this request is aborted; `draw` in [0, 1)."""
        return draw * MILLION < self.abort_share
