"""What all resources have in common: metadata, and the message their spec is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from yaml import Node

from meshproxy.model.checks import object_name, optional_dns_label
from meshproxy.model.fields import message, raw, text, text_map
from meshproxy.model.reader import Message
from meshproxy.model.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata(Message):
    """`metadata`, with the namespace filled in, and the `kind` and `api_version` that stand beside it."""

    PROTO: ClassVar[bool] = False
    IGNORED: ClassVar[frozenset[str]] = frozenset(
        """deletionGracePeriodSeconds deletionTimestamp finalizers generateName generation managedFields
        ownerReferences resourceVersion selfLink uid""".split()
    )

    name: str = text(object_name, required=True)
    namespace: str = text(optional_dns_label)
    labels: Mapping[str, str] = text_map()
    annotations: Mapping[str, str] = text_map()
    creation_timestamp: str = text()
    kind: str = field(default="", compare=False)
    api_version: str = field(default="", compare=False)

    @property
    def order(self) -> tuple[str, str, str]:
        """Sorts resources of one kind as Istio does: the oldest first, then by name, then by namespace."""
        return self.creation_timestamp, self.name, self.namespace

    @property
    def full_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Message):
    """A resource is its spec, with `meta`; `at` is the place of the spec.

    `reported` is its `status`, where that is read; it is no part of what the resource asks for.
    """

    meta: Metadata = Metadata()
    reported: Status | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.meta.kind} {self.meta.full_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope(Message):
    """An object whose content is its spec."""

    PROTO: ClassVar[bool] = False

    api_version: str = text(required=True)
    kind: str = text(required=True)
    meta: Metadata | None = message(Metadata, required=True)
    spec: Node | None = raw()
    status: Status | None = message(Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeResource(Resource):
    """An object whose content stands beside its metadata."""

    PROTO: ClassVar[bool] = False
    STRICT: ClassVar[bool] = False

    meta: Metadata = message(Metadata, required=True)
