"""A finding as a value: what is wrong, how bad, and where. Collected, never raised.

Owns the levels and the codes of the model's own findings; knows nothing of any kind or field.
"""

from dataclasses import dataclass
from enum import IntEnum

from meshproxy.base.origin import Origin

SCHEMA_ERROR = "IST0106"
SCHEMA_WARNING = "IST0133"
UNSUPPORTED = "MPX0001"
DUPLICATE = "MPX0002"
UNREADABLE = "MPX0003"


class Level(IntEnum):
    """As Istio's analyzers have it; an ERROR refuses a configuration."""

    INFO = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding; `origin` names file, line, column, resource and path."""

    code: str
    level: Level
    message: str
    origin: Origin

    def __str__(self) -> str:
        return f"{self.origin.file}:{self.origin.line}:{self.origin.column}: {self.message}"
