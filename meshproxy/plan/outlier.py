"""outlierDetection: when an endpoint is left alone for a while. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection:
    """Counts are of errors in a row; 0: that kind does not eject. `split`: what goes wrong on our side (no connection,
    no answer) is counted apart, as `local_origin`. `error_codes`: exactly these statuses are errors."""

    consecutive_5xx: int = 5
    consecutive_gateway: int = 0
    split: bool = False
    consecutive_local_origin: int = 5
    interval: float = 10.0
    base_ejection_time: float = 30.0
    max_ejection_percent: int = 10
    error_codes: frozenset[int] = frozenset()

    @property
    def max_ejection_time(self) -> float:
        return max(_LONGEST, self.base_ejection_time)
