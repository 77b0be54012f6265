"""Every code with objects that are wrong and the nearest that are right, as `cases*.yaml` have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from meshproxy.analysis.codes import CODES
from meshproxy.analysis.run import CHECKS, SUPPRESS, check
from meshproxy.model.catalog import Catalog, Source, read_catalog
from meshproxy.model.problem import Problem

FILES = sorted(Path(__file__).parent.glob("cases*.yaml"))
CASES = [case for path in FILES for case in yaml.safe_load(path.read_text())]
_GROUPS = {
    kind: group
    for group, kinds in {
        "networking.istio.io": "VirtualService DestinationRule Gateway ServiceEntry WorkloadEntry Sidecar EnvoyFilter",
        "security.istio.io": "RequestAuthentication AuthorizationPolicy",
        "telemetry.istio.io": "Telemetry",
        "extensions.istio.io": "WasmPlugin",
        "gateway.networking.k8s.io": "KubernetesGateway HTTPRoute GRPCRoute",
        "apps": "Deployment",
        "apiextensions.k8s.io": "CustomResourceDefinition",
    }.items()
    for kind in kinds.split()
}
_WITHOUT_SPEC = "Pod Secret Node Namespace ConfigMap".split()


def written(kind_and_name: str, value: dict[str, Any]) -> dict[str, Any]:
    """The object a case stands for."""
    kind, _, full_name = kind_and_name.partition(" ")
    namespace, _, name = full_name.rpartition("/")
    beside = () if kind in _WITHOUT_SPEC else ("status",)
    spec = {key: item for key, item in value.items() if key not in ("meta", *beside)}
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **value.get("meta", {})}
    api_version = "/".join(filter(None, (_GROUPS.get(kind), "v1")))
    rest = spec if kind in _WITHOUT_SPEC else {"spec": spec, **{key: value[key] for key in beside if key in value}}
    return {"apiVersion": api_version, "kind": kind.removeprefix("Kubernetes"), "metadata": metadata, **rest}


def catalog_of(objects: dict[str, dict[str, Any]]) -> Catalog:
    text = yaml.safe_dump_all([written(name, value) for name, value in objects.items()])
    catalog, problems = read_catalog([Source("case.yaml", text.encode())])
    assert not [str(problem) for problem in problems if problem.code == "IST0106" and "~" not in text]
    return catalog


def found(objects: dict[str, dict[str, Any]], code: str) -> list[Problem]:
    return [problem for problem in check(catalog_of(objects)) if problem.code == code]


def _id(case: dict[str, Any]) -> str:
    return f"{case['code']}-{case['of'].replace(' ', '_')}"


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_what_is_wrong_is_found_where_it_is(case: dict[str, Any]) -> None:
    problems = found(case["wrong"], case["code"])
    assert problems
    assert case["path"] in {problem.origin.path for problem in problems}
    assert all(problem.level is CODES[case["code"]].level for problem in problems)
    assert case.get("says", "") in " ".join(problem.message for problem in problems)


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_what_is_right_raises_nothing(case: dict[str, Any]) -> None:
    of_this_kind = [p for p in found(case["right"], case["code"]) if p.origin.path == case["path"]]
    assert of_this_kind == []


def test_every_code_of_an_analyzer_has_a_case_and_a_title() -> None:
    given = {code for codes, _ in CHECKS for code in codes}
    assert given == {case["code"] for case in CASES}
    assert given <= CODES.keys()


def test_no_analyzer_gives_a_code_it_does_not_name() -> None:
    given = {code for codes, _ in CHECKS for code in codes}
    assert {problem.code for case in CASES for problem in check(catalog_of(case["wrong"]))} <= given


def test_an_annotation_suppresses_codes_of_its_object() -> None:
    wrong = {
        "Service a": {"ports": [{"port": 80, "name": "web"}]},
        "Service b": {"ports": [{"port": 80, "name": "web"}]},
    }
    assert len(found(wrong, "IST0118")) == 2
    for codes, left in (("IST0101, IST0118", 1), ("*", 1), ("IST0101", 2)):
        wrong["Service a"]["meta"] = {"annotations": {SUPPRESS: codes}}
        assert len(found(wrong, "IST0118")) == left


def test_findings_are_in_istios_order_and_said_once() -> None:
    objects = {name: value for case in CASES[:20] for name, value in case["wrong"].items()}
    problems = check(catalog_of(objects))
    assert len(set(problems)) == len(problems)
    order = [(-problem.level, problem.code, problem.origin.resource) for problem in problems]
    assert order == sorted(order)


def test_a_gateway_of_the_kubernetes_api_is_taken_to_be_there() -> None:
    text = b"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec: {listeners: [{name: all, port: 80, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec: {hosts: [a.com], gateways: [gw], http: [{route: [{destination: {host: b.com}}]}]}
"""
    assert check(read_catalog([Source("a.yaml", text)])[0]) == ()
