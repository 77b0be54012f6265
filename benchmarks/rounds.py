"""Runs scenarios: peers started side by side, rounds interleaved, the order turned by one each round."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import load
from benchmarks.load import Drive
from benchmarks.peers import Peer, available, running, upstream
from benchmarks.results import Figures
from benchmarks.scenarios import Pace, Scenario

SHOWN = ("cpu_us", "rps", "p99_ms", "idle_kib", "rss_mib", "start_ms", "reload_s", "delay_ms", "failed")

Taken = dict[str, list[Figures]]


def run(scenarios: list[Scenario], pace: Pace, wanted: tuple[str, ...]) -> dict[str, Taken]:
    """What was found by scenario and peer; a scenario that could not be measured is said so and left out."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="meshproxy-bench-")))
        directory.chmod(0o755)  # nginx started by root reads its files as another user
        port = stack.enter_context(upstream(directory))
        found = {}
        for scenario in scenarios:
            names = available(tuple(name for name in scenario.peers if not wanted or name.partition("×")[0] in wanted))
            say(f"{scenario.name}: {scenario.title}")
            try:
                found[scenario.name] = run_one(scenario, names, pace, directory / scenario.name, port)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                say(f"  {scenario.name} could not be measured: {error}")
        return found


def run_one(scenario: Scenario, names: tuple[str, ...], pace: Pace, directory: Path, port: int) -> Taken:
    taken: Taken = {name: [] for name in names}
    with ExitStack() as stack:
        standing: dict[str, Peer] = {}
        for name in () if scenario.fresh else names:
            standing[name] = stack.enter_context(running(name, scenario.setup, directory, port))
            load.wrk(standing[name].port, Drive(), 1.0)
        for number in range(pace.rounds):
            turn = number % max(1, len(names))
            for name in (*names[turn:], *names[:turn]):
                if scenario.fresh:
                    with running(name, scenario.setup, directory / str(number), port) as peer:
                        figures = scenario.shoot(peer, pace)
                else:
                    figures = scenario.shoot(standing[name], pace)
                taken[name].append(figures)
                say(f"  {number + 1}/{pace.rounds} {name:12} {line(figures)}")
    return taken


def line(figures: Figures) -> str:
    return "  ".join(f"{name} {figures[name]:.2f}" for name in SHOWN if name in figures)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
