"""`status`: what a cluster said of an object. Read for findings; nothing acts on it."""

from collections.abc import Iterator
from dataclasses import dataclass

from meshproxy.model.fields import messages, text
from meshproxy.model.reader import Partial


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(Partial):
    type: str = text()
    status: str = text()
    reason: str = text()
    message: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentStatus(Partial):
    """What one Gateway said of a route."""

    conditions: tuple[Condition, ...] = messages(Condition)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAddress(Partial):
    value: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Partial):
    addresses: tuple[StatusAddress, ...] = messages(StatusAddress)
    conditions: tuple[Condition, ...] = messages(Condition)
    parents: tuple[ParentStatus, ...] = messages(ParentStatus)

    def all_conditions(self) -> Iterator[Condition]:
        """Those of the object, then those of each parent."""
        yield from self.conditions
        for parent in self.parents:
            yield from parent.conditions
