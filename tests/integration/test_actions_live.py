"""What rules do with requests that takes a live proxy to show: shares of faults, copies to mirrors, large bodies."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from support.proxy import Proxy, document, service_entry, virtual_service
from support.raw import Raw, head
from support.upstream import Peer, Seen, Upstream, always, reserve
from support.wait import eventually

MIB = 1 << 20
SIZE = 10 * MIB


def to(host: str) -> dict[str, Any]:
    return {"route": [{"destination": {"host": host}}]}


@pytest.fixture
def mirror() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream.respond(lambda peer, seen: peer.answer(b"dropped"))


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream.respond(lambda peer, seen: peer.answer(b"ok"))


# ---- faults


def test_shares_of_aborts_and_delays(up: Upstream) -> None:
    """10,000 requests of which a tenth is aborted and a tenth delayed: each within one per cent."""
    share = {"percentage": {"value": 10}}
    fault = {"abort": {"httpStatus": 418, **share}, "delay": {"fixedDelay": "1ms", **share}}
    config = [service_entry("u.test", up.port), virtual_service("u.test", {**to("u.test"), "fault": fault})]
    with Proxy(config) as proxy:

        def ask(count: int) -> None:
            with Raw(proxy.address) as client:
                for _ in range(count):
                    client.get("u.test")

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, [2500] * 4))
        flags = [str(entry.get("response_flags") or "") for entry in proxy.log.of("u.test", 10_000)]
    found = collections.Counter(flag for each in flags for flag in each.split(","))
    # 1 % is more than three standard deviations of a share of 10 % among 10,000
    assert abs(found["FI"] - 1000) <= 100, found
    assert abs(found["DI"] - 1000) <= 100, found


# ---- mirrors


def mirrored(up: Upstream, mirror: Upstream, *arguments: str, **more: Any) -> Proxy:
    services = [service_entry("u.test", up.port), service_entry("m.test", mirror.port)]
    rule = {**to("u.test"), "mirrors": [{"destination": {"host": "m.test"}, **more}]}
    return Proxy([*services, virtual_service("u.test", rule)], *arguments)


def test_a_copy_has_the_body_and_the_host(up: Upstream, mirror: Upstream) -> None:
    with mirrored(up, mirror) as proxy, Raw(proxy.address) as client:
        client.send(head("u.test:80", "/p?q", "Content-Length: 5", method="POST"), b"he").send(b"llo")
        assert client.reply().body == b"ok"
        eventually(lambda: mirror.requests, "the copy")
    (copy,) = mirror.requests
    assert (copy.method, copy.target, copy.body) == ("POST", "/p?q", b"hello")
    assert (copy.get("host"), copy.get("x-envoy-internal")) == ("u.test:80", "true")


def test_the_suffix_of_older_istio(up: Upstream, mirror: Upstream) -> None:
    with mirrored(up, mirror, "--shadow-host-suffix") as proxy, Raw(proxy.address) as client:
        assert client.get("u.test:80").body == b"ok"
        eventually(lambda: mirror.requests, "the copy")
    assert mirror.requests[0].get("host") == "u.test-shadow:80"


def test_a_share_of_requests_is_copied(up: Upstream, mirror: Upstream) -> None:
    with mirrored(up, mirror, percentage={"value": 30}) as proxy, Raw(proxy.address) as client:
        for _ in range(1000):
            client.get("u.test")
        eventually(lambda: len(mirror.requests) > 200, "copies")
    assert 220 <= len(mirror.requests) <= 380  # five standard deviations


def test_a_mirror_that_never_answers_delays_nobody(up: Upstream, mirror: Upstream) -> None:
    mirror.script(lambda peer: peer.wait_gone())
    with mirrored(up, mirror) as proxy, Raw(proxy.address, patience=5) as client:
        for _ in range(20):
            assert client.get("u.test").body == b"ok"


def test_a_mirror_that_is_not_there_harms_nobody(up: Upstream) -> None:
    with Upstream() as gone:
        pass
    with mirrored(up, gone) as proxy, Raw(proxy.address) as client:
        for _ in range(20):
            assert client.get("u.test").body == b"ok"


def test_a_mirror_that_does_not_read_costs_no_more_than_its_bound(mirror: Upstream) -> None:
    """What it does not take is dropped with it, and the request goes on at its own pace."""
    release = threading.Event()
    mirror.script(lambda peer: release.wait(30))
    with Upstream() as up:
        up.respond(lambda peer, seen: peer.answer(str(len(seen.body)).encode()))
        with mirrored(up, mirror) as proxy, Raw(proxy.address, patience=30) as client:
            memory = peak_of(proxy)
            client.send(head("u.test", "/", f"Content-Length: {SIZE}", method="POST"), bytes(SIZE))
            assert client.reply().body == str(SIZE).encode()
            assert memory() < 8 * MIB
        release.set()


# ---- large bodies and retries


def peak_of(proxy: Proxy) -> Any:
    """How far the memory of the process and its children has grown since."""

    def now() -> int:
        process = psutil.Process(proxy.pid)
        return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))

    before = now()
    peak = before
    stopped = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stopped.wait(0.005):
            try:
                peak = max(peak, now())
            except psutil.Error:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()

    def grown() -> int:
        stopped.set()
        thread.join()
        return peak - before

    return grown


def test_a_large_body_gets_through_to_the_next_endpoint_unbuffered() -> None:
    """The first one refuses: nothing was sent there, so nothing has to be kept for the second."""
    with contextlib.closing(reserve()) as dead, Upstream() as up:
        up.respond(lambda peer, seen: peer.answer(str(len(seen.body)).encode()))
        rule = {"host": "u.test", "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}}
        config = [service_entry("u.test", dead.getsockname()[1], up.port), document("DestinationRule", "u", rule)]
        with Proxy(config) as proxy:
            memory = peak_of(proxy)
            for _ in range(2):
                with Raw(proxy.address, patience=30) as client:
                    client.send(head("u.test", "/", f"Content-Length: {SIZE}", method="POST"), bytes(SIZE))
                    reply = client.reply()
                assert (reply.status, reply.body) == (200, str(SIZE).encode())
            assert memory() < SIZE
            assert "2" in [seen.get("x-envoy-attempt-count") for seen in up.requests]


@pytest.mark.parametrize(("size", "tries"), [(MIB // 2, 3), (2 * MIB, 1)])
def test_no_retry_once_more_has_gone_out_than_is_kept(size: int, tries: int) -> None:
    def unavailable(peer: Peer, seen: Seen) -> None:
        up.requests.append(seen)
        peer.answer(b"", "503 No")

    retries = {"attempts": 2, "retryOn": "503", "backoff": "1ms"}
    with Upstream() as up:
        up.script(always(unavailable))
        config = [service_entry("u.test", up.port), virtual_service("u.test", {**to("u.test"), "retries": retries})]
        with Proxy(config) as proxy, Raw(proxy.address, patience=30) as client:
            client.send(head("u.test", "/", f"Content-Length: {size}", method="POST"), bytes(size))
            assert client.reply().status == 503
    assert [len(seen.body) for seen in up.requests] == [size] * tries
