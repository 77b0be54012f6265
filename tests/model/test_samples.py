"""Istio's own samples load as they are."""

from pathlib import Path

import pytest

from meshproxy.model.catalog import Source, read_catalog

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*.yaml"))
READ = {"VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "Service", "EnvoyFilter", "Deployment"}


def kinds(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith("kind:")]


@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_a_sample_loads_without_a_finding(path: Path) -> None:
    catalog, problems = read_catalog([Source(path.name, path.read_bytes())])
    assert not problems, [str(problem) for problem in problems]
    tuples = (
        catalog.virtual_services,
        catalog.destination_rules,
        catalog.gateways,
        catalog.service_entries,
        catalog.services,
        catalog.envoy_filters,
        catalog.deployments,
    )
    found = [resource.meta.kind for resources in tuples for resource in resources]
    assert sorted(found) == sorted(kind for kind in kinds(path) if kind in READ)
    assert sorted(skipped.kind for skipped in catalog.skipped) == sorted(
        kind for kind in kinds(path) if kind not in READ
    )


def test_there_are_samples() -> None:
    assert len(SAMPLES) == 34
