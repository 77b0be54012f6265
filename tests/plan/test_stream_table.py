"""Filter chains by network and server name; where a CONNECT leads."""

from __future__ import annotations

import ipaddress
import pickle

import pytest

from meshproxy.plan.connect_table import Connectable, ConnectTable
from meshproxy.plan.route import Destination, Forward
from meshproxy.plan.stream_table import Chain, StreamRoute, StreamTable


def chain(*names: str, network: str = "", is_tls: bool = True) -> Chain:
    where = Destination(cluster="+".join(names) + network or "any", host="")
    networks = (ipaddress.ip_network(network),) if network else ()
    tunnel = StreamRoute(name="", action=Forward((where,), 1))
    return Chain(server_names=names, networks=networks, is_tls=is_tls, tunnel=tunnel)


def found(table: StreamTable, name: str = "", *, is_tls: bool = True, destination: str = "") -> str | None:
    chosen = table.find(name, is_tls=is_tls, destination=destination)
    return chosen.tunnel.action.destinations[0].cluster if chosen is not None and chosen.tunnel else None


NAMES = StreamTable((chain("*.b.test"), chain("a.b.test"), chain("*.x.b.test"), chain("c.test", "d.test")))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b.test", "a.b.test"),
        ("z.b.test", "*.b.test"),
        ("z.y.b.test", "*.b.test"),
        ("z.x.b.test", "*.x.b.test"),
        ("d.test", "c.test+d.test"),
        ("b.test", None),
        ("ab.test", None),
        ("", None),
    ],
)
def test_exact_before_the_longest_wildcard(name: str, expected: str | None):
    assert found(NAMES, name) == expected


def test_the_first_that_claims_a_name_has_it():
    assert found(StreamTable((chain("a.test"), chain("a.test", "b.test"))), "a.test") == "a.test"


def test_a_chain_without_names_takes_the_rest():
    table = StreamTable((chain("a.test"), chain()))
    assert (found(table, "b.test"), found(table), found(table, is_tls=False)) == ("any", "any", None)


def test_plain_connections_take_chains_that_do_not_ask_for_tls():
    table = StreamTable((chain("a.test"), chain(is_tls=False)))
    assert found(table, is_tls=False) == "any"
    assert found(table, "b.test") == "any"


def test_the_narrowest_network_decides_before_the_name():
    table = StreamTable(
        (chain("a.test", network="10.0.0.0/8"), chain("b.test", network="10.1.0.0/16"), chain("a.test"))
    )
    assert found(table, "a.test", destination="10.2.0.1") == "a.test10.0.0.0/8"
    assert found(table, "b.test", destination="10.1.0.1") == "b.test10.1.0.0/16"
    assert found(table, "a.test", destination="10.1.0.1") is None
    assert found(table, "a.test", destination="192.0.2.1") == "a.test"
    assert found(table, "a.test") == "a.test"


def test_no_network_holds_a_name_that_was_asked_for():
    table = StreamTable((chain(network="10.0.0.0/8", is_tls=False), chain(is_tls=False)))
    assert found(table, is_tls=False, destination="mongo.test") == "any"


def test_whether_the_client_has_to_speak_first():
    assert NAMES.needs_hello
    assert not StreamTable((chain(is_tls=False),)).needs_hello


def test_tables_are_values():
    assert pickle.loads(pickle.dumps(NAMES)) == NAMES
    assert hash(pickle.loads(pickle.dumps(NAMES))) == hash(NAMES)


def connectable(*names: str, port: int = 443, network: str = "") -> Connectable:
    networks = (ipaddress.ip_network(network),) if network else ()
    table = StreamTable((chain(names[0] if names else network, is_tls=False),))
    return Connectable(names=names, port=port, table=table, networks=networks)


CONNECTS = ConnectTable(
    (
        connectable("a.test", "a"),
        connectable("*.b.test"),
        connectable("wide", network="10.0.0.0/8", port=22),
        connectable("narrow", network="10.1.0.0/16", port=22),
    )
)


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("a.test", 443, "a.test"),
        ("a", 443, "a.test"),
        ("a.test", 444, None),
        ("x.y.b.test", 443, "*.b.test"),
        ("10.2.0.1", 22, "wide"),
        ("10.1.0.1", 22, "narrow"),
        ("10.1.0.1", 443, None),
        ("::1", 22, None),
        ("unknown.test", 443, None),
    ],
)
def test_where_a_connect_leads(host: str, port: int, expected: str | None):
    table = CONNECTS.find(host, port)
    assert (table.chains[0].server_names[0] if table is not None else None) == expected


def test_the_rest_is_for_everybody_else():
    rest = StreamTable((chain(is_tls=False),))
    table = ConnectTable(CONNECTS.entries, rest)
    assert table.find("unknown.test", 1) is rest
    assert table.find("192.0.2.1", 22) is rest
    assert pickle.loads(pickle.dumps(table)) == table
