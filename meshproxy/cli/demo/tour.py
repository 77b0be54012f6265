"""The stops of the tour: what to try, what to expect, and whether that is what came."""

from __future__ import annotations

import http.client
import json
import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Answer(NamedTuple):
    """One response; `version` is empty where no upstream answered."""

    status: int
    version: str
    body: str


Check = Callable[[list[Answer]], tuple[bool, str]]
"""Whether the answers are as expected, and in words what came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """`count` equal requests to `host` and what must come of them. `shown` is the shell's part around curl."""

    title: str
    expect: str
    host: str
    path: str
    user: str = ""
    count: int
    check: Check
    shown: str = "{curl}"
    options: str = "-s"

    def command(self, port: int) -> str:
        """The line to paste into a shell."""
        words = ["-H", f"host: {self.host}", *(["-H", f"end-user: {self.user}"] if self.user else [])]
        curl = f"curl {self.options} {shlex.join(words)} http://127.0.0.1:{port}{self.path}"
        return self.shown.format(curl=curl)

    def visit(self, port: int) -> tuple[bool, str]:
        """Send the requests and check the answers."""
        headers = {"host": self.host, **({"end-user": self.user} if self.user else {})}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            return self.check([_ask(connection, self.path, headers) for _ in range(self.count)])
        except (OSError, http.client.HTTPException) as error:
            return False, f"no answer: {error!r}"
        finally:
            connection.close()


def _ask(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> Answer:
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode(errors="replace")
    try:
        return Answer(response.status, json.loads(body)["version"], body)
    except (ValueError, KeyError, TypeError):
        return Answer(response.status, "", body)


def always(version: str) -> Check:
    """Every answer is a 200 from that version."""

    def check(answers: list[Answer]) -> tuple[bool, str]:
        hits = sum(answer.status == 200 and answer.version == version for answer in answers)
        return hits == len(answers), f"{hits} of {len(answers)} requests reached {version}"

    return check


def shares(expected: dict[str, float]) -> Check:
    """Every version has its share, to four and a half standard deviations: wrong weights fail, bad luck does not."""

    def check(answers: list[Answer]) -> tuple[bool, str]:
        total = len(answers)
        found = Counter(answer.version for answer in answers if answer.status == 200)
        fair = found.total() == total and all(
            abs(found[version] - total * share) <= 4.5 * (total * share * (1 - share)) ** 0.5
            for version, share in expected.items()
        )
        seen = ", ".join(f"{version} {found[version]}" for version in expected)
        return fair and set(found) <= set(expected), f"of {total} requests: {seen}"

    return check


def aborted(status: int, body: str) -> Check:
    """Every answer is the proxy's own."""

    def check(answers: list[Answer]) -> tuple[bool, str]:
        hits = sum(answer.status == status and answer.body.strip() == body for answer in answers)
        return hits == len(answers), f"{hits} of {len(answers)} requests: {answers[0].status} {answers[0].body.strip()}"

    return check


_COUNT_VERSIONS = """for i in $(seq 50); do {curl}; done | grep -o '"version": "v."' | sort | uniq -c"""

STOPS = (
    Stop(
        title="Header routing",
        expect="v2 answers, every time: reviews.yaml sends jason there",
        host="reviews:9080",
        path="/reviews/0",
        user="jason",
        count=20,
        check=always("v2"),
    ),
    Stop(
        title="Weights",
        expect="everyone else: about 90 % reach v1 and 10 % reach v3",
        host="reviews:9080",
        path="/reviews/0",
        count=200,
        check=shares({"v1": 0.9, "v3": 0.1}),
        shown=_COUNT_VERSIONS,
    ),
    Stop(
        title="A fault, for one user",
        expect="500 and “fault filter abort”: ratings itself is never asked",
        host="ratings:9080",
        path="/ratings/0",
        user="tester",
        count=20,
        check=aborted(500, "fault filter abort"),
        options="-si",
    ),
    Stop(
        title="And for nobody else",
        expect="ratings answers",
        host="ratings:9080",
        path="/ratings/0",
        count=20,
        check=always("v1"),
    ),
)
