"""The reload guard: what is remembered, what is masked, and when a configuration is refused."""

import asyncio

import pytest
from support.plans import REVIEWS, plan, virtual_service

from meshproxy.base.message import Request
from meshproxy.control.built import Bound, Built
from meshproxy.control.built import Request as BuildRequest
from meshproxy.control.guard import Ring, Verdict, together
from meshproxy.control.reload import Reloader
from meshproxy.control.settings import Settings
from meshproxy.telemetry.stats import Stats

MAPS = ["reviews=127.0.0.1:1"]
ALL = virtual_service("- route: [{destination: {host: reviews}}]")
ONLY_API = virtual_service("- match: [{uri: {prefix: /api}}]\n  route: [{destination: {host: reviews}}]")
SUBSET = virtual_service(
    "- route:\n  - {destination: {host: reviews, subset: v9}, weight: 1}\n  - {destination: {host: reviews}, weight: 3}"
)


def asked(path=b"/", *fields, host=b"reviews:9080", query=None):
    return Request(b"GET", path, query, host, list(fields))


def snapshot(*texts):
    return plan(REVIEWS, *texts, maps=MAPS)


@pytest.fixture
def ring():
    return Ring(4)


def test_what_gets_a_404_now_and_did_not_before_is_lost(ring):
    ring.add("mesh", asked(b"/api/1"))
    ring.add("mesh", asked(b"/other"))
    verdict = ring.replay(snapshot(ALL), snapshot(ONLY_API))
    assert (verdict.total, verdict.lost, verdict.percent) == (2, 1.0, 50.0)
    assert verdict.examples == ("GET reviews:9080/other: 404 NR, no rule matches",)


def test_what_was_lost_before_is_not_lost_again(ring):
    ring.add("mesh", asked(b"/other"))
    assert ring.replay(snapshot(ONLY_API), snapshot(ONLY_API)).lost == 0


def test_a_weight_without_cluster_loses_its_share(ring):
    ring.add("mesh", asked())
    verdict = ring.replay(snapshot(ALL), snapshot(SUBSET))
    assert verdict.lost == 0.25
    assert "for a part 503 NC" in verdict.examples[0]


def test_a_listener_that_goes_loses_its_requests(ring):
    ring.add("0.0.0.0_80", asked())
    before = snapshot(ALL)
    assert ring.replay(before, before).lost == 0  # it was lost before
    assert ring.replay(before, before).total == 1


def test_only_the_last_are_remembered(ring):
    for number in range(10):
        ring.add("mesh", asked(b"/%d" % number))
    assert len(ring) == 4


@pytest.mark.parametrize("name", [b"Authorization", b"cookie", b"X-Auth-Token", b"x-api-key", b"Proxy-Authorization"])
def test_secrets_are_not_kept_and_the_request_is_left_alone(ring, name):
    request = asked(b"/", (name, b"s3cret"), (b"x-other", b"kept"), query=b"a=1&access_token=s3cret")
    ring.add("mesh", request)
    (_, kept), *_ = ring._heads
    assert kept.fields == [(name, b"(masked)"), (b"x-other", b"kept")]
    assert kept.query == b"a=1&access_token=(masked)"
    assert request.fields[0] == (name, b"s3cret")


def test_no_body_is_kept(ring):
    request = asked()
    request.body.append(b"large")
    ring.add("mesh", request)
    assert ring._heads[0][1].body == []


class Counted:
    def __init__(self):
        self.seen = []

    def observe(self, record, service):
        self.seen.append(record)


class Ended:
    def __init__(self, listener_name, request):
        self.listener_name = listener_name
        self.request = request


def test_watching_passes_everything_on_and_leaves_out_what_is_no_request(ring):
    counted = Counted()
    watched = ring.watched(counted)
    for name in ("mesh", ""):
        watched.observe(Ended(name, asked()), "")
    assert (len(counted.seen), len(ring)) == (2, 1)


def test_the_verdicts_of_workers_add_up():
    verdict = together([Verdict(10, 1.0, ("a",)), Verdict(30, 0.5, ("b", "a")), Verdict()])
    assert (verdict.total, verdict.lost, verdict.examples) == (40, 1.5, ("a", "b"))
    assert str(Verdict(40, 1.5, ("a",))) == "3.75% of the last 40 requests would now get a 404 or 503; a"


# ---- what the reloader makes of it


class Serving:
    """Takes up everything; says what it was told to say of a replay."""

    def __init__(self, verdict):
        self.verdict = verdict
        self.applied = 0

    async def apply(self, built):
        self.applied += 1
        return (Bound("mesh", ("127.0.0.1", 1)),)

    async def replay(self, built):
        return self.verdict


def loads(verdict, **settings):
    """Two loads of two configurations; gives the last status and how many were applied."""
    digests = iter(("one", "two"))

    async def build(request: BuildRequest) -> Built:
        return Built(digest=next(digests), files=("a.yaml",), snapshot=b"plan")

    async def run():
        serving = Serving(verdict)
        reloader = Reloader(Settings(config=("config",), **settings), Stats.create(1), build)
        for _ in range(2):
            status = await reloader.load(serving)
        return status, serving.applied

    return asyncio.run(run())


def test_too_much_is_refused_and_the_last_good_one_serves_on(capsys):
    status, applied = loads(Verdict(100, 2.0), guard="refuse")
    assert (status.result, applied, status.generation, status.digest) == ("refused", 1, 1, "one")
    assert "config:1:1: 2% of the last 100 requests would now get a 404 or 503" in capsys.readouterr().err


def test_too_much_is_only_said_where_that_was_asked(capsys):
    status, applied = loads(Verdict(100, 2.0), guard="warn")
    assert (status.result, applied) == ("applied", 2)
    assert "warning: 2% of the last 100 requests" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verdict", "settings"),
    [
        (Verdict(100, 1.0), {"guard": "refuse"}),
        (Verdict(100, 50.0), {"guard": "refuse", "guard_threshold": 50.0}),
        (Verdict(0, 0.0), {"guard": "refuse"}),
        (None, {"guard": "refuse"}),
        (Verdict(100, 100.0), {}),
    ],
    ids=["at the threshold", "own threshold", "nothing seen", "no answer", "off"],
)
def test_what_is_not_too_much_is_applied(verdict, settings):
    status, applied = loads(verdict, **settings)
    assert (status.result, applied, status.findings) == ("applied", 2, ())
