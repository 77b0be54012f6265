"""Which values of Istio's annotations the injector takes: each check says what is wrong, or None."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping

from yaml import MappingNode

from meshproxy.model.document import Source, read_documents

_MODES = ("REDIRECT", "TPROXY", "NONE")
_BOOLEANS = frozenset("1 t T TRUE true True 0 f F FALSE false False".split())
_QUANTITY = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?")
_INTERFACE = re.compile(r"[a-zA-Z][a-zA-Z0-9_.\-]*")
_DIGITS = re.compile(r"[0-9]+")
_LONGEST_INTERFACE = 15


def _mode(value: str) -> str | None:
    return None if value in _MODES else f'"{value}" is none of {", ".join(_MODES)}'


def _boolean(value: str) -> str | None:
    return None if value in _BOOLEANS else f'"{value}" is neither true nor false'


def _number(value: str, bits: int) -> bool:
    return bool(_DIGITS.fullmatch(value)) and int(value) < 2**bits


def _whole(value: str) -> str | None:
    return None if _number(value, 32) else f'"{value}" is not a whole number'


def _port(value: str) -> str | None:
    return None if _number(value.strip(), 16) else f'"{value}" is not a port'


def _ports(value: str) -> str | None:
    parts = value.strip().split(",") if value.strip() else []
    return next((wrong for part in parts if (wrong := _port(part))), None)


def _ranges(value: str) -> str | None:
    return next((wrong for part in value.split(",") if (wrong := _range(part))), None) if value else None


def _range(value: str) -> str | None:
    address, _, bits = value.partition("/")
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        bits = ""
    if _DIGITS.fullmatch(bits) and "%" not in address:
        return None
    return f'"{value}" is not a CIDR block such as 10.0.0.0/8'


def _or_all(check: Callable[[str], str | None]) -> Callable[[str], str | None]:
    return lambda value: None if value == "*" else check(value)


def _interfaces(value: str) -> str | None:
    for name in map(str.strip, value.split(",") if value else ()):
        if len(name) > _LONGEST_INTERFACE or not _INTERFACE.fullmatch(name):
            return f'"{name}" is not the name of an interface'
    return None


def _quantity(value: str) -> str | None:
    return None if _QUANTITY.fullmatch(value) else f'"{value}" is not a quantity such as 100m or 1Gi'


def _yaml(value: str) -> str | None:
    """Of a ProxyConfig only that it is one at all: its fields are the injector's."""
    if not value.strip():
        return None
    root = next(read_documents(Source("", value.encode()), []), None)
    return None if isinstance(root, MappingNode) else "not YAML of a ProxyConfig, such as {concurrency: 2}"


VALUES: Mapping[str, Callable[[str], str | None]] = {
    "sidecar.istio.io/interceptionMode": _mode,
    "status.sidecar.istio.io/port": _port,
    "readiness.status.sidecar.istio.io/initialDelaySeconds": _whole,
    "readiness.status.sidecar.istio.io/periodSeconds": _whole,
    "readiness.status.sidecar.istio.io/failureThreshold": _whole,
    "traffic.sidecar.istio.io/includeOutboundIPRanges": _or_all(_ranges),
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": _ranges,
    "traffic.sidecar.istio.io/includeInboundPorts": _or_all(_ports),
    "traffic.sidecar.istio.io/excludeInboundPorts": _ports,
    "traffic.sidecar.istio.io/excludeOutboundPorts": _ports,
    "traffic.sidecar.istio.io/excludeInterfaces": _interfaces,
    "traffic.sidecar.istio.io/kubevirtInterfaces": _interfaces,
    "istio.io/reroute-virtual-interfaces": _interfaces,
    "prometheus.istio.io/merge-metrics": _boolean,
    "proxy.istio.io/config": _yaml,
    "sidecar.istio.io/proxyCPU": _quantity,
    "sidecar.istio.io/proxyMemory": _quantity,
    "sidecar.istio.io/proxyCPULimit": _quantity,
    "sidecar.istio.io/proxyMemoryLimit": _quantity,
}
