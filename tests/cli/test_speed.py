"""The tools answer while a person waits: in processor time of a process of their own, the best of some runs."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

BOOKINFO = Path(__file__).parents[2] / "config" / "bookinfo"
ONE = """\
apiVersion: v1
kind: Service
metadata: {{name: s{n}}}
spec: {{selector: {{app: s{n}}}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: s{n}}}
spec: {{host: s{n}, subsets: [{{name: v1, labels: {{version: v1}}}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: s{n}}}
spec:
  hosts: [s{n}]
  http:
  - match: [{{uri: {{prefix: /api/v1/}}}}, {{uri: {{regex: "/u/[^/]+/p{n}(/.*)?"}}}}]
    route: [{{destination: {{host: s{n}, subset: v1}}}}]
  - match: [{{uri: {{regex: "/(a|b)/[0-9]+"}}, headers: {{x-user: {{exact: jason}}}}}}]
    route: [{{destination: {{host: s{n}, subset: v1}}}}]
  - route: [{{destination: {{host: s{n}, subset: v1}}}}]
---
"""


def seconds(*argv: str, runs: int) -> float:
    def used() -> float:
        found = resource.getrusage(resource.RUSAGE_CHILDREN)
        return found.ru_utime + found.ru_stime

    times = []
    for _ in range(runs):
        before = used()
        subprocess.run([sys.executable, "-m", "meshproxy", *argv], check=True, capture_output=True)
        times.append(used() - before)
    return min(times)


def test_a_thousand_resources_are_checked_in_two_seconds(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text("".join(ONE.format(n=n) for n in range(334)))
    assert seconds("check", str(tmp_path), runs=2) < 2


def test_explain_answers_at_once() -> None:
    # 0.25 on the machine of the design's figures, where 0.3 is promised; the rest is for slower ones
    assert seconds("explain", "-f", str(BOOKINFO), "http://reviews:9080/", runs=5) < 0.5
