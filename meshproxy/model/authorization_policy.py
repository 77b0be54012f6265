"""The part of AuthorizationPolicy that findings need: its workloads, and the namespaces it names."""

from dataclasses import dataclass

from meshproxy.model.fields import message, messages, texts
from meshproxy.model.policy import Policy
from meshproxy.model.reader import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Part):
    namespaces: tuple[str, ...] = texts()
    not_namespaces: tuple[str, ...] = texts()


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Part):
    source: Source | None = message(Source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Part):
    from_: tuple[From, ...] = messages(From)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationPolicy(Policy):
    rules_: tuple[Rule, ...] = messages(Rule)
