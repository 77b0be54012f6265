"""Runs scenarios: peers started side by side, rounds interleaved, the order turned by one each round."""

import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import load
from benchmarks.load import Drive
from benchmarks.peers import available, running, upstream
from benchmarks.results import Figures
from benchmarks.scenarios import Pace, Scenario

SHOWN = ("cpu_us", "rps", "p99_ms", "idle_kib", "rss_mib", "start_ms", "reload_s", "delay_ms", "failed")


Taken = dict[str, list[Figures]]


def run(scenarios: list[Scenario], pace: Pace, wanted: tuple[str, ...]) -> dict[str, Taken]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="meshproxy-bench-")))
        directory.chmod(0o755)  # nginx started by root reads its files as another user
        port = stack.enter_context(upstream(directory))
        found = {}
        for scenario in scenarios:
            names = available(tuple(name for name in scenario.peers if not wanted or name.partition("×")[0] in wanted))
            say(f"{scenario.name}: {scenario.title}")
            found[scenario.name] = run_one(scenario, names, pace, directory / scenario.name, port)
        return found


def run_one(scenario: Scenario, names: tuple[str, ...], pace: Pace, directory: Path, port: int) -> Taken:
    taken: Taken = {name: [] for name in names}
    with ExitStack() as stack:
        standing = (
            {}
            if scenario.fresh
            else {name: stack.enter_context(running(name, scenario.setup, directory, port)) for name in names}
        )
        for peer in standing.values():
            load.wrk(peer.port, Drive(), 1.0)
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
