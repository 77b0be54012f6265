"""Facts of istiod's listeners and virtual hosts (istio/istio 86c9f01: `listener_builder.go`, `gateway.go`,
`httproute.go`), held against the export; see test_istiod_routes.py."""

from __future__ import annotations

import yaml
from support.exported import bootstrap_of, exported, holds
from support.plans import API, REVIEWS, virtual_service

GATEWAY = f"""
{API}
kind: Gateway
metadata: {{name: gw}}
spec:
  servers:
  - {{port: {{number: 8080, name: http, protocol: HTTP}}, hosts: [a.test]}}
  - {{port: {{number: 8080, name: http-b, protocol: HTTP}}, hosts: [b.test], tls: {{httpsRedirect: true}}}}
"""
BOUND = virtual_service("- {route: [{destination: {host: reviews}}]}", hosts="[a.test]", gateways="[gw]")
COMMON = {
    "normalize_path": True,
    "merge_slashes": False,
    "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
    "upgrade_configs": [{"upgrade_type": "websocket"}],
}


def test_a_sidecar_trusts_its_client_and_is_called_envoy() -> None:
    manager = exported(REVIEWS)
    assert holds({**COMMON, "use_remote_address": False, "server_name": "envoy"}, manager)


def test_a_gateway_trusts_nobody_and_is_called_istio_envoy() -> None:
    manager = exported(REVIEWS, GATEWAY, BOUND, name="0.0.0.0_8080")
    assert holds({**COMMON, "use_remote_address": True, "server_name": "istio-envoy"}, manager)


def test_a_fault_comes_before_cors_and_both_before_the_router() -> None:
    names = [each["name"].rpartition(".")[2] for each in exported(REVIEWS)["http_filters"]]
    assert names == ["fault", "cors", "router"]


def test_ports_in_the_host_are_ignored_and_unknown_clusters_allowed() -> None:
    for name in ("mesh", "0.0.0.0_8080"):
        routes = exported(REVIEWS, GATEWAY, BOUND, name=name)["route_config"]
        assert (routes["ignore_port_in_host_matching"], routes["validate_clusters"]) == (True, False)
        assert routes["max_direct_response_body_size_bytes"] == 1 << 20


def test_attempts_are_counted_for_the_upstream() -> None:
    hosts = exported(REVIEWS)["route_config"]["virtual_hosts"]
    assert all(host["include_request_attempt_count"] for host in hosts)


def test_the_names_of_a_kubernetes_service() -> None:
    (host,) = exported(REVIEWS)["route_config"]["virtual_hosts"]
    full = "reviews.default.svc.cluster.local"
    wanted = {"reviews", "reviews.default", "reviews.default.svc", full, f"{full}."}
    assert set(host["domains"]) == wanted


def test_https_redirect_is_of_the_whole_virtual_host() -> None:
    hosts = exported(REVIEWS, GATEWAY, BOUND, name="0.0.0.0_8080")["route_config"]["virtual_hosts"]
    found = {tuple(host["domains"]): host.get("require_tls") for host in hosts}
    assert found == {("a.test",): None, ("b.test",): "ALL"}


def test_a_port_that_decides_is_part_of_the_names() -> None:
    """Of a service with two ports: each has its virtual host, the first one those without a port too."""
    two = "apiVersion: v1\nkind: Service\nmetadata: {name: two}\n"
    two += "spec: {ports: [{name: http-a, port: 80}, {name: http-b, port: 81}]}\n"
    routes = exported(two)["route_config"]
    assert routes["ignore_port_in_host_matching"] is False
    domains = [set(host["domains"]) for host in routes["virtual_hosts"]]
    assert {"two", "two:80", "two:443", "two:*"} <= domains[0]
    assert "two:81" in domains[1]
    assert "two" not in domains[1]


def test_the_export_is_what_yaml_can_carry() -> None:
    bootstrap = bootstrap_of(REVIEWS)
    assert yaml.safe_load(yaml.safe_dump(bootstrap)) == bootstrap
