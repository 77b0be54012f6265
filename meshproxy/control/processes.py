"""How we start processes of our own: the same interpreter, the same code, whatever the working directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[2])


def command(*arguments: str) -> list[str]:
    """The command line of `meshproxy ARGUMENTS`."""
    return [sys.executable, "-m", "meshproxy", *arguments]


def environment() -> dict[str, str]:
    """Ours, and where this code is found. Flags come with the settings, not a second time as their twins."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MESHPROXY_")}
    path = os.environ.get("PYTHONPATH")
    return {**inherited, "PYTHONPATH": _ROOT + os.pathsep + path if path else _ROOT}
