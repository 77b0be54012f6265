"""warmup: how the share of a new endpoint grows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup:
    """A new endpoint's share grows over `duration` from `minimum` (a fraction of its weight)."""

    duration: float
    minimum: float = 0.1
    aggression: float = 1.0

    def factor(self, age: float) -> float:
        """What the weight is multiplied by, `age` seconds after the endpoint came (Envoy: applySlowStartFactor)."""
        if age >= self.duration:
            return 1.0
        return float(max(self.minimum, min(1.0, max(age, 1.0) / self.duration) ** (1 / self.aggression)))
