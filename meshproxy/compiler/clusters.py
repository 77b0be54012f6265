"""Clusters: for every service port, and every subset that a DestinationRule or `--map` names, who answers and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from meshproxy.compiler.cluster_policies import build_policies
from meshproxy.compiler.destination_rules import DestinationRules, MergedRule, effective_policy
from meshproxy.compiler.endpoints import Workloads
from meshproxy.compiler.localities import Here, localized, parts, with_topology
from meshproxy.compiler.registry import Registry, Service, ServicePort
from meshproxy.compiler.upstream_tls import ClientCertificates
from meshproxy.model.destination_rule import Subset
from meshproxy.model.hosts import cluster_name
from meshproxy.plan.cluster import Cluster, Endpoint, PassedOver, Resolution

Addresses = Mapping[str, tuple[tuple[str, int], ...]]
"""Subset (or "") to the addresses that `--map` gives it."""


@dataclass(frozen=True, slots=True)
class _Governed:
    """A service with the DestinationRule that applies to it, and those that do not."""

    service: Service
    rule: MergedRule | None
    passed_over: tuple[PassedOver, ...]

    def subset(self, name: str) -> Subset | None:
        return self.rule.subsets.get(name) if self.rule is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterBuilder:
    """All that clusters are made of. `here` is where this workload is."""

    registry: Registry
    workloads: Workloads
    rules: DestinationRules
    here: Here
    certificates: ClientCertificates

    def build(self) -> dict[str, Cluster]:
        """By name."""
        return {
            cluster.name: cluster
            for service in self.registry.services.values()
            for cluster in self._of_service(service, self.registry.mapped.get(service.host))
        }

    def _of_service(self, service: Service, mapped: Addresses | None) -> Iterator[Cluster]:
        rule = self.rules.of(service)
        governed = _Governed(service, rule, self.rules.passed_over(service, rule))
        subsets = dict.fromkeys(("", *(rule.subsets if rule is not None else ()), *(mapped or ())))
        for port in service.ports:
            endpoints = self.workloads.endpoints(service, port) if mapped is None else ()
            labelled = [(each, _labels(each)) for each in endpoints] if len(subsets) > 1 else []
            for name in subsets:
                subset = governed.subset(name)
                if mapped is not None:
                    chosen = _mapped_endpoints(mapped, name)
                elif subset is None:
                    chosen = endpoints
                else:
                    wanted = set(subset.labels.items())
                    chosen = tuple(endpoint for endpoint, labels in labelled if wanted <= labels)
                yield self._cluster(governed, port, name, chosen)

    def _cluster(self, governed: _Governed, port: ServicePort, name: str, endpoints: tuple[Endpoint, ...]) -> Cluster:
        service, rule, subset = governed.service, governed.rule, governed.subset(name)
        policy = effective_policy(
            rule.policy if rule is not None else None,
            subset.traffic_policy if subset is not None else None,
            port.number,
        )
        failover = policy.outlier_detection is not None
        endpoints, weights = localized(endpoints, policy.load_balancer, service, failover=failover, at=self.here)
        resolution = service.resolution
        if policy.load_balancer is not None and policy.load_balancer.simple == "PASSTHROUGH":
            # whoever the client dialled; to an explicit proxy that is the host it names, looked up when it is asked for
            resolution, endpoints = Resolution.DYNAMIC, (Endpoint(address=service.host, port=port.number),)
        selected = rule is not None and rule.selector is not None
        return Cluster(
            name=cluster_name(port.number, name, service.host),
            host=service.host,
            port=port.number,
            subset=name,
            endpoints=endpoints,
            resolution=resolution if service.host not in self.registry.mapped else Resolution.STATIC,
            locality_weights=weights,
            tls=self.certificates.build(policy.tls, service, port=port.number, subset=name, selected=selected),
            origin=subset.at.origin if subset is not None else rule.origin if rule is not None else service.origin,
            rule=rule.name if rule is not None else "",
            labels=tuple(subset.labels.items()) if subset is not None else (),
            passed_over=governed.passed_over,
            **build_policies(policy),
        )


def _labels(endpoint: Endpoint) -> set[tuple[str, str]]:
    """Subsets may also name where an endpoint is."""
    return set(with_topology(dict(endpoint.labels), parts(endpoint.locality)).items())


def _mapped_endpoints(mapped: Addresses, subset: str) -> tuple[Endpoint, ...]:
    """A subset's own; else those of the host without a subset. The whole service has all of them."""
    addresses = (
        [each for part in mapped.values() for each in part] if not subset else mapped.get(subset, mapped.get("", ()))
    )
    return tuple(Endpoint(address=address, port=port) for address, port in dict.fromkeys(addresses))
