"""What a run found: figures per scenario, peer and round; medians, ratios, and how they stand against the bars.

Pure: no process, no file. A ratio is taken round by round (the two peers ran seconds apart) and the median is shown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Figures = Mapping[str, float]
Rounds = Mapping[str, Mapping[str, list[Figures]]]
Summary = Callable[[list[float]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One run; `rounds[scenario][peer]` holds a mapping of figures for each round."""

    date: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    pace: Mapping[str, float]
    rounds: Rounds

    def values(self, scenario: str, peer: str, figure: str) -> list[float]:
        taken = self.rounds.get(scenario, {}).get(peer, [])
        return [figures[figure] for figures in taken if figure in figures]

    def figure(self, scenario: str, peer: str, figure: str) -> float | None:
        values = self.values(scenario, peer, figure)
        return median(values) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What a figure of a scenario must reach, by itself or (with `over`) as a ratio to another peer's or scenario's."""

    title: str
    scenario: str
    figure: str
    limit: float
    of: str = "meshproxy"
    over: str | None = None
    over_scenario: str | None = None
    at_least: bool = False
    summary: Summary = median
    unit: str = ""
    cores: int = 1

    def value(self, results: Results) -> float | None:
        """The measured value; None where this run does not have it."""
        found = results.values(self.scenario, self.of, self.figure)
        if self.over is not None:
            below = results.values(self.over_scenario or self.scenario, self.over, self.figure)
            found = [one / other for one, other in zip(found, below, strict=False) if other]
        return self.summary(found) if found else None

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Standing:
    """A bar and what this run has to say about it; `met` is None where it cannot be judged."""

    bar: Bar
    value: float | None
    met: bool | None


def stand(results: Results, bars: tuple[Bar, ...]) -> list[Standing]:
    cores = int(results.machine.get("cpu", "1").split()[0])
    return [
        Standing(bar, value, None if value is None or cores < bar.cores else bar.met(value))
        for bar in bars
        for value in (bar.value(results),)
    ]
