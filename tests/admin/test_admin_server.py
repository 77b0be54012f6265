"""The admin server's side of HTTP, with the views of a service that has not started."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from meshproxy.admin.server import open_admin
from meshproxy.control.service import Service
from meshproxy.control.settings import Settings
from meshproxy.control.sockets import CannotBindError


def _served(tmp_path: Path, sent: bytes, change: Callable[[Service], None] = lambda _: None) -> bytes:
    """Everything that is answered to `sent` and the end of it."""

    async def run() -> bytes:
        service = Service(Settings(config=(str(tmp_path),), admin=("127.0.0.1", 0)))
        change(service)
        server = await open_admin(service)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        writer.write_eof()
        try:
            return await reader.read()
        finally:
            writer.close()
            server.close()

    return asyncio.run(run())


def _live(service: Service) -> None:
    service.state = "LIVE"


def test_it_is_not_ready_before_it_serves(tmp_path: Path) -> None:
    answer = _served(tmp_path, b"GET /ready HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b"\r\n\r\nPRE_INITIALIZING\n")


def test_views_answer_before_there_is_a_configuration(tmp_path: Path) -> None:
    for path in ("/config_status", "/config_dump", "/clusters", "/listeners", "/stats/prometheus"):
        assert _served(tmp_path, f"GET {path} HTTP/1.0\r\n\r\n".encode()).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    sent = b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\nHEAD /ready HTTP/1.1\r\n\r\n"
    sent += b"GET /ready HTTP/1.1\r\nConnection: close\r\n\r\n"
    answer = _served(tmp_path, sent, _live)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.count(b"LIVE\n") == 2
    assert answer.count(b"connection: close") == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 30", b"Transfer-Encoding: chunked"])
def test_a_body_is_never_a_request(tmp_path: Path, framing: bytes) -> None:
    sent = b"GET /ready HTTP/1.1\r\n" + framing + b"\r\n\r\nGET /help HTTP/1.1\r\n\r\n"
    answer = _served(tmp_path, sent, _live)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    "sent",
    [b"\r\n\r\n", b"GET /ready\r\n\r\n", b"GET ready HTTP/1.1\r\n\r\n", b"GET /ready HTTP/2.0\r\n\r\n", b"x" * 20_000],
    ids=["nothing", "no version", "no slash", "another version", "no end"],
)
def test_what_is_no_request_is_refused(tmp_path: Path, sent: bytes) -> None:
    answer = _served(tmp_path, sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(tmp_path: Path, method: str) -> None:
    answer = _served(tmp_path, f"{method} /ready HTTP/1.0\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"allow: GET, HEAD\r\n" in answer


def test_a_view_that_fails_is_said_and_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(service: Service) -> None:
        del service.reloader

    assert _served(tmp_path, b"GET /listeners HTTP/1.0\r\n\r\n", broken).startswith(b"HTTP/1.1 500 ")
    assert "Traceback" in capsys.readouterr().err


def test_an_address_in_use_is_said(tmp_path: Path) -> None:
    async def twice() -> None:
        service = Service(Settings(config=(str(tmp_path),), admin=("127.0.0.1", 0)))
        server = await open_admin(service)
        address = server.sockets[0].getsockname()
        with pytest.raises(CannotBindError):
            await open_admin(Service(Settings(config=(str(tmp_path),), admin=address)))
        server.close()

    asyncio.run(twice())
