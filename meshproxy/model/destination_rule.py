"""DestinationRule: a host's subsets and traffic policy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from meshproxy.model.checks import dns_label, label_key, label_value, selector_key, selector_part, wildcard_domain
from meshproxy.model.connection_pool import ClientTLSSettings
from meshproxy.model.fields import message, messages, text, text_map, texts
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message
from meshproxy.model.references import export_to_problems, selector_problems
from meshproxy.model.resource import Resource
from meshproxy.model.traffic_policy import TrafficPolicy

_CONFIG_MAP = "configmap://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset(Message):
    name: str = text(dns_label, required=True)
    labels: Mapping[str, str] = text_map(label_value, key=label_key)
    traffic_policy: TrafficPolicy | None = message(TrafficPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchLabelsSelector(Message):
    """istio.type.v1beta1.WorkloadSelector, whose field is matchLabels."""

    match_labels: Mapping[str, str] = text_map(selector_part, key=selector_key)

    def rules(self) -> Iterator[Problem]:
        yield from selector_problems(self.at, self.match_labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRule(Resource):
    host: str = text(wildcard_domain, required=True)
    traffic_policy: TrafficPolicy | None = message(TrafficPolicy)
    subsets: tuple[Subset, ...] = messages(Subset)
    export_to: tuple[str, ...] = texts()
    workload_selector: MatchLabelsSelector | None = message(MatchLabelsSelector)

    def rules(self) -> Iterator[Problem]:
        names = [subset.name for subset in self.subsets]
        for index, subset in enumerate(self.subsets):
            if subset.name in names[:index]:
                yield subset.at.error("name", f'the subset "{subset.name}" stands here twice')
        yield from export_to_problems(self.at, self.export_to, self.meta.namespace)
        if self.workload_selector is not None and set(self.export_to) - {".", self.meta.namespace}:
            message = 'a DestinationRule with a workloadSelector stays in its own namespace: write "."'
            yield self.at.error("export_to", message)
        for tls in self._tls_settings():
            yield from self._config_map_problems(tls)

    def _tls_settings(self) -> Iterator[ClientTLSSettings]:
        for policy in (self.traffic_policy, *(subset.traffic_policy for subset in self.subsets)):
            if policy is not None:
                blocks = (policy.tls, *(port.tls for port in policy.port_level_settings))
                yield from (tls for tls in blocks if tls is not None)

    def _config_map_problems(self, tls: ClientTLSSettings) -> Iterator[Problem]:
        namespace, slash, _ = tls.credential_name.removeprefix(_CONFIG_MAP).partition("/")
        if tls.credential_name.startswith(_CONFIG_MAP) and slash and namespace != self.meta.namespace:
            message = f"the ConfigMap must be in the namespace of this DestinationRule, {self.meta.namespace}"
            yield tls.at.error("credential_name", message)
