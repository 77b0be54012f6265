import asyncio
import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from meshproxy.cli.demo import main as demo
from meshproxy.cli.demo.proxy import DemoError, Proxy, free_port
from meshproxy.cli.demo.tour import STOPS, Answer, Stop, aborted, always, shares
from meshproxy.cli.demo.upstreams import VERSIONS, Upstreams


def with_upstreams(visit: Callable[[Upstreams], object]) -> None:
    async def run() -> None:
        async with Upstreams() as upstreams:
            await asyncio.to_thread(visit, upstreams)

    asyncio.run(run())


def test_an_upstream_says_who_it_is_and_what_it_saw():
    def visit(upstreams: Upstreams) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", upstreams.ports["reviews", "v2"])
        for path in ("/reviews/0?a=1", "/again"):  # on one connection
            connection.request("POST", path, body=iter((b"chunk", b"ed")), headers={"End-User": "jason"})
            found = json.load(connection.getresponse())
            assert (found["service"], found["version"]) == ("reviews", "v2")
            assert (found["method"], found["path"]) == ("POST", path)
            assert found["headers"]["end-user"] == "jason"
        connection.request("HEAD", "/")
        assert connection.getresponse().read() == b""
        connection.close()

    with_upstreams(visit)


def test_an_upstream_closes_on_what_is_not_http():
    def visit(upstreams: Upstreams) -> None:
        with socket.create_connection(("127.0.0.1", upstreams.ports["ratings", "v1"])) as client:
            client.sendall(b"\x16\x03\x01 not HTTP\r\n\r\n")
            assert client.recv(100) == b""

    with_upstreams(visit)


def test_every_version_of_every_service_listens_on_its_own_port():
    def visit(upstreams: Upstreams) -> None:
        assert set(upstreams.ports) == {(service, version) for service in VERSIONS for version in VERSIONS[service]}
        assert len(set(upstreams.ports.values())) == len(upstreams.ports)
        assert f"reviews:v3=127.0.0.1:{upstreams.ports['reviews', 'v3']}" in demo._maps(upstreams)
        assert f"ratings=127.0.0.1:{upstreams.ports['ratings', 'v1']}" in demo._maps(upstreams)

    with_upstreams(visit)


def answers(**counts: int) -> list[Answer]:
    return [Answer(200, version, "{}") for version, count in counts.items() for _ in range(count)]


@pytest.mark.parametrize(
    ("found", "fair"),
    [
        (answers(v1=180, v3=20), True),
        (answers(v1=165, v3=35), True),
        (answers(v1=200), False),
        (answers(v1=100, v3=100), False),
        (answers(v1=179, v3=20, v2=1), False),
        ([*answers(v1=180, v3=19), Answer(503, "", "")], False),
    ],
)
def test_wrong_weights_fail_and_bad_luck_does_not(found: list[Answer], fair: bool):
    assert shares({"v1": 0.9, "v3": 0.1})(found)[0] is fair


def test_header_routing_is_exact():
    assert always("v2")(answers(v2=20)) == (True, "20 of 20 requests reached v2")
    assert not always("v2")(answers(v2=19, v1=1))[0]


def test_an_abort_is_known_by_status_and_body():
    assert aborted(500, "fault filter abort")([Answer(500, "", "fault filter abort")])[0]
    assert not aborted(500, "fault filter abort")([Answer(200, "v1", "{}")])[0]


def test_a_stop_without_a_proxy_fails_in_words():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        passed, seen = STOPS[0].visit(closed.getsockname()[1])
    assert not passed
    assert "refused" in seen


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.title)
def test_the_printed_line_asks_what_the_tour_asks(stop: Stop):
    command = stop.command(15001)
    assert f"http://127.0.0.1:15001{stop.path}" in command
    assert f"'host: {stop.host}'" in command
    assert ("end-user: " + stop.user in command) is bool(stop.user)


def test_the_tour_s_hosts_are_services_of_the_packaged_configuration(tmp_path: Path):
    config = demo._packaged_config(tmp_path)
    documents = [item for file in sorted(config.glob("*.yaml")) for item in yaml.safe_load_all(file.read_text())]
    services = {item["metadata"]["name"] for item in documents if item["kind"] == "Service"}
    assert services == set(VERSIONS)
    assert {stop.host.partition(":")[0] for stop in STOPS} <= services


def test_a_taken_port_is_given_way_to():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        assert free_port(wanted) != wanted


def test_a_proxy_that_ends_before_it_serves_is_an_error_in_words(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    async def start() -> None:
        async with Proxy(tmp_path, ["--no-such-flag"]):
            pass

    with pytest.raises(DemoError, match="the proxy ended before it served"):
        asyncio.run(start())
    assert "--no-such-flag" in capfd.readouterr().err


def test_without_a_terminal_there_is_no_colour(capsys: pytest.CaptureFixture[str]):
    demo.Page().fact("proxy", "here", "note")
    assert "\x1b" not in capsys.readouterr().out
