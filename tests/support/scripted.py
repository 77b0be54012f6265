"""An HTTP upstream that does what the request tells it: header `x-script`, one word for each attempt.

A word is a status (`503`), `reset`, `slow` (no answer until the connection ends), or `delay=0.2`; words for one
attempt are joined by `+`, attempts by `,`, and the last one repeats. Requests are kept by their `x-request-id`.
"""

from __future__ import annotations

import json
import threading
import time

from support.upstream import Peer, Seen, Upstream, always
from support.wait import eventually


class Scripted(Upstream):
    """Answers with JSON that says who it is and what it saw."""

    def __init__(self, name: str) -> None:
        super().__init__(always(self._respond))
        self.name = name
        self._lock = threading.Lock()

    def seen(self, request_id: str, count: int = 1) -> list[Seen]:
        """The requests with this id, once there are `count`."""

        def found() -> list[Seen]:
            with self._lock:
                mine = [seen for seen in self.requests if seen.get("x-request-id") == request_id]
            return mine if len(mine) >= count else []

        return eventually(found, f"{count} requests {request_id} at {self.name}")

    def never_saw(self, request_id: str) -> bool:
        with self._lock:
            return all(seen.get("x-request-id") != request_id for seen in self.requests)

    def _respond(self, peer: Peer, seen: Seen) -> None:
        with self._lock:
            self.requests.append(seen)
        attempt = int(seen.get("x-envoy-attempt-count") or 1)
        script = (seen.get("x-script") or "200").split(",")
        status = "200"
        for word in script[min(attempt, len(script)) - 1].split("+"):
            if word == "reset":
                peer.reset()
                return
            if word == "slow":
                peer.wait_gone()
                return
            if word.startswith("delay="):
                time.sleep(float(word.removeprefix("delay=")))
            else:
                status = word
        told = {
            "upstream": self.name,
            "method": seen.method,
            "path": seen.target,
            "headers": seen.headers,
            "attempts": attempt,
            "body": seen.body.decode("latin-1"),
        }
        body = b"" if seen.method == "HEAD" or status in ("204", "304") else json.dumps(told).encode()
        peer.answer(body, f"{status} Scripted", "Content-Type: application/json", "X-Upstream: " + self.name)
