"""`meshproxy diff`: what changes for requests, and nothing else."""

import json

import pytest

from meshproxy.cli.changes import changes
from meshproxy.cli.main import main
from meshproxy.compiler.build import build_snapshot
from meshproxy.compiler.options import BuildOptions
from meshproxy.model.catalog import Source, read_catalog

BASE = """
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - name: jason
    match: [{headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - name: api
    match: [{uri: {prefix: /api}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - name: rest
    route: [{destination: {host: reviews, subset: v1}}]
"""
JASON = BASE[BASE.index("  - name: jason") : BASE.index("  - name: api")]
API = BASE[BASE.index("  - name: api") : BASE.index("  - name: rest")]
MAPS = ["--map", "reviews:v1=127.0.0.1:1", "--map", "reviews:v2=127.0.0.1:2"]


@pytest.fixture
def diff(tmp_path, capsys):
    """Runs `meshproxy diff` on two texts; gives the exit code and the entries."""

    def diff(old, new, *arguments, maps=MAPS):
        for name, text in (("old", old), ("new", new)):
            (tmp_path / f"{name}.yaml").write_text(text)
        code = main(["diff", "-o", "json", *maps, *arguments, str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")])
        return code, json.loads(capsys.readouterr().out)

    return diff


def kinds(entries):
    return [(entry["kind"], entry["rule"]) for entry in entries]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("  - name: jason\n", "  # a comment\n  - name: jason\n"),
        ("{exact: jason}", "{exact: 'jason'}"),
        ("  - name: rest\n", "  - name: everyone\n"),
    ],
    ids=["nothing", "comment", "quotes", "name"],
)
def test_what_no_request_feels_is_no_difference(diff, old, new):
    assert diff(BASE, BASE.replace(old, new)) == (0, [])


def test_the_order_of_rules_that_do_not_meet_is_no_difference(diff):
    apart = JASON.replace("{headers: {end-user: {exact: jason}}}", "{uri: {exact: /other}}")
    one, other = BASE.replace(JASON, apart), BASE.replace(JASON, "").replace(API, API + apart)
    assert diff(one, other) == (0, [])


def test_a_rule_that_was_added_or_removed_comes_with_a_request_that_shows_it(diff):
    without = BASE.replace(JASON, "")
    code, (entry,) = diff(without, BASE)
    assert code == 1
    assert (entry["kind"], entry["rule"]) == ("added", "default/reviews rule 0 (jason)")
    assert entry["request"].startswith("-H 'end-user: jason' http://reviews")
    (difference,) = entry["differences"]
    assert difference["what"] == "sends to"
    assert (difference["before"][-2:], difference["after"][-2:]) == ("v1", "v2")
    code, (entry,) = diff(BASE, without)
    assert (code, entry["kind"], entry["rule"]) == (1, "removed", "default/reviews rule 0 (jason)")
    assert entry["source"].endswith(f"old.yaml:{BASE.splitlines().index('  - name: jason') + 1}")


def test_a_rule_that_was_moved(diff):
    blocked = JASON.replace("subset: v2", "subset: v1")
    first, second = BASE.replace(JASON, blocked), BASE.replace(JASON, "").replace(API, API + blocked)
    _, entries = diff(first, second)
    (entry,) = kinds(entries)
    assert entry in (("moved", "default/reviews rule 0 (api)"), ("moved", "default/reviews rule 0 (jason)"))
    assert "-H 'end-user: jason'" in entries[0]["request"]
    assert "/api" in entries[0]["request"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("  - name: rest\n", "  - name: rest\n    timeout: 3s\n", "timeout"),
        ("  - name: rest\n", "  - name: rest\n    retries: {attempts: 0}\n", "retries"),
        ("  - name: rest\n", "  - name: rest\n    rewrite: {uri: /x}\n", "rewritten to"),
        ("  - name: rest\n", "  - name: rest\n    headers: {request: {set: {a: b}}}\n", "request"),
        ("  - name: rest\n", "  - name: rest\n    headers: {response: {remove: [a]}}\n", "response"),
        ("  - name: rest\n", "  - name: rest\n    mirror: {host: reviews, subset: v2}\n", "mirrors"),
        ("  - name: rest\n", "  - name: rest\n    corsPolicy: {allowOrigins: [{exact: a}]}\n", "cors"),
        ("  - name: rest\n", "  - name: rest\n    fault: {delay: {fixedDelay: 1s, percentage: {value: 1}}}\n", "fault"),
    ],
)
def test_a_policy_that_changed_is_named(diff, old, new, what):
    code, (entry,) = diff(BASE, BASE.replace(old, new))
    assert (code, entry["kind"], entry["rule"]) == (1, "changed", "default/reviews rule 2 (rest)")
    assert [each["what"] for each in entry["differences"]] == [what]


