"""The part of the Kubernetes Gateway API that findings need: names, hosts, and what a cluster said of them."""

from dataclasses import dataclass
from typing import ClassVar

from meshproxy.model.fields import messages, text
from meshproxy.model.reader import Partial
from meshproxy.model.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener(Partial):
    hostname: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesGateway(Resource):
    PROTO: ClassVar[bool] = False
    STRICT: ClassVar[bool] = False

    listeners: tuple[Listener, ...] = messages(Listener)


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesRoute(Resource):
    """HTTPRoute or GRPCRoute."""

    PROTO: ClassVar[bool] = False
    STRICT: ClassVar[bool] = False
