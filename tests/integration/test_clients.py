"""Real clients through the proxy to real servers: curl, aiohttp, Node, WebSockets, and bodies of a gibibyte."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from support.proxy import Proxy, service_entry
from support.raw import Raw, head
from support.upstream import Peer, Script, Upstream
from support.web import Web

GIB = 1 << 30
MIB = 1 << 20
HOST = "web.test"


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.stop()


@pytest.fixture(scope="module")
def proxy(web: Web) -> Iterator[Proxy]:
    """`localhost` is for Node: its fetch sets the Host itself."""
    with Proxy([service_entry(HOST, web.port), service_entry("localhost", web.port)]) as proxy:
        yield proxy


def base(proxy: Proxy) -> str:
    return f"http://{proxy.address[0]}:{proxy.address[1]}"


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")


def curl(proxy: Proxy, *arguments: str, given: bytes = b"") -> str:
    command = ["curl", "-sS", "--max-time", "20", "-H", f"Host: {HOST}", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@needs_curl
def test_curl_gets(proxy: Proxy) -> None:
    told = json.loads(curl(proxy, base(proxy) + "/hello?a=b"))
    assert told == {"method": "GET", "path": "/hello?a=b", "host": HOST}


@needs_curl
def test_curl_takes_us_for_its_proxy(proxy: Proxy) -> None:
    """`http_proxy=…` is how many programs meet a sidecar's explicit listener: absolute-form."""
    told = json.loads(curl(proxy, "--proxy", base(proxy), f"http://{HOST}/hello"))
    assert told["host"] == HOST


@needs_curl
def test_curl_head(proxy: Proxy) -> None:
    assert curl(proxy, "-I", base(proxy) + "/hello").startswith("HTTP/1.1 200")


@needs_curl
def test_curl_waits_for_100_continue(proxy: Proxy) -> None:
    """curl sends Expect with large bodies."""
    blob = b"0123456789" * 200_000
    told = json.loads(
        curl(proxy, "-H", "Expect: 100-continue", "--data-binary", "@-", base(proxy) + "/upload", given=blob)
    )
    assert told == {"size": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}


@needs_curl
def test_curl_uploads_in_chunks(proxy: Proxy) -> None:
    blob = b"abc" * 100_000
    told = json.loads(curl(proxy, "-T", "-", "-H", "Transfer-Encoding: chunked", base(proxy) + "/upload", given=blob))
    assert told["sha256"] == hashlib.sha256(blob).hexdigest()


@needs_curl
def test_curl_speaks_http_1_0(proxy: Proxy) -> None:
    assert curl(proxy, "-0", base(proxy) + "/stream?n=3") == "line 0\nline 1\nline 2\n"


@needs_curl
def test_curl_keeps_its_connection(proxy: Proxy) -> None:
    shown = curl(proxy, "-w", "%{num_connects},", *[base(proxy) + "/hello"] * 5, "-o", "/dev/null")
    assert shown.count("1,") == 1 or shown.endswith("1,0,0,0,0,")


@needs_curl
def test_curl_decompresses(proxy: Proxy) -> None:
    assert curl(proxy, "--compressed", base(proxy) + "/squeezed") == "squeeze me " * 1000


@needs_curl
def test_curl_follows(proxy: Proxy) -> None:
    assert json.loads(curl(proxy, "-L", base(proxy) + "/moved"))["path"] == "/hello"


def test_aiohttp_asks_many_things_at_once(proxy: Proxy) -> None:
    async def ask() -> None:
        async with aiohttp.ClientSession(base(proxy), headers={"Host": HOST}) as session:

            async def one(number: int) -> None:
                async with session.get(f"/hello?{number}") as answer:
                    assert (await answer.json())["path"] == f"/hello?{number}"

            await asyncio.gather(*(one(number) for number in range(200)))
            blob = b"x" * (3 * MIB)
            async with session.post("/upload", data=io.BytesIO(blob)) as answer:
                assert (await answer.json())["size"] == len(blob)
            async with session.post("/upload", data=_pieces()) as answer:
                assert (await answer.json())["size"] == 50 * 1000
            async with session.get("/stream?n=100") as answer:
                assert len((await answer.read()).splitlines()) == 100
            async with session.get("/squeezed") as answer:
                assert await answer.text() == "squeeze me " * 1000
            async with session.get("/cookies", cookies={"c": "3"}) as answer:
                assert (await answer.json())["c"] == "3"
                assert {cookie.value for cookie in answer.cookies.values()} == {"1", "2"}

    asyncio.run(ask())


async def _pieces() -> AsyncIterator[bytes]:
    for _ in range(50):
        yield b"y" * 1000


def test_websockets_talk(proxy: Proxy) -> None:
    async def talk() -> None:
        async with (
            aiohttp.ClientSession(base(proxy), headers={"Host": HOST}) as session,
            session.ws_connect("/talk", max_msg_size=0) as socket,
        ):
            for number in range(100):
                await socket.send_str(f"hello {number}")
                assert await socket.receive_str() == f"hello {number}"
            blob = bytes(range(256)) * 8192
            await socket.send_bytes(blob)
            assert await socket.receive_bytes() == blob
            await socket.ping()
            await socket.send_str("bye")
            message = await socket.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4000)

    asyncio.run(talk())


