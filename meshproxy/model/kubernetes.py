"""The part of Kubernetes' kinds that the registry, the findings and the certificates need.

Other fields are not looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from meshproxy.model.fields import (
    UINT64,
    boolean,
    embedded,
    enum,
    message,
    messages,
    octets_map,
    text,
    text_map,
    texts,
    whole,
    whole_or_text,
)
from meshproxy.model.mesh_config import InjectorValues, MeshConfig
from meshproxy.model.reader import Partial
from meshproxy.model.resource import Resource, WholeResource


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort(Partial):
    name: str = text()
    port: int = whole(1, 65535, required=True)
    target_port: int | str = whole_or_text()
    protocol: str = enum("TCP", "UDP", "SCTP")
    app_protocol: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Resource):
    PROTO: ClassVar[bool] = False
    STRICT: ClassVar[bool] = False

    type: str = enum("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
    external_name: str = text()
    cluster_ip: str = text()
    cluster_ips: tuple[str, ...] = texts()
    ports: tuple[ServicePort, ...] = messages(ServicePort)
    selector: Mapping[str, str] = text_map()
    publish_not_ready_addresses: bool = boolean()
    internal_traffic_policy: str = text()
    traffic_distribution: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReference(Partial):
    kind: str = text()
    name: str = text()
    namespace: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConditions(Partial):
    """None is not written: `ready` then counts as true."""

    ready: bool | None = boolean(None)
    serving: bool | None = boolean(None)
    terminating: bool | None = boolean(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Partial):
    addresses: tuple[str, ...] = texts(required=True)
    conditions: EndpointConditions | None = message(EndpointConditions)
    hostname: str = text()
    node_name: str = text()
    zone: str = text()
    target_ref: ObjectReference | None = message(ObjectReference)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPort(Partial):
    """`port` is None where a slice names all ports."""

    name: str = text()
    port: int | None = whole(1, 65535, default=None)
    protocol: str = enum("TCP", "UDP", "SCTP")
    app_protocol: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSlice(WholeResource):
    address_type: str = enum("IPv4", "IPv6", "FQDN")
    endpoints: tuple[Endpoint, ...] = messages(Endpoint)
    ports: tuple[EndpointPort, ...] = messages(EndpointPort)

    @property
    def service_name(self) -> str:
        """The name of the Service (of this namespace) it belongs to, or ""."""
        return self.meta.labels.get("kubernetes.io/service-name", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAddress(Partial):
    ip: str = text(required=True)
    hostname: str = text()
    node_name: str = text()
    target_ref: ObjectReference | None = message(ObjectReference)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSubset(Partial):
    addresses: tuple[EndpointAddress, ...] = messages(EndpointAddress)
    not_ready_addresses: tuple[EndpointAddress, ...] = messages(EndpointAddress)
    ports: tuple[EndpointPort, ...] = messages(EndpointPort)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints(WholeResource):
    """Belongs to the Service of the same name and namespace."""

    subsets: tuple[EndpointSubset, ...] = messages(EndpointSubset)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPort(Partial):
    name: str = text()
    container_port: int = whole(1, 65535)
    protocol: str = enum("TCP", "UDP", "SCTP")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityContext(Partial):
    run_as_user: int | None = whole(0, UINT64, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvVar(Partial):
    name: str = text()
    value: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Container(Partial):
    name: str = text()
    image: str = text()
    ports: tuple[ContainerPort, ...] = messages(ContainerPort)
    env: tuple[EnvVar, ...] = messages(EnvVar)
    security_context: SecurityContext | None = message(SecurityContext)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSpec(Partial):
    node_name: str = text()
    service_account_name: str = text()
    containers: tuple[Container, ...] = messages(Container)
    init_containers: tuple[Container, ...] = messages(Container)
    host_network: bool = boolean()
    security_context: SecurityContext | None = message(SecurityContext)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodStatus(Partial):
    pod_ip: str = text()
    phase: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod(WholeResource):
    spec: PodSpec | None = message(PodSpec)
    status: PodStatus | None = message(PodStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateMetadata(Partial):
    labels: Mapping[str, str] = text_map()
    annotations: Mapping[str, str] = text_map()


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTemplate(Partial):
    metadata: TemplateMetadata | None = message(TemplateMetadata)
    spec: PodSpec | None = message(PodSpec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(Resource):
    PROTO: ClassVar[bool] = False
    STRICT: ClassVar[bool] = False

    template: PodTemplate | None = message(PodTemplate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret(WholeResource):
    type: str = text()
    data: Mapping[str, bytes] = octets_map()
    string_data: Mapping[str, str] = text_map()

    @property
    def values(self) -> Mapping[str, bytes]:
        """What the Secret holds: stringData wins over data."""
        return {**self.data, **{key: value.encode() for key, value in self.string_data.items()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace(WholeResource):
    """Read for its name and labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(WholeResource):
    """Read for its name and labels (topology)."""

    PROTO: ClassVar[bool] = False
    STRICT: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigMapData(Partial):
    mesh: MeshConfig | None = embedded(MeshConfig)
    values: InjectorValues | None = embedded(InjectorValues)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigMap(WholeResource):
    """Read for the settings of Istio that it may hold."""

    data: ConfigMapData | None = message(ConfigMapData)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinedNames(Partial):
    kind: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomResourceDefinition(Resource):
    PROTO: ClassVar[bool] = False
    STRICT: ClassVar[bool] = False

    group: str = text()
    names: DefinedNames | None = message(DefinedNames)
