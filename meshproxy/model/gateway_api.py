"""Kinds of the Kubernetes Gateway API, read for their names and for what a cluster said of them."""

from dataclasses import dataclass
from typing import ClassVar

from meshproxy.model.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesGateway(Resource):
    PROTO: ClassVar[bool] = False
    STRICT: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesRoute(Resource):
    """HTTPRoute or GRPCRoute."""

    PROTO: ClassVar[bool] = False
    STRICT: ClassVar[bool] = False
