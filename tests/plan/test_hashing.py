"""What of a request is hashed. That the hashes are Envoy's is held in tests/conformance."""

from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.message import Request
from meshproxy.plan.hashing import Client, CookieHash, HeaderHash, QueryHash, SourceIpHash, hash_of
from meshproxy.plan.limits import RetryBudget
from meshproxy.plan.slow_start import Warmup

ME = Client(ip=b"10.0.0.1", remote_address="10.0.0.1:4000", local_address="127.0.0.1:15001")
VALUES = st.binary(min_size=1, max_size=20)


def asked(*fields, query=None):
    return Request(b"GET", b"/", query, b"reviews", list(fields))


def test_nothing_to_hash_is_no_hash():
    policies = (HeaderHash(b"x"), QueryHash(b"q"), CookieHash(name=b"c"))
    assert hash_of(policies, asked((b"y", b"1"), query=b"z=1"), ME) is None
    assert hash_of((), asked(), ME) is None


@given(st.permutations([b"a", b"b", b"c"]))
def test_the_order_of_a_headers_values_does_not_matter(values):
    request = asked(*((b"x", value) for value in values))
    assert HeaderHash(b"x").of(request, ME) == HeaderHash(b"x").of(asked((b"X", b"a"), (b"x", b"b"), (b"x", b"c")), ME)


@given(VALUES)
def test_the_same_policy_twice_does_not_cancel_itself_out(value):
    request = asked((b"x", value))
    assert hash_of((HeaderHash(b"x"),) * 2, request, ME) not in (0, hash_of((HeaderHash(b"x"),), request, ME))


def test_policies_that_find_nothing_are_passed_over():
    request = asked((b"x", b"1"))
    both = (HeaderHash(b"absent"), HeaderHash(b"x"), QueryHash(b"q"))
    assert hash_of(both, request, ME) == hash_of((HeaderHash(b"x"),), request, ME)


def test_the_source_address_is_hashed_without_its_port():
    other = Client(ip=b"10.0.0.1", remote_address="10.0.0.1:9", local_address="127.0.0.1:15001")
    assert SourceIpHash().of(asked(), ME) == SourceIpHash().of(asked(), other)


def test_the_first_value_of_a_parameter_counts_as_written():
    first = QueryHash(b"q").of(asked(query=b"a=1&q=%41&q=2"), ME)
    assert first == QueryHash(b"q").of(asked(query=b"q=%41"), ME) != QueryHash(b"q").of(asked(query=b"q=A"), ME)


def test_a_client_without_the_cookie_is_given_one_that_it_then_sends():
    cookie = CookieHash(name=b"user", ttl=3600, path=b"/shop", attributes=((b"SameSite", b"Lax"), (b"Secure", b"")))
    given_ = cookie.set_cookie(asked(), ME)
    value = given_.partition(b'"')[2].partition(b'"')[0]
    assert given_ == b'user="%b"; Max-Age=3600; Path=/shop; SameSite=Lax; Secure; HttpOnly' % value
    back = asked((b"cookie", b"a=b; user=" + value))
    assert cookie.of(asked(), ME) == cookie.of(back, ME) is not None
    assert cookie.set_cookie(back, ME) is None


def test_a_ttl_of_zero_is_a_cookie_for_the_session():
    assert b"Max-Age" not in CookieHash(name=b"user", ttl=0).set_cookie(asked(), ME)


def test_without_a_ttl_no_cookie_is_given():
    cookie = CookieHash(name=b"user")
    assert cookie.set_cookie(asked(), ME) is None
    assert cookie.of(asked(), ME) is None


@given(st.floats(1, 1000), st.floats(0, 2000), st.floats(0, 1), st.floats(0.1, 10))
def test_a_new_endpoint_s_share_grows_from_its_minimum_to_the_whole(duration, age, minimum, aggression):
    warmup = Warmup(duration=duration, minimum=minimum, aggression=aggression)
    assert minimum <= warmup.factor(age) <= 1 or age >= duration
    assert warmup.factor(duration) == 1
    assert warmup.factor(age) <= warmup.factor(age + 1)


def test_warmup_is_linear_unless_told_otherwise():
    assert Warmup(duration=100).factor(50) == 0.5
    assert Warmup(duration=100).factor(2) == 0.1
    assert Warmup(duration=100, aggression=2).factor(25) == 0.5


def test_the_default_budget_is_a_fifth_and_three_at_least():
    assert [RetryBudget().allowed(n) for n in (0, 15, 16, 100)] == [3, 3, 3, 20]
