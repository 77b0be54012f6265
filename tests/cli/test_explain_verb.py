"""`meshproxy explain` as users and scripts meet it: JSON keys, the ladder's looks, curl lines, exit codes."""

import json
from pathlib import Path

import pytest

from meshproxy.cli.main import main

ROOT = Path(__file__).parents[2]
BOOKINFO = str(ROOT / "config" / "bookinfo")
URL = "http://reviews:9080/reviews/0"
MAPS = [
    "--map",
    "reviews:v1=127.0.0.1:9081",
    "--map",
    "reviews:v2=127.0.0.1:9082",
    "--map",
    "reviews:v3=127.0.0.1:9083",
]
KEYS = (
    "virtual_host virtual_service rule rule_name source considered action destinations status flag timeout retries "
    "fault rewrite mirrors redirect"
).split()


def explained(capsys, *arguments):
    code = main(["explain", "-f", BOOKINFO, *MAPS, "-o", "json", *arguments])
    assert code == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def written(tmp_path):
    """Writes YAML and gives its path."""

    def write(text, name="config.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


# ---- JSON


def test_the_keys_are_those_that_scripts_rely_on(capsys):
    said = explained(capsys, "-H", "end-user: jason", URL)
    assert list(said) == KEYS
    assert list(said["considered"][0]) == ["rule", "match", "matched", "reason"]
    assert list(said["destinations"][0]) == ["host", "subset", "port", "weight", "cluster", "endpoints"]
    assert list(said["destinations"][0]["endpoints"][0]) == ["address", "labels"]


def test_a_request_that_matches_the_first_rule(capsys):
    said = explained(capsys, "-H", "end-user: jason", URL)
    assert said["virtual_service"] == "default/reviews"
    assert (said["rule"], said["rule_name"], said["action"]) == (0, "jason", "route")
    assert said["considered"] == [{"rule": 0, "match": 0, "matched": True, "reason": None}]
    (to,) = said["destinations"]
    assert (to["host"], to["subset"], to["port"], to["weight"]) == (
        "reviews.default.svc.cluster.local",
        "v2",
        9080,
        100,
    )
    assert to["endpoints"] == [{"address": "127.0.0.1:9082", "labels": {}}]
    assert said["status"] is None
    source = Path(said["source"]["file"]).read_text().splitlines()[said["source"]["line"] - 1]
    assert source == "  - name: jason"


def test_a_request_that_falls_through_says_why(capsys):
    said = explained(capsys, URL)
    assert said["rule"] == 1
    first, second = said["considered"]
    assert first["reason"].startswith('header end-user: wanted exact "jason", got none (')
    file, _, line = first["reason"].rpartition("(")[2].removesuffix(")").rpartition(":")
    assert Path(file).read_text().splitlines()[int(line) - 1].strip() == "exact: jason"
    assert second == {"rule": 1, "match": None, "matched": True, "reason": None}
    assert [(to["subset"], to["weight"]) for to in said["destinations"]] == [("v1", 90), ("v3", 10)]


def test_a_fault_for_everybody_is_the_answer(capsys):
    said = explained(capsys, "-H", "end-user: tester", "--map", "ratings=127.0.0.1:1", "http://ratings:9080/")
    assert (said["status"], said["flag"]) == (500, "FI")
    assert said["fault"] == {"delay": None, "abort": {"http_status": 500, "percentage": 100.0}}


def test_a_404_is_an_answer_too(capsys):
    said = explained(capsys, "http://nobody/")
    assert (said["status"], said["flag"], said["action"], said["virtual_host"]) == (404, "NR", "none", None)
    assert said["destinations"] == []


def test_everything_else_a_rule_does(capsys, written):
    path = written("""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all}
spec:
  hosts: [all.test]
  http:
  - match: [{uri: {prefix: /old}}]
    redirect: {prefixRewrite: /new, redirectCode: 308}
  - match: [{uri: {exact: /teapot}}]
    directResponse: {status: 418, body: {string: short and stout}}
  - match: [{uri: {prefix: /api}}]
    rewrite: {uri: /v1, authority: inner}
    timeout: 2.5s
    retries: {attempts: 3, perTryTimeout: 500ms, retryOn: "5xx,503"}
    fault: {delay: {fixedDelay: 7s, percentage: {value: 0.5}}}
    mirror: {host: copy.test}
    mirrorPercentage: {value: 20}
    route: [{destination: {host: all.test, port: {number: 8080}}}]
""")

    def ask(url):
        main(["explain", "-f", path, "-o", "json", "--map", "copy.test=127.0.0.1:1", url])
        return json.loads(capsys.readouterr().out)

    moved = ask("http://all.test/old/x?q=1")
    assert moved["redirect"] == {"status": 308, "location": "http://all.test/new/x?q=1"}
    assert (moved["action"], moved["status"]) == ("redirect", 308)
    teapot = ask("http://all.test/teapot")
    assert (teapot["action"], teapot["status"]) == ("direct_response", 418)
    api = ask("http://all.test/api/x")
    assert api["rewrite"] == {"uri": "/v1/x", "authority": "inner"}
    assert api["timeout"] == "2.5s"
    assert api["retries"] == {
        "attempts": 3,
        "retry_on": "5xx,retriable-status-codes,503",
        "per_try_timeout": "500ms",
    }
    assert api["fault"] == {"delay": {"fixed_delay": "7s", "percentage": 0.5}, "abort": None}
    assert [(each["host"], each["percentage"]) for each in api["mirrors"]] == [("copy.test", 20.0)]
    assert (api["status"], api["flag"]) == (503, "NC")
    assert (ask("http://all.test/")["status"], ask("http://all.test/")["flag"]) == (404, "NR")


# ---- the ladder


def test_what_is_changed_for_one_destination_stands_there(capsys, written):
    path = written("""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a.test]
  http:
  - route:
    - destination: {host: a.test, port: {number: 80}}
      weight: 60
      headers: {request: {set: {x-to: "1", host: inner.test}}, response: {remove: [x-gone]}}
    - destination: {host: b.test, port: {number: 80}}
      weight: 40
""")
    assert main(["explain", "-f", path, "http://a.test/"]) == 0
    first, _, second = capsys.readouterr().out.partition("60% to")[2].partition("40% to")
    assert [" ".join(line.split()) for line in first.splitlines()[2:5]] == [
        "host inner.test",
        "request sets x-to: 1",
        "response removes x-gone",
    ]
    assert "x-to" not in second


def test_the_ladder_is_readable_at_80_columns_and_without_colour(capsys):
    assert main(["explain", "-f", BOOKINFO, URL]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert all(len(line) <= 80 or " " not in line.strip() for line in out.splitlines())
    assert "✗ rule 0      jason" in out
    assert "✓ rule 1      canary" in out
    assert "UH: reviews.default.svc.cluster.local has no endpoint on port 9080" in out
    assert "DestinationRule default/reviews" in out


def test_colour_is_for_terminals_that_want_it(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    main(["explain", "-f", BOOKINFO, URL])
    assert "\x1b[31m✗\x1b[0m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    main(["explain", "-f", BOOKINFO, URL])
    assert "\x1b" not in capsys.readouterr().out


# ---- how it is asked


@pytest.mark.parametrize(
    "curl",
    [
        ["curl", "-s", "-H", "end-user: jason", URL],
        ["curl", "-H", "Host: reviews:9080", "-H", "end-user:jason", "http://127.0.0.1:15001/reviews/0"],
        [f"curl -sS \\\n  -H 'end-user: jason' {URL}"],
        ["curl", "-x", "http://127.0.0.1:15001", "-Hend-user: jason", "--resolve", "a:1:b", URL],
    ],
    ids=["plain", "host-header", "one-word", "proxy"],
)
def test_a_pasted_curl_line_works(capsys, curl):
    assert explained(capsys, *curl)["rule_name"] == "jason"


def test_the_environment_can_give_the_flags(capsys, monkeypatch):
    monkeypatch.setenv("MESHPROXY_HEADER", "end-user: jason")
    assert explained(capsys, URL)["rule_name"] == "jason"


GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 8080, name: alt, protocol: HTTP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.test]
  gateways: [gw, mesh]
  http:
  - match: [{port: 8080}]
    directResponse: {status: 201}
  - match: [{gateways: [gw]}]
    directResponse: {status: 202}
  - match: [{sourceLabels: {app: web}}]
    directResponse: {status: 203}
  - match: [{sourceNamespace: elsewhere}]
    directResponse: {status: 205}
  - directResponse: {status: 204}
"""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["http://shop.test/"], 204),
        (["--gateway", "default/gw", "http://shop.test/"], 202),
        (["--gateway", "gw", "http://shop.test/"], 202),
        (["--gateway", "gw", "http://shop.test:8080/"], 201),
        (["--labels", "app=web", "http://shop.test/"], 203),
    ],
)
def test_who_asks_and_where(capsys, written, arguments, status):
    assert main(["explain", "-f", written(GATEWAY), "-o", "json", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == status


def test_what_the_codec_refuses_is_refused_here_too(capsys):
    said = explained(capsys, "-H", "host: a b", URL)
    assert (said["status"], said["flag"], said["action"]) == (400, "DPE", "none")
    assert explained(capsys, "http://reviews:9080/%00")["status"] == 400


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which URL?"),
        (["http://"], "is not a URL"),
        (["ftp://reviews/"], "ftp is not a protocol"),
        (["-H", "no colon", URL], "is not 'name: value'"),
        (["curl", "-H"], "needs a value"),
        (["curl", "-s"], "no URL"),
        (["--gateway", "default/none", URL], "no Gateway default/none"),
        (["--nonsense", URL], "unrecognized arguments"),
    ],
)
def test_bad_usage_is_64_and_says_why(capsys, arguments, said):
    with pytest.raises(SystemExit) as stopped:
        main(["explain", "-f", BOOKINFO, *arguments])
    assert stopped.value.code == 64
    assert said in capsys.readouterr().err


def test_a_configuration_with_an_error_is_65_with_its_line(capsys, written):
    path = written("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hots: [a]}\n")
    assert main(["explain", "-f", path, URL]) == 65
    assert f"{path}:4:8: unknown field" in capsys.readouterr().err


def test_nobody_listens_at_the_admin_address(capsys):
    assert main(["explain", "--admin", "127.0.0.1:1", URL]) == 1
    assert "no answer from an admin port" in capsys.readouterr().err


# ---- connections

STREAM_KEYS = [*KEYS, "cause", "http", "listener", "server_name", "filter_chain"]
PASSTHROUGH, TCP_ECHO, INGRESS, EGRESS = (
    str(ROOT / "config" / name) for name in ("passthrough", "tcp-echo", "ingress-tls", "egress-tls")
)


def of_connection(capsys, config, *arguments):
    assert main(["explain", "-f", config, "-o", "json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_json_of_a_connection_has_the_keys_of_a_request_and_its_own(capsys):
    arguments = ["--map", "nginx=127.0.0.1:1", "--gateway", "passthrough", "tls://nginx.example.com"]
    said = of_connection(capsys, PASSTHROUGH, *arguments)
    assert list(said) == STREAM_KEYS
    assert (said["action"], said["listener"], said["server_name"]) == ("tls", "0.0.0.0_443", "nginx.example.com")
    assert (said["virtual_service"], said["rule"], said["status"]) == ("default/passthrough", 0, None)
    assert said["filter_chain"]["server_names"] == ["nginx.example.com"]
    (to,) = said["destinations"]
    assert (to["host"], to["weight"], to["tls"]) == ("nginx.default.svc.cluster.local", 100, None)
    assert (to["connect_timeout"], to["idle_timeout"]) == ("10s", "3600s")
    assert to["endpoints"] == [{"address": "127.0.0.1:1", "labels": {}}]


def test_a_server_name_that_nobody_has_closes_the_connection(capsys):
    said = of_connection(capsys, PASSTHROUGH, "--gateway", "passthrough", "https://nginx.exampel.com/x")
    assert (said["action"], said["status"], said["flag"]) == ("none", None, "NR")
    assert said["cause"] == "no server is for nginx.exampel.com; did you mean nginx.example.com?"
    first = said["considered"][0]
    assert (first["rule"], first["match"], first["matched"]) == (0, 0, False)
    assert first["reason"].startswith("sniHosts: wanted nginx.example.com, got nginx.exampel.com (")


@pytest.mark.parametrize(
    ("config", "arguments", "action", "status", "flag"),
    [
        (TCP_ECHO, ["--gateway", "tcp-echo-gateway", "tcp://x:31400"], "tcp", None, "NC"),
        (EGRESS, ["-X", "CONNECT", "api.example.com:443"], "connect", 200, None),
        (EGRESS, ["-X", "CONNECT", "api.example.com:80"], "connect", 200, None),
        (EGRESS, ["-X", "CONNECT", "else.example.com:443"], "none", 404, "NR"),
        (EGRESS, ["https://api.example.com/"], "tls", None, None),
        (EGRESS, ["curl", "-s", "https://api.example.com/"], "tls", None, None),
    ],
)
def test_what_becomes_of_connections(capsys, config, arguments, action, status, flag):
    said = of_connection(capsys, config, *arguments)
    assert (said["action"], said["status"], said["flag"]) == (action, status, flag)


def test_https_has_the_filter_chain_beside_the_keys_of_a_request(capsys):
    said = of_connection(capsys, INGRESS, "--gateway", "ingress", "https://helloworld.example.com/")
    assert list(said) == [*KEYS, "listener", "server_name", "filter_chain", "chains"]
    assert (said["action"], said["rule"], said["listener"]) == ("route", 0, "0.0.0.0_443")
    assert [each["matched"] for each in said["chains"]] == [False, True]
    assert said["filter_chain"]["tls"]["client_certificate"] == "REQUIRED"


@pytest.mark.parametrize(
    ("config", "arguments", "lines"),
    [
        (
            PASSTHROUGH,
            ["--gateway", "passthrough", "tls://a.httpd.example.com"],
            ["✗ rule 0", "sniHosts: wanted nginx.example.com, got a.httpd.example.com", "*.httpd.example.com covers"],
        ),
        (
            TCP_ECHO,
            ["--map", "tcp-echo:v1=127.0.0.1:1", "--gateway", "tcp-echo-gateway", "tcp://x:31400"],
            ["80% to", "20% to", "UH: subset v2 selects 0 of 1", "closed after 600s"],
        ),
        (TCP_ECHO, ["--gateway", "tcp-echo-gateway", "tcp://x:31400"], ["closes        the connection, flag NC"]),
        (INGRESS, ["--gateway", "ingress", "https://helloworld.example.com/"], ["✗ server 1", "behind it", "rule 0"]),
        (EGRESS, ["-X", "CONNECT", "api.example.com:443"], ["CONNECT api.example.com:443, then", "200 to the CONNECT"]),
        (EGRESS, ["-X", "CONNECT", "api.example.com:80"], ["HTTP port", "ask for http://api.example.com:80/"]),
    ],
)
def test_the_ladder_of_a_connection_fits_80_columns(capsys, config, arguments, lines):
    assert main(["explain", "-f", config, *arguments]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert all(len(line) <= 80 for line in out.replace(config, "config").splitlines())
    assert [line for line in lines if line not in out] == []


def test_many_chains_that_do_not_take_it_are_counted(capsys, written):
    entries = "".join(
        f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: s{number:02}}}
spec:
  hosts: [s{number:02}.test]
  resolution: STATIC
  ports: [{{number: 443, name: tls, protocol: TLS}}]
  endpoints: [{{address: 10.0.0.1}}]
---"""
        for number in range(30)
    )
    auto = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  servers: [{port: {number: 15443, name: tls, protocol: TLS}, hosts: ["*.test"], tls: {mode: AUTO_PASSTHROUGH}}]
"""
    path = written(entries + auto)
    assert main(["explain", "-f", path, "--gateway", "gw", "tls://outbound_.443_._.s29.test:15443"]) == 0
    out = capsys.readouterr().out
    assert "and 17 more that do not take it" in out
    assert "✓ cluster" in out


def test_other_verbs_speak_of_requests_alone(capsys, written):
    tests = written("tests:\n- name: bytes\n  request: {url: 'tcp://a:1'}\n  expect: {status: 200}\n", "tests.yaml")
    assert main(["test", "-f", BOOKINFO, tests]) == 79
    assert "only explain speaks of connections" in capsys.readouterr().out
