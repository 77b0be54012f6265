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
