"""Messages between processes."""

from __future__ import annotations

import asyncio
import socket

import uvloop
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.control.channel import Channel


async def _over(sent: list[tuple[str, object]]) -> list[tuple[str, object]]:
    ours, theirs = socket.socketpair()
    received: list[tuple[str, object]] = []
    closed = asyncio.Event()
    reader = await Channel.open(theirs, lambda kind, payload: received.append((kind, payload)), closed.set)
    writer = await Channel.open(ours, lambda _kind, _payload: None, lambda: None)
    for kind, payload in sent:
        writer.send(kind, payload)
    writer.close()
    await closed.wait()
    writer.send("late")
    reader.close()
    return received


@given(st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=50) | st.integers() | st.none()), max_size=10))
def test_messages_arrive_whole_and_in_order(sent: list[tuple[str, object]]) -> None:
    assert uvloop.run(_over(sent)) == sent


def test_a_large_message_arrives() -> None:
    sent: list[tuple[str, object]] = [("apply", b"x" * 5_000_000), ("drain", 1.5)]
    assert asyncio.run(_over(sent)) == sent
