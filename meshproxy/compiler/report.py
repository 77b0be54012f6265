"""What the compiler has to say: findings collected once each, in the order they were met.

A route that cannot be built raises `UnusableError`; whoever builds the rule reports it and goes on without it.
"""

from __future__ import annotations

from meshproxy.base.origin import Origin
from meshproxy.model.problem import SCHEMA_ERROR, UNSUPPORTED, Level, Problem

NO_PORT = "IST0112"
"""VirtualServiceDestinationPortSelectorRequired."""

DELEGATION = "MPX0010"
"""A rule that delegates and that cannot be merged with what it delegates to."""

NO_CERTIFICATE = "MPX0141"
"""A server without a certificate, or without what it checks clients by."""

CERTIFICATE_DATES = "MPX0142"
"""A certificate that has expired, soon will, or is not valid yet."""


class UnusableError(ValueError):
    """A value that validation should have refused; `origin` says where it stands."""

    def __init__(self, message: str, origin: Origin) -> None:
        super().__init__(message)
        self.origin = origin


class Report:
    """Findings without repetition: a rule is compiled once for every port it serves."""

    __slots__ = ("_problems",)

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}

    def warn(self, code: str, message: str, origin: Origin) -> None:
        self._problems.setdefault(Problem(code, Level.WARNING, message, origin))

    def unsupported(self, what: str, origin: Origin) -> None:
        """`what` is valid and understood, and does not act yet."""
        self.warn(UNSUPPORTED, f"{what} is not supported yet and has no effect", origin)

    def unusable(self, error: UnusableError) -> None:
        self._problems.setdefault(Problem(SCHEMA_ERROR, Level.ERROR, str(error), error.origin))

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._problems)