def test_a_destination_rule_that_changed_is_felt_through_every_rule_that_uses_it(diff):
    policy = BASE.replace(
        "  host: reviews\n  subsets", "  host: reviews\n  trafficPolicy: {loadBalancer: {simple: RANDOM}}\n  subsets"
    )
    _, entries = diff(BASE, policy)
    assert [entry["rule"][-6:] for entry in entries] == ["jason)"[-6:], " (api)", "(rest)"]
    assert all(each["what"].startswith("balancer of") for entry in entries for each in entry["differences"])


def test_conditions_that_changed_under_a_name(diff):
    _, entries = diff(BASE, BASE.replace("prefix: /api", "prefix: /v1"))
    assert kinds(entries) == [("changed", "default/reviews rule 1 (api)")]
    assert "/v1" in entries[0]["request"]


def test_a_subset_that_is_gone_is_a_503(diff):
    _, entries = diff(
        BASE, BASE.replace("{name: v2, labels: {version: v2}}", "{name: v3, labels: {version: v2}}"), maps=[]
    )
    words = {each["what"]: each["after"] for entry in entries for each in entry["differences"]}
    assert "503 NC" in words["answers"]


def test_a_service_that_is_new(diff):
    more = BASE + "---\n" + BASE.split("---")[0].replace("reviews", "ratings")
    _, (entry,) = diff(BASE, more)
    assert (entry["kind"], entry["rule"]) == (
        "added",
        "ratings.default.svc.cluster.local:9080 (the service's own route)",
    )


LOG = """\
# what was asked yesterday
[2026-11-24T20:00:00.000Z] "GET /api/1 HTTP/1.1" 200 - via_upstream - "-" 0 95 3 2 "-" "curl/8.5.0" "8e6d" \
"reviews:9080" \
"127.0.0.1:9081" outbound|9080|v1|reviews.default.svc.cluster.local - 127.0.0.1:15001 127.0.0.1:5 - rest
{"method": "POST", "path": "/api/2", "authority": "reviews:9080", "user_agent": null}
curl -s -H 'end-user: jason' \\
  http://reviews:9080/api/3
$ curl http://reviews:9080/
$ curl http://reviews:9080/api/1 -A curl/8.5.0 -H 'accept:' -H 'x-request-id: 8e6d'
neither
"""


def test_requests_that_were_made_are_asked_again(diff, tmp_path, capsys):
    log = tmp_path / "access.log"
    log.write_text(LOG)
    code, entries = diff(BASE, BASE.replace(API, ""), "--requests", str(log))
    assert code == 1
    assert [entry["lines"] for entry in entries] == [[2, 7], [3]]
    assert [each["what"] for each in entries[0]["differences"]] == ["sends to"]
    assert diff(BASE, BASE, "--requests", str(log)) == (0, [])


QUOTED = """\
[2026-11-24T20:00:00.000Z] "GET /api/1?q="a" HTTP/2" 503 UF reset{connection_failure} - "TLS error: a "b"" 0 95 3 - \
"-" "Mozilla/5.0 ("q")" "8e6d" "reviews:9080" "-" - - - - - -
"""


def test_quotes_that_clients_send_do_not_hide_a_log_line(diff, tmp_path):
    log = tmp_path / "access.log"
    log.write_text(QUOTED)
    _, (entry,) = diff(BASE, BASE.replace(API, ""), "--requests", str(log))
    assert """-H 'user-agent: Mozilla/5.0 ("q")'""" in entry["request"]
    assert '/api/1?q="a"' in entry["request"]


def test_a_line_that_is_no_request_is_said_with_its_number(tmp_path, capsys):
    old, log = tmp_path / "old.yaml", tmp_path / "log"
    old.write_text(BASE)
    log.write_text("nonsense\n")
    assert main(["diff", "--requests", str(log), str(old), str(old)]) == 65
    assert f"{log}:1:1: neither an access log line" in capsys.readouterr().err


