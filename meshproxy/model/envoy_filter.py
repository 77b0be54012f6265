"""The part of EnvoyFilter that findings need: what is patched, how, and for which proxies."""

from dataclasses import dataclass
from typing import ClassVar

from yaml import Node

from meshproxy.model.document import written
from meshproxy.model.fields import INT32, enum, message, messages, raw, text, whole
from meshproxy.model.reader import Part
from meshproxy.model.resource import Resource

_APPLY_TO = (
    *("INVALID", "LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER", "ROUTE_CONFIGURATION", "VIRTUAL_HOST"),
    *("HTTP_ROUTE", "CLUSTER", "EXTENSION_CONFIG", "BOOTSTRAP", "LISTENER_FILTER"),
)
_OPERATIONS = (
    *("INVALID", "MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE"),
    "MERGE_AND_REPLACE_LIST",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyMatch(Part):
    proxy_version: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterMatch(Part):
    name: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChainMatch(Part):
    filter: FilterMatch | None = message(FilterMatch)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerMatch(Part):
    filter_chain: FilterChainMatch | None = message(FilterChainMatch)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyConfigObjectMatch(Part):
    proxy: ProxyMatch | None = message(ProxyMatch)
    listener: ListenerMatch | None = message(ListenerMatch)

    @property
    def filter_name(self) -> str:
        """The filter it looks for, or ""."""
        chain = self.listener.filter_chain if self.listener is not None else None
        return chain.filter.name if chain is not None and chain.filter is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch(Part):
    operation: str = enum(*_OPERATIONS)
    value: Node | None = raw()

    @property
    def name(self) -> str:
        """The name in what is patched in, or ""."""
        return written(self.value, "name") if self.value is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyConfigObjectPatch(Part):
    apply_to: str = enum(*_APPLY_TO)
    match: EnvoyConfigObjectMatch | None = message(EnvoyConfigObjectMatch)
    patch: Patch | None = message(Patch)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyFilter(Resource):
    STRICT: ClassVar[bool] = False

    config_patches: tuple[EnvoyConfigObjectPatch, ...] = messages(EnvoyConfigObjectPatch)
    priority: int = whole(-INT32 - 1, INT32)
