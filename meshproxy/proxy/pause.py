"""What a coroutine that is driven by hand awaits: control goes back to whoever runs it on."""

from collections.abc import Generator


class _Pause:
    def __await__(self) -> Generator[None, None, None]:
        yield


PAUSE = _Pause()
"""Awaited by a coroutine of an exchange, after it has said in `_waits` what for."""
