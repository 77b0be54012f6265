"""The values of annotations, as Istio's injector takes and refuses them."""

import pytest

from meshproxy.analysis.annotation_names import _KINDS
from meshproxy.analysis.annotation_values import VALUES

TAKEN = {
    "sidecar.istio.io/interceptionMode": ["REDIRECT", "TPROXY", "NONE"],
    "status.sidecar.istio.io/port": ["15020", " 0 ", "65535"],
    "readiness.status.sidecar.istio.io/periodSeconds": ["0", "4294967295"],
    "traffic.sidecar.istio.io/includeOutboundIPRanges": ["*", "", "10.0.0.1/8,fd00::/8"],
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": ["10.0.0.0/8"],
    "traffic.sidecar.istio.io/excludeInboundPorts": ["", "80, 443"],
    "traffic.sidecar.istio.io/excludeInterfaces": ["", "eth0, net-1.2"],
    "prometheus.istio.io/merge-metrics": ["true", "0", "F"],
    "proxy.istio.io/config": ["", "concurrency: 2", '{"concurrency": 2}'],
    "sidecar.istio.io/proxyCPU": ["1", ".5", "100m", "1e3", "2Gi"],
}
REFUSED = {
    "sidecar.istio.io/interceptionMode": ["redirect", ""],
    "status.sidecar.istio.io/port": ["", "65536", "-1", "http"],
    "readiness.status.sidecar.istio.io/periodSeconds": ["", " 1", "1.5", "4294967296"],
    "traffic.sidecar.istio.io/includeOutboundIPRanges": ["10.0.0.1", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "a/8"],
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": ["*", "10.0.0.0/8, 11.0.0.0/8"],
    "traffic.sidecar.istio.io/excludeInboundPorts": ["*", "80,"],
    "traffic.sidecar.istio.io/excludeInterfaces": ["eth0,", "0eth", "a234567890123456"],
    "prometheus.istio.io/merge-metrics": ["yes", ""],
    "proxy.istio.io/config": ["words", "[1]", "a: ["],
    "sidecar.istio.io/proxyCPU": ["", "1 Gi", "1gi", "m", "1\n"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in TAKEN.items() for value in values])
def test_what_the_injector_takes_is_right(name: str, value: str) -> None:
    assert VALUES[name](value) is None


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_what_the_injector_refuses_is_wrong(name: str, value: str) -> None:
    assert VALUES[name](value)


def test_only_annotations_of_pods_have_values_that_are_checked() -> None:
    assert {tuple(_KINDS[name]) for name in VALUES} == {("Pod",)}