NODE = """
const base = process.argv[1];
const ask = async (path, more = {}) => {
  const answer = await fetch(base + path, {...more, duplex: 'half'});
  if (!answer.ok) throw new Error(path + ' ' + answer.status);
  return answer;
};
const hello = await (await ask('/hello')).json();
const many = await Promise.all([...Array(50).keys()].map(async i => (await (await ask('/hello?' + i)).json()).path));
const upload = await (await ask('/upload', {method: 'POST', body: 'x'.repeat(1000000)})).json();
const pieces = new ReadableStream({
  start(c) { for (let i = 0; i < 10; i++) c.enqueue(new TextEncoder().encode('piece')); c.close(); }
});
const chunked = await (await ask('/upload', {method: 'PUT', body: pieces})).json();
const lines = (await (await ask('/stream?n=20')).text()).split('\\n').length - 1;
const text = await (await ask('/squeezed')).text();
const sizes = [upload.size, chunked.size, lines, text.length];
console.log(JSON.stringify({host: hello.host, many: new Set(many).size, sizes}));
"""


@needs_node
def test_node_fetches(proxy: Proxy) -> None:
    command = ["node", "--input-type=module", "-e", NODE, "--", f"http://localhost:{proxy.address[1]}"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == {
        "host": f"localhost:{proxy.address[1]}",
        "many": 50,
        "sizes": [1_000_000, 50, 20, 11_000],
    }


# a gibibyte each way

PATTERN = bytes(range(256)) * (MIB // 256)


def peak(pid: int) -> int:
    """The most resident memory the process ever had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) // 1024


class Counted:
    """Bytes received, and whether they repeat `PATTERN`."""

    def __init__(self) -> None:
        self.size = 0
        self.right = True
        self._buffer = bytearray(MIB)

    def take(self, data: bytes | memoryview) -> None:
        at = self.size % MIB
        first = min(len(data), MIB - at)
        view = memoryview(data)
        self.right = (
            self.right and view[:first] == PATTERN[at : at + first] and view[first:] == PATTERN[: len(data) - first]
        )
        self.size += len(data)

    def take_from(self, peer: Raw, total: int) -> None:
        self.take(peer.pending)
        view = memoryview(self._buffer)
        while self.size < total and (size := peer.sock.recv_into(self._buffer)):
            self.take(view[:size])


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_gibibyte_needs_no_memory(direction: str, framing: str) -> None:
    """Below 100 MiB at its highest, start included; of chunked bodies a quarter is enough."""
    size = GIB if framing == "length" else GIB // 4
    script = _sends(size, framing) if direction == "down" else _counts(size, counted := Counted(), framing)
    with Upstream(script) as upstream, Proxy([service_entry("big.test", upstream.port)]) as proxy:
        with Raw(proxy.address, patience=60) as client:
            if direction == "down":
                counted = Counted()
                client.send(head("big.test"))
                client.until(b"\r\n\r\n")
                _download(client, counted, size, framing)
            else:
                line = f"Content-Length: {size}" if framing == "length" else "Transfer-Encoding: chunked"
                client.send(head("big.test", "/", line, method="POST"))
                _send_pattern(client.sock.sendall, size, framing)
                assert client.reply(method="POST").body == b"ok"
        assert (counted.size, counted.right) == (size, True)
        assert peak(proxy.pid) < 100


def _download(client: Raw, counted: Counted, size: int, framing: str) -> None:
    if framing == "length":
        counted.take_from(client, size)
        return
    while length := int(client.until(b"\r\n"), 16):
        counted.take(client.exactly(length))
        client.exactly(2)


def _send_pattern(send: Callable[[bytes], object], size: int, framing: str) -> None:
    for _ in range(size // MIB):
        if framing == "chunked":
            send(b"%x\r\n" % MIB)
        send(PATTERN)
        if framing == "chunked":
            send(b"\r\n")
    if framing == "chunked":
        send(b"0\r\n\r\n")


def _sends(size: int, framing: str) -> Script:
    def script(peer: Peer) -> None:
        peer.sock.settimeout(60)
        peer.request()
        line = b"Content-Length: %d" % size if framing == "length" else b"Transfer-Encoding: chunked"
        peer.send(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n")
        _send_pattern(peer.sock.sendall, size, framing)
        peer.wait_gone()

    return script


def _counts(size: int, counted: Counted, framing: str) -> Script:
    """Reads the body without h11, which would take minutes."""

    def script(peer: Peer) -> None:
        raw = Raw.__new__(Raw)
        raw.sock, raw.pending = peer.sock, b""
        raw.sock.settimeout(60)
        raw.until(b"\r\n\r\n")
        _download(raw, counted, size, framing)
        peer.answer(b"ok")
        peer.wait_gone()

    return script
