"""The export of small YAML texts, and what is asked of it."""

from __future__ import annotations

from typing import Any

from meshproxy.export.bootstrap import export_bootstrap
from meshproxy.export.listeners import Log
from support.plans import plan

Json = dict[str, Any]
ADMIN = ("127.0.0.1", 0)
LOG = Log("/dev/stdout", "%PROTOCOL%\n")


def bootstrap_of(*texts: str, **options: Any) -> Json:
    return export_bootstrap(plan(*texts, **options), admin=ADMIN, log=LOG)


def exported(*texts: str, name: str = "mesh", **options: Any) -> Json:
    """The HTTP connection manager of one listener."""
    listeners = bootstrap_of(*texts, **options)["static_resources"]["listeners"]
    (found,) = [each for each in listeners if each["name"] == name]
    manager: Json = found["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def holds(wanted: Any, got: Any) -> bool:
    """Whether all that is wanted is there; None: is not there."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(
            key not in got if value is None else key in got and holds(value, got[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(got, list) and len(wanted) == len(got) and all(map(holds, wanted, got))
    return bool(wanted == got)
