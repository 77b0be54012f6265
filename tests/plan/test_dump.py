"""The plan as JSON: everything is shown, as it was written, and all of it is JSON."""

import json
import math

from meshproxy.base.origin import Origin
from meshproxy.plan.cluster import Cluster, Endpoint
from meshproxy.plan.cors import Cors
from meshproxy.plan.dump import plan_as_json
from meshproxy.plan.fault import Fault
from meshproxy.plan.header_ops import HeaderOps, Template
from meshproxy.plan.listener import Listener
from meshproxy.plan.match import (
    AuthorityIs,
    Exact,
    HeaderIs,
    HeaderIsNot,
    MethodIs,
    Pattern,
    Prefix,
    Present,
    QueryIs,
    SchemeIs,
)
from meshproxy.plan.regex import Regex
from meshproxy.plan.retry import DEFAULT
from meshproxy.plan.rewrite import DirectResponse, Redirect, Rewrite
from meshproxy.plan.route import Destination, Forward, Mirror, Route
from meshproxy.plan.snapshot import Snapshot
from meshproxy.plan.table import RouteTable, VirtualHost, VirtualHosts

CONDITIONS = {
    HeaderIs(b"h", Exact(b"1")): {"header": "h", "exact": "1"},
    HeaderIsNot(b"h", Present()): {"without_header": "h", "present": True},
    QueryIs(b"q", Pattern(Regex(b"a+"))): {"query_param": "q", "regex": "a+"},
    MethodIs(Exact(b"GET")): {"method": {"exact": "GET"}},
    SchemeIs(Prefix(b"http")): {"scheme": {"prefix": "http"}},
    AuthorityIs(Exact(b"a")): {"authority": {"exact": "a"}},
}


def shown(**fields):
    route = Route(**{"name": "r", "origin": None, "action": DirectResponse(status=200), **fields})
    host = VirtualHost(name="h", domains=("h",), routes=RouteTable((route,)))
    listener = Listener(name="mesh", host="::1", port=1, server_port=1, virtual_hosts=VirtualHosts((host,)))
    plan = plan_as_json(Snapshot(listeners=(listener,)))
    json.dumps(plan, allow_nan=False)
    return plan["listeners"][0]["virtual_hosts"][0]["routes"][0]


def test_conditions():
    assert shown(conditions=tuple(CONDITIONS))["conditions"] == list(CONDITIONS.values())


def test_actions():
    destinations = (Destination(cluster="c", host="h", subset="s", port=1, weight=2),)
    assert shown(action=Forward(destinations, 2))["action"] == {
        "route": [{"cluster": "c", "host": "h", "subset": "s", "port": 1, "weight": 2}]
    }
    assert shown(action=Redirect(port=8443))["action"] == {
        "redirect": {"status": 301, "port": 8443, "keep_host": False}
    }
    assert shown(action=DirectResponse(status=200, body=b"\xff"))["action"] == {
        "direct_response": {"status": 200, "body": "\ufffd"}
    }


def test_header_values_are_shown_as_they_were_written():
    template = Template((b"100% ", ("REQ", "a"), ("START_TIME", "")))
    ops = HeaderOps(frozenset((b"b", b"a")), set=((b"x", template),))
    assert shown(request_headers=ops)["request_headers"] == {
        "remove": ["a", "b"],
        "set": [{"name": "x", "value": "100%% %REQ(a)%%START_TIME%"}],
    }


def test_policies_are_all_there_and_absent_ones_are_not():
    policies = {
        "rewrite": Rewrite(prefix=b"/a", path=b"/b"),
        "timeout": 1.5,
        "retry": DEFAULT,
        "fault": Fault(delay=1.0, delay_share=1),
        "cors": Cors(origins=(Exact(b"a"),)),
        "mirrors": (Mirror(cluster="c", host="h"),),
        "origin": Origin("f.yaml", 3, rule=0),
    }
    full = shown(**policies)
    assert set(policies) <= set(full)
    assert (full["timeout"], full["origin"]["line"], full["rewrite"]["path"]) == (1.5, 3, "/b")
    assert not {"timeout", "fault", "rewrite", "origin"} & set(shown())


def test_what_never_ends_is_null():
    cluster = Cluster(name="c", host="h", port=1, idle_timeout=math.inf, endpoints=(Endpoint(address="a", port=1),))
    plan = plan_as_json(Snapshot(clusters={"c": cluster}))
    assert json.loads(json.dumps(plan, allow_nan=False))["clusters"][0]["idle_timeout"] is None
    assert plan["clusters"][0]["balancer"] == "LEAST_REQUEST"
