"""`python -m benchmarks`: run, report, and on request write the README's table."""

import argparse
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import measure, report
from benchmarks.results import Results, Rounds
from benchmarks.rounds import run
from benchmarks.scenarios import ALL, SCENARIOS, Pace

FULL, QUICK = Pace(rounds=5, seconds=3.0), Pace(rounds=3, seconds=2.0)
VERSIONS = {
    "python": [sys.executable, "--version"],
    "envoy": [str(Path(sys.executable).parent / "envoy"), "--version"],
    "haproxy": ["haproxy", "-v"],
    "nginx": ["nginx", "-v"],
    "wrk": ["wrk", "-v"],
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds")
    parser.add_argument("--only", action="append", metavar="NAME", choices=[each.name for each in SCENARIOS])
    parser.add_argument("--peers", default="", help=f"some of {','.join(ALL)}")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--report", action="store_true", help="measure nothing, report the latest whole run again")
    parser.add_argument("--write-readme", action="store_true", help="put the report into README.md")
    asked = parser.parse_args()
    whole = not asked.only and not asked.peers
    if asked.write_readme and not whole:
        parser.error("the README shows whole runs only")
    if asked.report:
        results = report.load()
    else:
        usual = QUICK if asked.quick else FULL
        pace = Pace(asked.rounds or usual.rounds, asked.seconds or usual.seconds)
        wanted = tuple(name for name in asked.peers.split(",") if name)
        scenarios = [each for each in SCENARIOS if not asked.only or each.name in asked.only]
        results = gathered(run(scenarios, pace, wanted), pace)
        report.save(results, "latest" if whole else "partial")
    print(report.text(results))
    if whole:
        report.draw(results)
    if asked.write_readme:
        report.write_readme(results)
    return 0


def gathered(rounds: Rounds, pace: Pace) -> Results:
    return Results(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=measure.machine(),
        versions={name: _version(argv) for name, argv in VERSIONS.items() if shutil.which(argv[0])},
        pace={"rounds": pace.rounds, "seconds": pace.seconds},
        rounds=rounds,
    )


def _version(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[.\d]*", done.stdout + done.stderr)
    return found[0] if found else "?"


if __name__ == "__main__":
    sys.exit(main())
