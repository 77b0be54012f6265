"""DestinationRule: a host's subsets and traffic policy."""

from collections.abc import Mapping
from dataclasses import dataclass

from meshproxy.model.fields import message, messages, text, text_map, texts
from meshproxy.model.reader import Message
from meshproxy.model.resource import Resource
from meshproxy.model.traffic_policy import TrafficPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset(Message):
    name: str = text()
    labels: Mapping[str, str] = text_map()
    traffic_policy: TrafficPolicy | None = message(TrafficPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchLabelsSelector(Message):
    """istio.type.v1beta1.WorkloadSelector, whose field is matchLabels."""

    match_labels: Mapping[str, str] = text_map()


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRule(Resource):
    host: str = text()
    traffic_policy: TrafficPolicy | None = message(TrafficPolicy)
    subsets: tuple[Subset, ...] = messages(Subset)
    export_to: tuple[str, ...] = texts()
    workload_selector: MatchLabelsSelector | None = message(MatchLabelsSelector)
