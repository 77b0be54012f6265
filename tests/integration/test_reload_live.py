"""Reloads while requests, tunnels and uploads are under way: nothing fails, nothing is closed."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.proxy import Proxy, document, service_entry, virtual_service
from support.raw import Raw, Reply, fetch, head
from support.upstream import Peer, Seen, Upstream, always
from support.wait import eventually

_HOST = "reviews.test"


def _named(name: bytes) -> Upstream:
    """Answers with its name."""

    def respond(peer: Peer, _seen: Seen) -> None:
        peer.answer(name)

    return Upstream(always(respond))


def _status(proxy: Proxy) -> Any:
    return json.loads(fetch(proxy.admin, "admin", "/config_status").body)


def _generation(proxy: Proxy) -> int:
    return int(_status(proxy)["generation"])


def _refused(proxy: Proxy) -> bool:
    return bool(_status(proxy)["last_reload"]["result"] == "refused")


def _documents(*documents: Mapping[str, Any]) -> str:
    return "\n---\n".join(json.dumps(each) for each in documents)


class _Load:
    """Clients that ask one request after the other on kept connections, until `stop`."""

    def __init__(self, proxy: Proxy, clients: int = 4) -> None:
        self.replies: list[Reply] = []
        self.errors: list[BaseException] = []
        self._proxy = proxy
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def answered(self, body: bytes) -> bool:
        """Whether the last answer was `body`."""
        return bool(self.replies) and self.replies[-1].body == body

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        try:
            with Raw(self._proxy.address) as client:
                while not self._stopping.is_set():
                    self.replies.append(client.get(_HOST))
        except BaseException as error:
            self.errors.append(error)


@contextmanager
def _unharmed(proxy: Proxy) -> Iterator[_Load]:
    """Under load; afterwards no request has failed and no connection was closed."""
    load = _Load(proxy)
    try:
        yield load
    finally:
        load.stop()
    assert load.errors == []
    assert {reply.status for reply in load.replies} == {200}
    assert not any((reply.get("connection") or "").lower() == "close" for reply in load.replies)


@pytest.fixture(params=["1", "2"])
def workers(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_change_takes_effect_without_a_failed_request(workers: str) -> None:
    with _named(b"v1") as v1, _named(b"v2") as v2:
        services = [service_entry("v1.test", v1.port), service_entry("v2.test", v2.port)]
        entry = service_entry(_HOST, v1.port)

        def to(host: str) -> str:
            return _documents(virtual_service(_HOST, {"route": [{"destination": {"host": host}}]}))

        files = {"services.yaml": _documents(*services, entry), "route.yaml": to("v1.test")}
        with Proxy(files, "--workers", workers) as proxy, _unharmed(proxy) as load:
            for number in range(6):
                host = ("v2", "v1")[number % 2]
                proxy.write({"route.yaml": to(f"{host}.test")})
                eventually(lambda host=host: load.answered(host.encode()), f"answers come from {host}")
                # of two workers one may answer before both have taken it up: a change then would join this one
                eventually(lambda number=number: _generation(proxy) == number + 2, f"generation {number + 2}")


def test_a_hundred_reloads_fail_no_request_and_close_no_connection() -> None:
    with _named(b"v1") as upstream, Proxy([service_entry(_HOST, upstream.port)]) as proxy, _unharmed(proxy):
        for number in range(100):
            proxy.write([service_entry(_HOST, upstream.port), service_entry(f"other-{number}.test", upstream.port)])
            eventually(lambda number=number: _generation(proxy) == number + 2, f"reload {number}")


def test_a_file_may_be_added_and_removed() -> None:
    with _named(b"v1") as upstream, Proxy([service_entry(_HOST, upstream.port)]) as proxy, _unharmed(proxy):
        proxy.write({"more.yaml": _documents(service_entry("more.test", upstream.port))})
        eventually(lambda: fetch(proxy.address, "more.test").status == 200, "the added service answers")
        (proxy.config / "more.yaml").unlink()
        eventually(lambda: fetch(proxy.address, "more.test").status == 404, "the removed service is unknown")


def test_a_config_map_swap_is_seen_each_time() -> None:
    upstreams = _named(b"v1"), _named(b"v2"), _named(b"start")
    with (
        upstreams[0] as v1,
        upstreams[1] as v2,
        upstreams[2] as start,
        Proxy([service_entry(_HOST, start.port)]) as proxy,
    ):
        (proxy.config / "config.yaml").unlink()
        for number, upstream in enumerate((v1, v2, v1)):
            _swap(proxy.config, number, _documents(service_entry(_HOST, upstream.port)))
            name = b"v2" if upstream is v2 else b"v1"
            eventually(lambda name=name: fetch(proxy.address, _HOST).body == name, f"swap {number} is served")


def _swap(directory: Path, number: int, text: str) -> None:
    """As the kubelet updates a mounted ConfigMap."""
    fresh = directory / f"..{number}"
    fresh.mkdir()
    (fresh / "config.yaml").write_text(text)
    (directory / "..data_tmp").symlink_to(fresh.name)
    (directory / "..data_tmp").rename(directory / "..data")
    if not (directory / "config.yaml").is_symlink():
        (directory / "config.yaml").symlink_to("..data/config.yaml")


_BROKEN = {
    "bad YAML": "spec: [1,\n",
    "half a file": "apiVersion: networking.istio.io/v1\nkind: VirtualService\nspec:\n  hosts: [v\n",
    "a wrong type": json.dumps(document("VirtualService", "v", {"hosts": "v"})),
    "a duplicate key": "kind: List\nkind: List\n",
}


@pytest.mark.parametrize("broken", _BROKEN.values(), ids=_BROKEN.keys())
def test_a_broken_configuration_leaves_the_last_good_one_serving(broken: str) -> None:
    with _named(b"v1") as upstream, Proxy([service_entry(_HOST, upstream.port)]) as proxy, _unharmed(proxy):
        proxy.write({"broken.yaml": broken})
        eventually(lambda: _refused(proxy), "the reload is refused")
        status = _status(proxy)
        assert status["generation"] == 1
        places = [(problem["file"], problem["line"] > 0, problem["level"]) for problem in status["problems"]]
        assert (str(proxy.config / "broken.yaml"), True, "error") in places
        place = f"{proxy.config}/broken.yaml:"
        # the admin can answer before the log's line has come through its pipe
        eventually(lambda: any(line.startswith(place) for line in proxy.process.lines), "the log says where")
        metrics = fetch(proxy.admin, "admin", "/stats/prometheus").body.decode()
        assert re.search(r'^meshproxy_config_reloads_total\{result="refused"\} [1-9]', metrics, re.MULTILINE)
        assert "meshproxy_config_last_reload_successful 0" in metrics
        (proxy.config / "broken.yaml").unlink()
        eventually(lambda: not _refused(proxy), "it recovers")


def test_a_deleted_directory_leaves_the_last_good_one_serving() -> None:
    with _named(b"v1") as v1, _named(b"v2") as v2, Proxy([service_entry(_HOST, v1.port)]) as proxy:
        shutil.rmtree(proxy.config)
        eventually(lambda: _refused(proxy), "the reload is refused")
        assert fetch(proxy.address, _HOST).body == b"v1"
        proxy.config.mkdir()
        eventually(lambda: "no *.yaml" in str(_status(proxy)["problems"]), "an empty directory is refused too")
        proxy.write([service_entry(_HOST, v2.port)])
        eventually(lambda: fetch(proxy.address, _HOST).body == b"v2", "the new directory is served")


def test_sighup_reloads_and_unchanged_contents_are_not_applied() -> None:
    with _named(b"v1") as upstream, Proxy([service_entry(_HOST, upstream.port)]) as proxy:
        proxy.process.signal(signal.SIGHUP)
        eventually(lambda: _status(proxy)["last_reload"]["result"] == "unchanged", "it was read again")
        assert _generation(proxy) == 1


def test_a_tunnel_and_a_slow_upload_live_through_reloads(workers: str) -> None:
    def upgrade(peer: Peer) -> None:
        seen = peer.head()
        if seen.get("upgrade"):
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            while True:
                peer.send(peer.receive())
        while not peer.received.endswith(b"last"):
            peer.receive()
        peer.answer(b"whole")

    with (
        Upstream(upgrade) as upstream,
        Proxy([service_entry(_HOST, upstream.port)], "--workers", workers) as proxy,
        Raw(proxy.address) as tunnel,
        Raw(proxy.address) as upload,
    ):
        tunnel.send(head(_HOST, "/", "Connection: Upgrade", "Upgrade: websocket"))
        assert tunnel.reply(upgrade=True).status == 101
        upload.send(head(_HOST, "/", "Content-Length: 9", method="POST"), b"first")
        for number in range(3):
            proxy.write([service_entry(_HOST, upstream.port), service_entry(f"n{number}.test", upstream.port)])
            eventually(lambda number=number: _generation(proxy) == number + 2, f"reload {number}")
            tunnel.send(b"ping %d" % number)
            assert tunnel.exactly(6) == b"ping %d" % number
        upload.send(b"last")
        assert upload.reply(method="POST").body == b"whole"


def _gateway(port: int) -> dict[str, Any]:
    server = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    return document("Gateway", "gateway", {"selector": {"istio": "ingressgateway"}, "servers": [server]})


def test_gateway_ports_open_and_close_with_the_configuration(workers: str) -> None:
    with _named(b"v1") as upstream:
        entry = service_entry(_HOST, upstream.port)
        route = {"destination": {"host": _HOST, "port": {"number": 80}}}
        bound = virtual_service(_HOST, {"route": [route]}, gateways=["gateway"])
        arguments = ("--workers", workers, "--bind", "80=127.0.0.1:0", "--labels", "istio=ingressgateway")
        with Proxy([entry], *arguments) as proxy:
            proxy.write([entry, _gateway(80), bound])
            eventually(lambda: len(_listeners(proxy)) == 2, "the gateway's port is open")
            (address,) = (each for name, each in _listeners(proxy).items() if name != "mesh")
            host, port = address.split(":")
            assert fetch((host, int(port)), _HOST).body == b"v1"
            proxy.write([entry])
            eventually(lambda: len(_listeners(proxy)) == 1, "the gateway's port is closed")
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((host, int(port)))


def _listeners(proxy: Proxy) -> dict[str, str]:
    listed = json.loads(fetch(proxy.admin, "admin", "/listeners?format=json").body)
    return {each["name"]: each["address"] for each in listed}
