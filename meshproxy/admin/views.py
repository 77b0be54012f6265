"""What each admin path shows. Reads only; decides nothing about a request."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from meshproxy.control.service import Service
from meshproxy.control.settings import address_text
from meshproxy.telemetry.metrics import render

_JSON = "application/json"
_BATCH = 64
"""Pieces of text made before others get their turn."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response."""

    status: int
    body: str
    content_type: str = "text/plain; charset=UTF-8"


async def answer(service: Service, method: str, target: str) -> Answer:
    """What `method` on `target` gives."""
    path, _, query = target.partition("?")
    if path == _EXPLAIN_HEADER and method == "POST":
        return await _explain_header(service, query)
    if path in _CHANGING or method not in ("GET", "HEAD"):
        return Answer(405, f"Method {method} not allowed: this only shows things\n")
    if path == _EXPLAIN:
        return await _explain(service, query)
    found = _VIEWS.get(path)
    if found is None:
        return Answer(404, f"nothing at {path}; these are:\n{_help()}")
    return await found[0](service, "format=json" in query.split("&"))


async def _ready(service: Service, _as_json: bool) -> Answer:
    return Answer(200 if service.state == "LIVE" else 503, f"{service.state}\n")


async def _config_status(service: Service, _as_json: bool) -> Answer:
    status = service.reloader.status
    shown = {
        "generation": status.generation,
        "digest": status.digest,
        "files": status.files,
        "counts": dict(status.counts),
        "last_reload": {
            "result": status.result,
            "time": _time(status.attempted),
            "seconds": round(status.seconds, 3),
        },
        "last_success": _time(status.applied),
        "problems": [asdict(finding) for finding in status.findings],
    }
    return _json(shown)


async def _config_dump(service: Service, _as_json: bool) -> Answer:
    built = service.reloader.built
    if built is None or built.snapshot is None:
        return _json({})
    # a large one takes seconds: not on the loop
    return await asyncio.get_running_loop().run_in_executor(None, _dumped, built.snapshot)


def _dumped(snapshot: bytes) -> Answer:
    from meshproxy.plan.dump import plan_as_json  # needed only here

    return _json(plan_as_json(pickle.loads(snapshot)))


async def _clusters(service: Service, as_json: bool) -> Answer:
    rows = await service.fleet.endpoints() if service.fleet is not None else ()
    if as_json:
        return _json([asdict(row) for row in rows])
    lines: list[str] = []
    for row in rows:
        values = asdict(row)
        cluster, address = values.pop("cluster"), values.pop("address")
        lines.extend(f"{cluster}::{address or '-'}::{name}::{_word(value)}\n" for name, value in values.items())
    return Answer(200, "".join(lines))


async def _listeners(service: Service, as_json: bool) -> Answer:
    bound = [(each.name, address_text(each.address)) for each in service.reloader.status.bound]
    if as_json:
        return _json([{"name": name, "address": address} for name, address in bound])
    return Answer(200, "".join(f"{name}::{address}\n" for name, address in bound))


async def _prometheus(service: Service, _as_json: bool) -> Answer:
    return Answer(200, await _gathered(render(service.stats)), "text/plain; version=0.0.4; charset=utf-8")


async def _explain(service: Service, query: str) -> Answer:
    from meshproxy.admin.explain import explained  # needed only here

    return Answer(*await explained(service, query))


async def _explain_header(service: Service, query: str) -> Answer:
    wanted = {"enable=true": True, "enable=false": False}.get(query)
    if wanted is None or service.fleet is None:
        return Answer(400, f"POST {_EXPLAIN_HEADER}?enable=true, or false\n")
    await service.fleet.explain_header(wanted)
    return Answer(200, f"x-meshproxy-explain: 1 from this machine is {'answered' if wanted else 'ignored'}\n")


async def _show_help(_service: Service, _as_json: bool) -> Answer:
    return Answer(200, _help())


_EXPLAIN, _EXPLAIN_HEADER = "/explain", "/explain_header"
View = Callable[[Service, bool], Awaitable[Answer]]
_VIEWS: dict[str, tuple[View, str]] = {
    "/ready": (_ready, "200 LIVE while it serves, else 503"),
    "/config_status": (_config_status, "which configuration is served, and how the last reload went"),
    "/config_dump": (_config_dump, "the compiled plan, as JSON"),
    "/clusters": (_clusters, "endpoints and how they are doing (?format=json)"),
    "/listeners": (_listeners, "addresses that are listened on (?format=json)"),
    "/stats/prometheus": (_prometheus, "counters, summed over all workers"),
    "/help": (_show_help, "this"),
    "/": (_show_help, "this"),
}
#: What Envoy does on POST: there is no such thing here, and a GET must not be taken for it.
_CHANGING = frozenset(
    (
        "/cpuprofiler",
        "/drain_listeners",
        "/healthcheck/fail",
        "/healthcheck/ok",
        "/heapprofiler",
        "/logging",
        "/quitquitquit",
        "/reopen_logs",
        "/reset_counters",
        "/runtime_modify",
    )
)


def _help() -> str:
    return "".join(f"  {path}: {about}\n" for path, (_, about) in _VIEWS.items()) + (
        f"  {_EXPLAIN}: what becomes of a request (?url=…&method=…&header=name: value&gateway=…&format=json)\n"
        f"  POST {_EXPLAIN_HEADER}: ?enable=true answers x-meshproxy-explain: 1 from this machine in a header\n"
    )


async def _gathered(pieces: Iterator[str]) -> str:
    """All of them, with a turn for others now and then."""
    gathered: list[str] = []
    for number, piece in enumerate(pieces, 1):
        gathered.append(piece)
        if not number % _BATCH:
            await asyncio.sleep(0)
    return "".join(gathered)


def _json(value: object) -> Answer:
    return Answer(200, json.dumps(value, indent=1, ensure_ascii=False) + "\n", _JSON)


def _time(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds else None


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
