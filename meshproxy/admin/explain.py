"""`/explain` of the admin address: what becomes of a request in the configuration that is served, and how the
endpoints it can reach are doing."""

from __future__ import annotations

import asyncio
import json
import pickle
from urllib.parse import parse_qs

from meshproxy.admin.decision_json import decision_json
from meshproxy.admin.decision_text import render_text
from meshproxy.admin.target_json import Live
from meshproxy.control.asked import Asked, AskedError
from meshproxy.control.asked_stream import decision_on
from meshproxy.control.in_use import breakers
from meshproxy.control.service import Service
from meshproxy.plan.explain import Decision
from meshproxy.plan.explain_stream import StreamDecision
from meshproxy.plan.snapshot import Snapshot


async def explained(service: Service, query: str) -> tuple[int, str, str]:
    """Status, body and content type. The query has `url`, and may have `method`, `header` (`name: value`, repeatable),
    `gateway`, `format=json`, `color`."""
    given = parse_qs(query, keep_blank_values=True)
    built = service.reloader.built
    if built is None or built.snapshot is None:
        return 503, "nothing is served yet\n", _TEXT
    try:
        asked = _asked(given)
        # a large snapshot takes seconds to read: not on the loop
        decision = await asyncio.get_running_loop().run_in_executor(None, _decided, built.snapshot, asked)
    except AskedError as error:
        return 400, f"{error}\n", _TEXT
    rows = await service.fleet.endpoints() if service.fleet is not None else ()
    live: Live = {(row.cluster, row.address): row for row in rows}
    used = breakers(service.stats)
    if given.get("format") == ["json"]:
        return 200, json.dumps(decision_json(decision, live, used), indent=2) + "\n", "application/json"
    return 200, render_text(decision, color=given.get("color") == ["true"], live=live, breakers=used), _TEXT


_TEXT = "text/plain; charset=UTF-8"


def _asked(given: dict[str, list[str]]) -> Asked:
    urls = given.get("url")
    if not urls:
        raise AskedError("which URL? /explain?url=http://reviews:9080/&header=end-user:%20jason")
    headers = [text.partition(":") for text in given.get("header", ())]
    return Asked(
        url=urls[0],
        method=given.get("method", ["GET"])[0] or "GET",
        headers=tuple((name.strip(), value.strip()) for name, _, value in headers),
        gateway=given.get("gateway", [""])[0],
    )


def _decided(pickled: bytes, asked: Asked) -> Decision | StreamDecision:
    snapshot: Snapshot = pickle.loads(pickled)
    return decision_on(snapshot, asked)
