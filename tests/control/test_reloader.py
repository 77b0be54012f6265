"""Reloads: refused whole, applied whole, told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from meshproxy.control.built import Bound, Built, Finding, Request
from meshproxy.control.reload import Reloader, Status
from meshproxy.control.settings import Settings
from meshproxy.control.sockets import CannotBindError
from meshproxy.telemetry.stats import Stats

_ERROR = Finding(file="a.yaml", line=3, column=5, level="error", code="IST0106", message="weight: not a number")
_WARNING = Finding(file="a.yaml", line=4, column=1, level="warning", code="MPX0001", message="not supported yet")
_BOUND = Bound("mesh", ("127.0.0.1", 15001))


def _good(digest: str, *findings: Finding) -> Built:
    return Built(digest=digest, files=("a.yaml",), counts={"Service": 2}, snapshot=b"", findings=findings)


class _Serving:
    """Remembers what it was given; cannot bind for digests in `unbindable`."""

    def __init__(self, *unbindable: str) -> None:
        self.applied: list[str] = []
        self._unbindable = unbindable

    async def apply(self, built: Built) -> Sequence[Bound]:
        if built.digest in self._unbindable:
            raise CannotBindError("cannot bind 0.0.0.0:80: Permission denied")
        self.applied.append(built.digest)
        return (_BOUND,)


def _attempts(tmp_path: Path, serving: _Serving, *answers: Built) -> tuple[list[Status], Stats, list[Request]]:
    """How it stood after each attempt."""
    requests: list[Request] = []
    builds: Iterator[Built] = iter(answers)

    async def build(request: Request) -> Built:
        requests.append(request)
        return next(builds)

    async def run() -> tuple[list[Status], Stats, list[Request]]:
        stats = Stats.create(1)
        reloader = Reloader(Settings(config=(str(tmp_path),)), stats, build)
        return [await reloader.load(serving) for _ in answers], stats, requests

    return asyncio.run(run())


def _metrics(stats: Stats) -> dict[str, int]:
    return {
        "/".join((entry.name.removeprefix("meshproxy_config_"), *dict(entry.labels).values())): stats.values(entry)[0]
        for entry in stats.entries()
    }


def test_an_error_leaves_the_last_good_one_serving(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serving = _Serving()
    refused = Built(digest="two", files=("a.yaml",), findings=(_ERROR,))
    (first, second, third), stats, _ = _attempts(tmp_path, serving, _good("one"), refused, _good("three"))
    assert serving.applied == ["one", "three"]
    assert (second.result, second.generation, second.digest, second.findings) == ("refused", 1, "one", (_ERROR,))
    assert second.applied == first.applied
    assert (third.result, third.generation, third.findings) == ("applied", 2, ())
    told = capsys.readouterr().err
    assert "a.yaml:3:5: weight: not a number\n" in told
    assert "generation 1 serves on" in told
    counted = _metrics(stats)
    assert (counted["reloads_total/applied"], counted["reloads_total/refused"]) == (2, 1)
    assert (counted["generation"], counted["last_reload_successful"]) == (2, 1)


def test_what_is_skipped_is_said_at_the_start_and_when_it_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [
        replace(_good(digest), skipped=skipped) for digest, skipped in (("1", "1 Job"), ("2", "1 Job"), ("3", ""))
    ]
    _attempts(tmp_path, _Serving(), *answers)
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if line.startswith("skipped")] == ["skipped: 1 Job", "skipped: nothing any more"]
    assert told[0] == "skipped: 1 Job"


def test_a_refused_reload_shows_in_the_metric_until_a_good_one(tmp_path: Path) -> None:
    _, stats, _ = _attempts(tmp_path, _Serving(), _good("one"), Built(digest="two", findings=(_ERROR,)))
    assert _metrics(stats)["last_reload_successful"] == 0


def test_unchanged_contents_are_not_applied_again(tmp_path: Path) -> None:
    serving = _Serving()
    unchanged = Built(digest="one", files=("a.yaml",), unchanged=True)
    (_, second), _, requests = _attempts(tmp_path, serving, _good("one", _WARNING), unchanged)
    assert serving.applied == ["one"]
    assert [request.known for request in requests] == ["", "one"]
    assert (second.result, second.generation, second.findings) == ("unchanged", 1, (_WARNING,))


def test_an_address_that_cannot_be_bound_refuses_a_reload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (_, second), _, _ = _attempts(tmp_path, _Serving("two"), _good("one"), _good("two"))
    assert (second.result, second.generation) == ("refused", 1)
    assert "a.yaml:1:1: cannot bind 0.0.0.0:80: Permission denied" in capsys.readouterr().err


def test_an_address_that_cannot_be_bound_at_the_start_is_raised(tmp_path: Path) -> None:
    with pytest.raises(CannotBindError):
        _attempts(tmp_path, _Serving("one"), _good("one"))


def test_a_change_during_a_build_is_built_after_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x")
    serving = _Serving()
    started, go = asyncio.Event(), asyncio.Event()
    second = asyncio.Event()
    digests = iter(("one", "two"))

    async def build(_request: Request) -> Built:
        digest = next(digests)
        if digest == "two":
            second.set()
            await asyncio.Event().wait()
        started.set()
        await go.wait()
        return _good(digest)

    async def run() -> None:
        reloader = Reloader(Settings(config=(str(tmp_path),)), Stats.create(1), build)
        running = asyncio.create_task(reloader.run(serving))
        reloader.want()
        await started.wait()
        reloader.want()
        reloader.want()
        go.set()
        await second.wait()
        running.cancel()

    asyncio.run(run())
    assert serving.applied == ["one"]
