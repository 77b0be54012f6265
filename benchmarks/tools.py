"""How long a person waits for the tools: whole processes, from the command to its end."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.mesh import Setup, documents
from benchmarks.results import Figures

BOOKINFO = Path(__file__).parents[1] / "config" / "bookinfo"
RESOURCES = 1_000
_PER_SERVICE = 3


def shoot_tools() -> Figures:
    """`check` on 1,000 resources, `explain` on the packaged configuration."""
    with tempfile.TemporaryDirectory(prefix="meshproxy-bench-") as directory:
        made = documents(Setup(services=RESOURCES // _PER_SERVICE), upstream_port=9080)
        Path(directory, "mesh.yaml").write_text(yaml.safe_dump_all(made))
        checked = _milliseconds("check", directory)
    return {"check_ms": checked, "explain_ms": _milliseconds("explain", "-f", str(BOOKINFO), "http://reviews:9080/")}


def _milliseconds(*arguments: str) -> float:
    began = time.perf_counter()
    argv = [sys.executable, "-m", "meshproxy", *arguments]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000
