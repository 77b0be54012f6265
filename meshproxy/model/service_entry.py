"""ServiceEntry and WorkloadEntry: services and endpoints no Kubernetes registry knows."""

from collections.abc import Mapping
from dataclasses import dataclass

from meshproxy.model.fields import enum, message, messages, text, text_map, texts, whole, whole_map
from meshproxy.model.reader import Message
from meshproxy.model.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSelector(Message):
    labels: Mapping[str, str] = text_map()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort(Message):
    number: int = whole()
    protocol: str = text()
    name: str = text()
    target_port: int = whole()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEntry(Resource):
    """A resource of its own, or an endpoint of a ServiceEntry (then without name)."""

    address: str = text()
    ports: Mapping[str, int] = whole_map()
    labels: Mapping[str, str] = text_map()
    network: str = text()
    locality: str = text()
    weight: int = whole()
    service_account: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry(Resource):
    hosts: tuple[str, ...] = texts()
    addresses: tuple[str, ...] = texts()
    ports: tuple[ServicePort, ...] = messages(ServicePort)
    location: str = enum("MESH_EXTERNAL", "MESH_INTERNAL")
    resolution: str = enum("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS")
    endpoints: tuple[WorkloadEntry, ...] = messages(WorkloadEntry)
    workload_selector: WorkloadSelector | None = message(WorkloadSelector)
    export_to: tuple[str, ...] = texts()
    subject_alt_names: tuple[str, ...] = texts()
