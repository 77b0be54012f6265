"""Results as people read them: markdown tables, JSON, and the block in the README that a run replaces."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from benchmarks import plots
from benchmarks.results import Results, Standing, stand
from benchmarks.scenarios import ALL, BARS, SCENARIOS

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
TITLES = {each.name: each.title for each in SCENARIOS}
VERDICTS = {True: "met", False: "**missed**", None: "not judged"}
# Figure, its head in the table, digits. Scenarios without the figure do not get a row.
COST, COLUMNS = ("cpu_us", "µs", 1), (("rps", "requests/s", 0), ("p50_ms", "p50 ms", 2), ("p99_ms", "p99 ms", 2))
EXTRA = (
    ("rate", "p99.9_ms", "p99.9 at constant rate, ms", 2),
    ("small", "rss_mib", "resident memory after small GETs, MiB (RSS)", 1),
    ("small", "pss_mib", "the same, shared pages counted once (PSS)", 1),
    ("small", "peak_mib", "peak memory, small GETs, MiB", 1),
    ("response-1m", "peak_mib", "peak memory, 1 MiB responses, MiB", 1),
    ("connections-500", "peak_mib", "peak memory, 500 connections, MiB", 1),
    ("idle", "rss_mib", "resident memory at 5,000 idle connections, MiB", 1),
    ("idle", "idle_kib", "an idle connection, KiB", 2),
    ("cold-start", "start_ms", "cold start to LIVE, ms", 0),
    ("tools", "check_ms", "check on 1,000 resources, ms", 0),
    ("tools", "explain_ms", "explain, from a cold start, ms", 0),
    ("reload", "reload_s", "big reload, s", 2),
    ("reload", "delay_ms", "big reload: longest added delay, ms", 1),
    ("reload", "quiet_delay_ms", "the same without a reload, ms", 1),
)


def text(results: Results) -> str:
    parts = (summary(results), cost_table(results), latency_table(results), extra_table(results))
    return "\n\n".join(parts)


def summary(results: Results) -> str:
    machine, versions = results.machine, ", ".join(f"{name} {value}" for name, value in results.versions.items())
    pace = f"{results.pace['rounds']:.0f} rounds of {results.pace['seconds']:g} s, interleaved, medians"
    head = f"{results.date}; {machine['cpu']}, {machine['memory']}, {machine['kernel']}; {versions}; {pace}."
    return f"{head}\n\n{bar_table(stand(results, BARS))}"


def bar_table(standings: Iterable[Standing]) -> str:
    return table(
        ("bar", "limit", "measured", ""),
        (
            (
                one.bar.title,
                f"{'≥' if one.bar.at_least else '≤'} {one.bar.limit:g} {one.bar.unit}".strip(),
                "-" if one.value is None else f"{one.value:.2f} {one.bar.unit}".strip(),
                VERDICTS[one.met],
            )
            for one in standings
        ),
    )


def cost_table(results: Results) -> str:
    """CPU µs per request of every peer; failed requests are shown, never dropped."""
    figure, _, digits = COST
    rows = []
    for name in _with(results, figure):
        cells = [_cell(results, name, peer, figure, digits) for peer in ALL]
        failed = sum(sum(results.values(name, peer, "failed")) for peer in ALL)
        rows.append((TITLES[name], *cells, f"{failed:.0f}"))
    return table(("CPU µs per request", *ALL, "failed"), rows)


def latency_table(results: Results) -> str:
    rows = []
    for name in _with(results, COLUMNS[0][0]):
        for peer in results.rounds[name]:
            cells = (_cell(results, name, peer, figure, digits) for figure, _, digits in COLUMNS)
            rows.append((TITLES[name], peer, *cells))
    return table(("scenario", "peer", *(title for _, title, _ in COLUMNS)), rows)


def extra_table(results: Results) -> str:
    rows = [
        (title, *(_cell(results, scenario, peer, figure, digits) for peer in ALL))
        for scenario, figure, title, digits in EXTRA
        if scenario in results.rounds
    ]
    return table(("", *ALL), rows)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A markdown table that lines up as plain text as well."""
    lines = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    drawn = [
        "| "
        + " | ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 1) + ("-" if n == 0 else ":") for n, width in enumerate(widths)) + "|"
    return "\n".join((drawn[0], rule, *drawn[1:]))


def save(results: Results, name: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    bars = [
        {"title": one.bar.title, "limit": one.bar.limit, "value": one.value, "met": one.met}
        for one in stand(results, BARS)
    ]
    (RESULTS / f"{name}.json").write_text(json.dumps({**asdict(results), "bars": bars}, indent=1, ensure_ascii=False))


def load() -> Results:
    stored = json.loads((RESULTS / "latest.json").read_text())
    del stored["bars"]
    return Results(**stored)


def draw(results: Results) -> list[Path]:
    return plots.draw(results, RESULTS)


def write_readme(results: Results) -> None:
    README.write_text(with_block(README.read_text(), text_for_readme(results)))


def text_for_readme(results: Results) -> str:
    plot = "![CPU per request of each proxy](benchmarks/results/cpu.png)"
    return f"{summary(results)}\n\n{cost_table(results)}\n\n{plot}\n\nRepeat it: `make bench`."


def with_block(readme: str, block: str) -> str:
    """The README with the text between the markers replaced, or the block appended where there are none."""
    marked = f"{BEGIN}\n{block}\n{END}"
    if BEGIN not in readme:
        return f"{readme.rstrip()}\n\n{marked}\n"
    return re.sub(f"{BEGIN}.*?{END}", lambda _: marked, readme, count=1, flags=re.DOTALL)


def _with(results: Results, figure: str) -> list[str]:
    return [name for name in results.rounds if any(results.values(name, peer, figure) for peer in results.rounds[name])]


def _cell(results: Results, scenario: str, peer: str, figure: str, digits: int) -> str:
    value = results.figure(scenario, peer, figure)
    return "-" if value is None else f"{value:,.{digits}f}"
