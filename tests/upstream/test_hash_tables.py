"""Laws of ring hash and Maglev; that they are Envoy's is held in tests/conformance."""

import collections

from hypothesis import given
from hypothesis import strategies as st

from meshproxy.plan.cluster import Endpoint
from meshproxy.upstream.endpoint import LiveEndpoint
from meshproxy.upstream.maglev import MaglevTable
from meshproxy.upstream.ring import Ring

KEYS = st.integers(0, (1 << 64) - 1)
SPREAD = [(n * 0x9E3779B97F4A7C15) & ((1 << 64) - 1) for n in range(20_000)]
WEIGHTS = st.lists(st.integers(1, 20), min_size=1, max_size=12)


def weighted(weights):
    endpoints = [LiveEndpoint(Endpoint(address=f"10.0.0.{n}", port=80, weight=w)) for n, w in enumerate(weights)]
    return [(endpoint, endpoint.weight / sum(weights)) for endpoint in endpoints]


def tables(pairs):
    return [Ring(pairs, 1024), MaglevTable(pairs, 1021)]


@given(WEIGHTS, KEYS)
def test_a_key_always_leads_to_the_same_endpoint(weights, key):
    for one, other in zip(tables(weighted(weights)), tables(weighted(weights)), strict=True):
        assert one.find(key).name == other.find(key).name


@given(WEIGHTS)
def test_every_endpoint_has_about_its_share_of_the_table(weights):
    table = MaglevTable(weighted(weights), 65537)
    found = collections.Counter(table.find(key).name for key in SPREAD)
    for endpoint, share in weighted(weights):
        assert abs(found[endpoint.name] / len(SPREAD) - share) < 0.05


@given(st.permutations(range(6)))
def test_maglev_does_not_depend_on_the_order_of_the_endpoints(order):
    pairs = weighted([1] * 6)
    shuffled = MaglevTable([pairs[n] for n in order], 1021)
    assert all(shuffled.find(key).name == MaglevTable(pairs, 1021).find(key).name for key in SPREAD[:3])


def test_when_an_endpoint_leaves_most_other_keys_stay():
    pairs = weighted([1] * 10)
    left = [(endpoint, 1 / 9) for endpoint, _ in pairs[1:]]
    for before, after in zip(tables(pairs), tables(left), strict=True):
        kept = [key for key in SPREAD if before.find(key) is not pairs[0][0]]
        moved = sum(before.find(key) is not after.find(key) for key in kept)
        assert moved / len(kept) < 0.25


@given(KEYS, st.integers(1, 5))
def test_picking_again_gives_another_place_and_never_fails(key, again):
    for table in tables(weighted([1, 1, 1])):
        assert table.find(key, again).name.startswith("10.0.0.")


def test_picking_again_leads_away_from_the_first_endpoint_mostly():
    for table in tables(weighted([1] * 5)):
        elsewhere = sum(any(table.find(key, n) is not table.find(key) for n in range(1, 6)) for key in SPREAD[:500])
        assert elsewhere > 490
