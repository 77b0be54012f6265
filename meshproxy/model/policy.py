"""What policies for workloads have in common, and those of which nothing more is read. Nothing here acts on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from meshproxy.model.fields import message, messages, text, text_map
from meshproxy.model.reader import Part
from meshproxy.model.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelector(Part):
    match_labels: Mapping[str, str] = text_map()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReference(Part):
    group: str = text()
    kind: str = text()
    name: str = text()
    namespace: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Resource):
    """For the workloads of its namespace that have the labels, or for what it names as its targets."""

    STRICT: ClassVar[bool] = False

    selector: LabelSelector | None = message(LabelSelector)
    target_ref: TargetReference | None = message(TargetReference)
    target_refs: tuple[TargetReference, ...] = messages(TargetReference)

    @property
    def labels(self) -> Mapping[str, str]:
        """Those of the workloads it is for; none: all of its namespace."""
        return self.selector.match_labels if self.selector is not None else {}

    @property
    def has_targets(self) -> bool:
        return self.target_ref is not None or bool(self.target_refs)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAuthentication(Policy):
    """Read for the workloads it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmPlugin(Policy):
    """Read for the workloads it is for."""
