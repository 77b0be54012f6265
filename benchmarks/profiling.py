"""Where a request's time goes, in µs of CPU per request: by library (perf, where installed) and by Python function.

Three runs of one scenario: untouched (the true cost), under `perf` (which native code and how much kernel), under
cProfile (which Python functions). cProfile makes calls dear, so what it adds to each call is measured and taken off.
"""

import argparse
import cProfile
import pstats
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers import Peer, running, upstream
from benchmarks.report import table
from benchmarks.results import Figures
from benchmarks.scenarios import SCENARIOS, Pace, Scenario

SELDOM = 0.1  # Fewer calls per request than this belong to start-up and the timers.
CALLS = 200_000
SHOWN = 40
PERF_FREQUENCY = 1999


@dataclass(frozen=True, slots=True)
class Row:
    """One function: how often a request calls it and what its own code costs."""

    module: str
    function: str
    calls: float
    microseconds: float


def main() -> None:
    names = [each.name for each in SCENARIOS if "meshproxy" in each.peers and not each.fresh]
    parser = argparse.ArgumentParser(prog="benchmarks/profile", description=__doc__)
    parser.add_argument("scenario", nargs="?", default="small", choices=names)
    parser.add_argument("--seconds", type=float, default=4.0)
    asked = parser.parse_args()
    scenario = next(each for each in SCENARIOS if each.name == asked.scenario)
    pace = Pace(1, asked.seconds)
    with TemporaryDirectory(prefix="meshproxy-profile-") as directory, upstream(Path(directory)) as port:
        Path(directory).chmod(0o755)
        with running("meshproxy", scenario.setup, Path(directory), port) as peer:
            scenario.shoot(peer, Pace(1, 1.0))
            figures = scenario.shoot(peer, pace)
            print(f"{scenario.title}: {figures['cpu_us']:.1f} µs of CPU per request\n")
            if shutil.which("perf"):
                print(native(peer, lambda peer: scenario.shoot(peer, pace), pace, Path(directory) / "perf.data"))
        print(python(scenario, pace, Path(directory), port))


def native(peer: Peer, shoot: Callable[[Peer], Figures], pace: Pace, data: Path) -> str:
    """By library and by native function, from samples of the running process."""
    pids = ",".join(str(pid) for pid in peer.pids())
    argv = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(PERF_FREQUENCY), "-o", str(data), "-p", pids]
    with subprocess.Popen([*argv, "--", "sleep", str(pace.seconds)], stderr=subprocess.DEVNULL):
        figures = shoot(peer)
    sorts = {"library": "dso", "native function": "dso,symbol"}
    tables = (table((head, "µs", "share"), _perf_table(data, by, figures["cpu_us"])) for head, by in sorts.items())
    return "\n\n".join(tables) + "\n"


def python(scenario: Scenario, pace: Pace, directory: Path, port: int) -> str:
    """By module and by Python function, from every call."""
    with running("profiled", scenario.setup, directory, port) as peer:
        requests = scenario.shoot(peer, pace)["requests"]
    rows = per_request(pstats.Stats(str(peer.site.directory / "profile")), requests, call_cost())
    total = sum(row.microseconds for row in rows)
    modules: dict[str, float] = {}
    for row in rows:
        modules[row.module] = modules.get(row.module, 0.0) + row.microseconds
    dearest = sorted(modules.items(), key=lambda pair: -pair[1])
    by_module = table(("module", "own µs", "share"), ((name, *_share(cost, total)) for name, cost in dearest))
    functions = ((f"{row.module}:{row.function}", f"{row.calls:.2f}", *_share(row.microseconds, total)) for row in rows)
    by_function = table(("function", "calls", "own µs", "share"), islice(functions, SHOWN))
    return f"As profiled; what uvloop does for a function counts as its own.\n\n{by_module}\n\n{by_function}"


def per_request(stats: pstats.Stats, requests: float, cost: float) -> list[Row]:
    """Own time of each function per request, dearest first, with the profiler's own cost taken off."""
    rows = [
        Row(_module(file), name, calls / requests, max(0.0, own - calls * cost) * 1e6 / requests)
        for (file, _, name), (_, calls, own, _, _) in stats.stats.items()  # type: ignore[attr-defined]
        if calls / requests >= SELDOM or "run_until_complete" in name  # The loop itself: one call, all requests.
    ]
    return sorted(rows, key=lambda row: -row.microseconds)


def _share(cost: float, total: float) -> tuple[str, str]:
    return f"{cost:.2f}", f"{cost / total:.1%}"


def call_cost() -> float:
    """What cProfile adds to the own time of each function called, in seconds."""

    def nothing() -> None: ...

    def call() -> None:
        for _ in range(CALLS):
            nothing()

    profile = cProfile.Profile()
    profile.runcall(call)
    own = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    return float(next(seconds for (*_, name), (_, _, seconds, _, _) in own.items() if name == "nothing")) / CALLS


def _module(file: str) -> str:
    if file == "~":
        return "built in"
    path = Path(file)
    parts = path.with_suffix("").parts
    for root in ("meshproxy", "site-packages"):
        if root in parts:
            last = len(parts) - 1 - parts[::-1].index(root)
            return ".".join(parts[last + (root == "site-packages") :])
    return path.stem


def _perf_table(data: Path, sort: str, microseconds: float) -> Iterable[tuple[str, str, str]]:
    argv = ["perf", "report", "-i", str(data), "--sort", sort, "--stdio", "-q", "--percent-limit", "0.7", "-t", "\t"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    for line in lines:
        share, _, name = line.partition("\t")
        symbol = " ".join(word for word in name.split() if word != "-")
        if symbol and "[k] " not in symbol:  # The kernel's functions are no news, only their sum is.
            part = float(share.strip().rstrip("%")) / 100
            yield symbol, *_share(part * microseconds, microseconds)


if __name__ == "__main__":
    main()
