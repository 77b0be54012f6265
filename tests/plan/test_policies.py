"""The small decisions of the plan: rewrite, header operations, fault, retry, CORS, weights."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.plan.cors import Cors
from meshproxy.plan.fault import MILLION, Fault
from meshproxy.plan.header_ops import HeaderOps, Template
from meshproxy.plan.match import Exact, HeaderIs, Pattern, Prefix
from meshproxy.plan.regex import Regex
from meshproxy.plan.retry import DEFAULT, Retry
from meshproxy.plan.rewrite import Rewrite
from meshproxy.plan.route import Destination, Forward, Route


@pytest.mark.parametrize(
    ("prefix", "path", "asked", "expected"),
    [
        (b"/ratings", b"/v1/bookRatings", b"/ratings/7", b"/v1/bookRatings/7"),
        (b"/ratings", b"/", b"/ratings/7", b"//7"),
        (b"/ratings/", b"/", b"/ratings/7", b"/7"),
        (b"/ratings/", b"/bar", b"/ratings/7", b"/bar7"),
        (b"/", b"/api/", b"/x", b"/api/x"),
        (b"/", b"/new", b"/a/b", b"/newa/b"),
        (b"/old", b"/new", b"/oldX", b"/newX"),
        (b"/old", b"/new", b"/OLDX", b"/newX"),
        (None, b"/new", b"/anything/at/all", b"/new"),
    ],
)
def test_a_prefix_is_cut_and_replaced_literally(prefix, path, asked, expected):
    assert Rewrite(prefix=prefix, path=path).apply(asked) == expected


def test_a_rewrite_of_the_authority_leaves_the_path():
    assert Rewrite(authority=b"other").apply(b"/a") == b"/a"


def test_a_pattern_replaces_what_it_finds():
    rewrite = Rewrite(regex=Regex(rb"/v(\d)/(.*)"), substitution=rb"/\2/v\1")
    assert rewrite.apply(b"/v1/items") == b"/items/v1"


def literal(value):
    return Template((value,))


def test_removals_come_first_then_overwrites_then_additions():
    ops = HeaderOps(
        remove=frozenset((b"a", b"c")), set=((b"A", literal(b"1")), (b"B", literal(b"2"))), add=((b"c", literal(b"3")),)
    )
    fields = [(b"a", b"0"), (b"b", b"0"), (b"B", b"00"), (b"C", b"0"), (b"d", b"0")]
    assert ops.apply(fields, lambda *_: b"") == [(b"d", b"0"), (b"A", b"1"), (b"B", b"2"), (b"c", b"3")]
    assert fields[0] == (b"a", b"0")


def test_the_later_of_two_overwrites_wins():
    ops = HeaderOps(set=((b"a", literal(b"route")), (b"a", literal(b"destination"))))
    assert ops.apply([], lambda *_: b"") == [(b"a", b"destination")]


def test_an_empty_value_is_not_written_and_leaves_what_is_there():
    ops = HeaderOps(set=((b"a", Template((("REQ", "x"),))),), add=((b"b", Template(())),))
    assert ops.apply([(b"a", b"1")], lambda *_: b"") == [(b"a", b"1")]


def test_templates_look_their_commands_up():
    template = Template((b"<", ("REQ", "user-agent"), b">"))
    assert template.render(lambda command, argument: f"{command} {argument}".encode()) == b"<REQ user-agent>"


@given(st.integers(0, MILLION), st.integers(0, MILLION - 1))
def test_a_fault_hits_exactly_its_share_of_a_million_draws(share, draw):
    fault = Fault(delay=1.0, delay_share=share, abort_status=503, abort_share=share)
    assert fault.delays((draw + 0.5) / MILLION) is (draw < share)
    assert fault.aborts((draw + 0.5) / MILLION) is (draw < share)


@pytest.mark.parametrize(("retry", "bound"), [(1, 0.025), (2, 0.075), (3, 0.175), (4, 0.25), (60, 0.25)])
def test_backoff_grows_and_is_capped(retry, bound):
    assert DEFAULT.backoff(retry, 0.0) == 0.0
    assert DEFAULT.backoff(retry, 1.0) == pytest.approx(bound)


def test_backoff_scales_with_its_base():
    assert Retry(attempts=1, conditions=frozenset(), base=1.0, maximum=10.0).backoff(2, 0.5) == 1.5


def test_an_application_503_is_not_retried_by_default():
    assert not DEFAULT.statuses and DEFAULT.conditions.isdisjoint({"5xx", "gateway-error", "reset"})


def test_origins_match_by_any_entry():
    cors = Cors(origins=(Exact(b"https://a"), Prefix(b"http://b"), Pattern(Regex(rb"https://.*\.c"))))
    assert all(map(cors.allows, (b"https://a", b"http://b:80", b"https://x.c")))
    assert not any(map(cors.allows, (b"https://ab", b"https://b", b"https://x.cd", b"")))


@pytest.mark.parametrize("match", [Exact(b"*"), Pattern(Regex(b".*"))])
def test_an_entry_that_accepts_the_star_accepts_all_origins(match):
    assert Cors(origins=(match,)).allows(b"https://anybody")


WEIGHTS = st.lists(st.integers(1, 100), min_size=2, max_size=6)


@given(WEIGHTS)
def test_weights_are_exact_over_all_draws(weights):
    total = sum(weights)
    forward = Forward(tuple(Destination(cluster=str(i), host="", weight=w) for i, w in enumerate(weights)), total)
    chosen = Counter(forward.choose((k + 0.5) / total).cluster for k in range(total))
    assert [chosen[str(i)] for i in range(len(weights))] == weights


def test_every_draw_below_one_chooses():
    forward = Forward((Destination(cluster="a", host="", weight=1), Destination(cluster="b", host="", weight=2)), 3)
    assert forward.choose(0.0).cluster == "a"
    assert forward.choose(1 - 2**-53).cluster == "b"


def test_a_single_destination_needs_no_weight():
    assert Forward((Destination(cluster="a", host="", weight=0),)).choose(0.9).cluster == "a"


@pytest.mark.parametrize(
    ("path", "conditions", "expected"),
    [
        (None, (), True),
        (Prefix(b""), (), True),
        (Prefix(b"/"), (), False),
        (Exact(b""), (), False),
        (None, (HeaderIs(b"h", Exact(b"x")),), False),
    ],
)
def test_a_route_catches_all_if_no_request_can_pass_it(path, conditions, expected):
    route = Route(name="", origin=None, action=Forward(()), path=path, conditions=conditions)
    assert route.catches_all is expected
