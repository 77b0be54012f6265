"""The big reload: everything changes under a constant load; how long until it acts, and whom it made wait."""

import json
import socket
import subprocess
import time
from itertools import chain
from pathlib import Path
from statistics import median

from benchmarks import mesh
from benchmarks.load import ROOT, ask, rate_argv
from benchmarks.peers import Peer
from benchmarks.results import Figures

RATE = 1000.0
BEFORE, AFTER = 2.0, 10.0
SETTLE = 0.5
POLL = 0.01
TRACE = Path(__file__).parent / "results" / "reload-trace.json"
Trace = list[tuple[float, float, bool]]


def shoot_reload(peer: Peer) -> Figures:
    """Swaps in the other generation while the load runs, and asks the last service until its answer changes."""
    directory, trace = peer.site.directory / "conf", peer.site.directory / "trace.json"
    generation = mesh.stage(directory, peer.setup, peer.site.upstream_port, generation=1)
    argv = rate_argv(peer.port, RATE, BEFORE + AFTER, trace)
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL) as loader:
        try:
            time.sleep(BEFORE)
            swapped = time.monotonic()
            mesh.swap(directory, generation)
            complete = _await_change(peer)
            loader.wait()
        finally:
            loader.kill()
    answers: Trace = json.loads(trace.read_text())
    TRACE.parent.mkdir(exist_ok=True)
    TRACE.write_text(json.dumps({"swapped": swapped, "complete": complete, "answers": answers}))
    return summarize(answers, swapped, complete)


def summarize(answers: Trace, swapped: float, complete: float) -> Figures:
    """`delay_ms` is how much longer than usual the slowest request between the swap and its settling took."""
    end = complete + SETTLE
    quiet = [latency for due, latency, _ in answers if due < swapped]
    during = [latency for due, latency, _ in answers if swapped <= due <= end]
    return {
        "reload_s": complete - swapped,
        "failed": float(sum(not ok for _, _, ok in answers)),
        "delay_ms": (max(during) - median(quiet)) * 1000,
        "quiet_delay_ms": (max(quiet) - median(quiet)) * 1000,
    }


def _await_change(peer: Peer) -> float:
    """When the last service was first answered by an endpoint of its new subset."""
    host = mesh.service_host(peer.setup.services - 1)
    wanted = [f"x-from: {address}".encode() for address in chain(mesh.SUBSETS["v2"])]
    deadline = time.monotonic() + AFTER
    with socket.create_connection(("127.0.0.1", peer.port), 10.0) as connection:
        while time.monotonic() < deadline:
            answer = ask(connection, host).lower()
            if any(line in answer for line in wanted):
                break
            time.sleep(POLL)
    return time.monotonic()
