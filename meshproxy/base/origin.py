"""Where something was written: every compiled route and cluster carries its origin, so that logs, explain
and the console can name it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """`file` as the user named it; `line`, `column` from 1; `resource` as in `VirtualService default/reviews`;
    `path` inside the resource, such as `spec.http[0]`; `rule` the index of the rule, where it is one."""

    file: str
    line: int
    column: int = 1
    resource: str = ""
    path: str = ""
    rule: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"
