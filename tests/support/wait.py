"""Waiting for what another thread or process will do, without a fixed sleep."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = float(os.environ.get("MESHPROXY_TEST_PATIENCE", "10"))


def eventually(probe: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """The first true value of `probe`; fails the test when there is none within `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {patience:g} s: {what}")
        time.sleep(0.01)