def test_text_shows_before_and_after(tmp_path, capsys):
    for name, text in (("old", BASE), ("new", BASE.replace(JASON, ""))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(text)
    assert main(["diff", *MAPS, str(tmp_path / "old"), str(tmp_path / "new")]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("- removed  default/reviews rule 0 (jason)")
    assert "        before  reviews.default.svc.cluster.local:9080 subset v2\n" in out
    assert err == "1 difference for requests\n"


def test_a_configuration_that_cannot_be_read_is_65(tmp_path, capsys):
    good = tmp_path / "good.yaml"
    good.write_text(BASE)
    assert main(["diff", str(good), str(tmp_path / "none.yaml")]) == 65
    assert "none.yaml:1:1: " in capsys.readouterr().err


def compiled(text):
    return build_snapshot(read_catalog([Source("a.yaml", text.encode())])[0], BuildOptions())[0]


def test_one_rule_among_a_thousand():
    rules = "".join(
        f"  - {{name: r{n}, match: [{{uri: {{prefix: /p{n}}}}}], directResponse: {{status: 200}}}}\n"
        for n in range(1000)
    )
    text = BASE[: BASE.index("  - name: jason")] + rules
    found = changes(compiled(text), compiled(text.replace("/p7}", "/q7}")))
    assert [change.rule for change in found] == ["default/reviews rule 7 (r7)"]


# ---- connections

BYTES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: mongo}
spec:
  hosts: [mongo.test]
  resolution: STATIC
  ports: [{number: 27017, name: tcp, protocol: TCP}]
  endpoints: [{address: 10.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: tls}
spec:
  hosts: [tls.test]
  resolution: STATIC
  ports: [{number: 443, name: tls, protocol: TLS}]
  endpoints: [{address: 10.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  servers:
  - {port: {number: 443, name: tls, protocol: TLS}, hosts: ["*.test"], tls: {mode: PASSTHROUGH}}
  - {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bytes}
spec:
  hosts: ["*.test"]
  gateways: [edge, mesh]
  tls:
  - match: [{sniHosts: [a.test, b.test]}]
    route: [{destination: {host: tls.test, port: {number: 443}}}]
  - match: [{sniHosts: ["*.x.test"], gateways: [edge]}]
    route: [{destination: {host: tls.test, port: {number: 443}}}]
  tcp:
  - route: [{destination: {host: mongo.test, port: {number: 27017}}}]
"""


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("sniHosts", "sniHosts", []),
        ("{name: bytes}", "{name: bits}", []),
        ("a.test, b.test", "b.test, a.test", []),
        ("a.test, b.test", "a.test", [("removed", "default/bytes tls rule 0", "tls://b.test:443")]),
        ("*.x.test", "*.y.x.test", [("removed", "default/bytes tls rule 1", "tls://any.x.test:443")]),
        ("a.test, b.test", "a.test, c.test, b.test", [("added", "default/bytes tls rule 0", "tls://c.test:443")]),
        ("number: 9000", "number: 9001", [("added", "default/bytes tcp rule 0", "tcp://any-host.example:9001")]),
        (
            "- route: [{destination: {host: mongo.test, port: {number: 27017}}}]",
            "- route: [{destination: {host: tls.test, port: {number: 27017}}}]",
            [
                ("changed", "default/bytes tcp rule 0", "tcp://any-host.example:9000"),
                ("changed", "default/bytes tcp rule 0", "tcp://mongo.test:27017"),
            ],
        ),
    ],
)
def test_what_a_connection_feels_comes_with_one_that_shows_it(diff, was, now, told):
    code, entries = diff(BYTES, BYTES.replace(was, now), maps=[])
    assert code == bool(told)
    shown = [(entry["kind"], entry["rule"], entry["request"]) for entry in entries]
    assert [each for each in told if each not in shown] == []
    assert bool(shown) is bool(told)


def test_a_service_of_bytes_is_felt_and_so_is_its_policy(diff):
    code, entries = diff("", BYTES[: BYTES.index("kind: Gateway")].rpartition("---")[0], maps=[])
    assert code == 1
    assert {(entry["kind"], entry["source"], entry["request"]) for entry in entries} >= {
        ("added", "", "tcp://mongo.test:27017"),
        ("added", "", "tcp://tls.test:443"),
    }
    rule = """---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: mongo}
spec: {host: mongo.test, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 5s}}}}
"""
    _, entries = diff(BYTES, BYTES + rule, maps=[])
    assert {each["what"] for entry in entries for each in entry["differences"]} == {"idle timeout of mongo.test:27017"}
