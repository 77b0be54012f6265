"""The part of Telemetry that findings need: its workloads, and the providers it names."""

from dataclasses import dataclass

from meshproxy.model.fields import boolean, messages, text
from meshproxy.model.policy import Policy
from meshproxy.model.reader import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRef(Part):
    name: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing(Part):
    providers: tuple[ProviderRef, ...] = messages(ProviderRef)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogging(Part):
    providers: tuple[ProviderRef, ...] = messages(ProviderRef)
    disabled: bool | None = boolean(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry(Policy):
    tracing: tuple[Tracing, ...] = messages(Tracing)
    access_logging: tuple[AccessLogging, ...] = messages(AccessLogging)
