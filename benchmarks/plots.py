"""Results as pictures. Each plot is a function that draws nothing where its figures are missing."""

import json
from pathlib import Path
from typing import Any

from benchmarks.reload import TRACE
from benchmarks.results import Results
from benchmarks.scenarios import ALL, SCENARIOS

COLOURS = dict(zip(ALL, ("#d1495b", "#30638e", "#7a9e7e", "#8f8f8f", "#d9c5a0"), strict=True))
QUANTILES = (("p50_ms", "p50"), ("p99_ms", "p99"), ("p99.9_ms", "p99.9"))
MEMORY = (("small", "after small GETs"), ("connections-500", "500 connections"), ("idle", "5,000 idle connections"))


def draw(results: Results, directory: Path) -> list[Path]:
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    mpl.use("Agg")
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 10})
    from matplotlib import pyplot

    drawn = []
    for name, plot in {"cpu": cpu, "latency": latency, "memory": memory, "reload": reload}.items():
        figure, axes = pyplot.subplots(figsize=(9, 7 if name == "cpu" else 4.2))
        if plot(results, axes):
            figure.tight_layout()
            figure.savefig(directory / f"{name}.png", dpi=130)
            drawn.append(directory / f"{name}.png")
        pyplot.close(figure)
    return drawn


def cpu(results: Results, axes: Any) -> bool:
    """Cost of each scenario in units of Envoy's, so that 1 MiB and one small GET fit one picture."""
    rows = [each for each in SCENARIOS if results.figure(each.name, "envoy", "cpu_us")]
    peers = [peer for peer in ALL if any(results.figure(row.name, peer, "cpu_us") for row in rows)]
    height = 0.8 / max(1, len(peers))
    for row, scenario in enumerate(rows):
        envoy = results.figure(scenario.name, "envoy", "cpu_us") or 1.0
        for number, peer in enumerate(peers):
            cost = results.figure(scenario.name, peer, "cpu_us")
            if cost is None:
                continue
            at = row + (number - (len(peers) - 1) / 2) * height
            axes.barh(at, cost / envoy, height, color=COLOURS[peer], label=peer if row == 0 else None)
            if peer in ("meshproxy", "envoy"):
                axes.text(cost / envoy + 0.01, at, f"{cost:,.0f} µs", va="center", fontsize=7)
    axes.axvline(1.0, color=COLOURS["envoy"], linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("CPU per request, Envoy = 1 (less is better)")
    axes.legend(frameon=False, loc="lower right")
    return bool(rows)


def latency(results: Results, axes: Any) -> bool:
    """Quantiles at a constant rate."""
    peers = [peer for peer in ALL if results.figure("rate", peer, "p50_ms")]
    for peer in peers:
        values = [results.figure("rate", peer, figure) or 0.0 for figure, _ in QUANTILES]
        axes.plot([title for _, title in QUANTILES], values, "o-", color=COLOURS[peer], label=peer)
    _log(axes)
    axes.set_ylabel("ms from when the request was due")
    axes.set_title("Latency at 5,000 requests per second")
    axes.legend(frameon=False)
    return bool(peers)


def memory(results: Results, axes: Any) -> bool:
    """Resident memory, all processes of a proxy."""
    peers = [peer for peer in ALL if results.figure("small", peer, "rss_mib")]
    width = 0.8 / max(1, len(peers))
    for number, peer in enumerate(peers):
        for column, (scenario, _) in enumerate(MEMORY):
            used = results.figure(scenario, peer, "rss_mib")
            if used is not None:
                at = column + (number - (len(peers) - 1) / 2) * width
                axes.bar(at, used, width, color=COLOURS[peer], label=peer if column == 0 else None)
                axes.text(at, used, f"{used:.0f}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(MEMORY)), [title for _, title in MEMORY])
    axes.set_ylabel("MiB resident")
    axes.legend(frameon=False)
    return bool(peers)


def reload(results: Results, axes: Any) -> bool:
    """Every request around the big reload: when it was due, how long it took."""
    if "reload" not in results.rounds or not TRACE.exists():
        return False
    trace = json.loads(TRACE.read_text())
    swapped = trace["swapped"]
    due = [answer[0] - swapped for answer in trace["answers"]]
    axes.plot(due, [answer[1] * 1000 for answer in trace["answers"]], ".", markersize=2, color=COLOURS["meshproxy"])
    axes.axvspan(0, trace["complete"] - swapped, color="#eeeeee", label="files changed → new routes act")
    _log(axes)
    axes.set_xlabel("seconds since the files changed")
    axes.set_ylabel("latency, ms")
    axes.set_title(
        "1,000 requests/s through a reload of 1,000 VirtualServices, 1,000 DestinationRules, 10,000 endpoints"
    )
    axes.title.set_fontsize(9)
    axes.legend(frameon=False, loc="upper right")
    return True


def _log(axes: Any) -> None:
    """A logarithmic axis that says 1, 2, 5, 10, in plain figures."""
    axes.set_yscale("log")
    axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
