"""The part of RequestAuthentication that a finding needs: which workloads it is for. Nothing here acts on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from meshproxy.model.fields import message, text_map
from meshproxy.model.kubernetes import Partial
from meshproxy.model.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelector(Partial):
    match_labels: Mapping[str, str] = text_map()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAuthentication(Resource):
    PROTO: ClassVar[bool] = False
    STRICT: ClassVar[bool] = False

    selector: LabelSelector | None = message(LabelSelector)

    @property
    def labels(self) -> Mapping[str, str]:
        """Those of the workloads it is for; none: all of its namespace."""
        return self.selector.match_labels if self.selector is not None else {}
