"""`meshproxy test`: our files and istio-config-validator's, matrices, coverage, forms of output, errors with lines."""

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from meshproxy.cli.main import main

ROOT = Path(__file__).parents[2]
BOOKINFO = str(ROOT / "config" / "bookinfo")


@pytest.fixture
def run(tmp_path, capsys):
    """Runs `meshproxy test` on the text of a file; gives exit code, stdout, stderr."""

    def run(text, *arguments, config=BOOKINFO):
        path = tmp_path / "routes.yaml"
        path.write_text(text)
        if "\n" in config:
            (tmp_path / "config.yaml").write_text(config)
            config = str(tmp_path / "config.yaml")
        code = main(["test", "-f", config, *arguments, str(path)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err.replace(str(tmp_path) + "/", "")

    return run


def case(expect, request="{url: 'http://reviews:9080/reviews/0'}"):
    return f"tests:\n- name: a case\n  request: {request}\n  expect: {expect}\n"


# ---- expectations

RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all}
spec:
  hosts: [all.test]
  http:
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new, redirectCode: 308}
  - match: [{uri: {exact: /teapot}}]
    directResponse: {status: 418, body: {string: short}}
  - name: api
    match: [{uri: {prefix: /api}}]
    rewrite: {uri: /v1, authority: inner}
    timeout: 2.5s
    retries: {attempts: 3, perTryTimeout: 500ms, retryOn: "5xx,reset"}
    fault: {delay: {fixedDelay: 7s, percentage: {value: 0.5}}, abort: {httpStatus: 503, percentage: {value: 5}}}
    mirror: {host: copy.test}
    mirrorPercentage: {value: 20}
    headers: {request: {set: {x-a: "1"}, remove: [x-b]}}
    route:
    - {destination: {host: all.test, port: {number: 80}}, weight: 3}
    - {destination: {host: other.test, port: {number: 81}, subset: v2}, weight: 1}
"""
API = "{host: all.test, path: /api/x}"


@pytest.mark.parametrize(
    ("request_", "good", "bad"),
    [
        ("{host: all.test, path: /old}", "redirect: {status: 308}", "redirect: {status: 301}"),
        ("{host: all.test, path: /old}", "redirect: {location: 'http://all.test/new'}", "redirect: {location: /new}"),
        ("{host: all.test, path: /old}", "status: 308", "status: 200"),
        ("{host: all.test, path: /teapot}", "directResponse: {status: 418, body: short}", "directResponse: {body: x}"),
        ("{host: all.test, path: /teapot}", "rule: 1", "rule: 0"),
        (API, "rule: api", "rule: apis"),
        (API, "virtualService: default/all", "virtualService: default/al"),
        (API, "virtualService: all", "virtualService: other/all"),
        (API, "rewrite: {uri: /v1/x}", "rewrite: {uri: /api/x}"),
        (API, "rewrite: {authority: inner}", "rewrite: {}"),
        (API, "timeout: 2.5s", "timeout: 2s"),
        (API, "timeout: 2500ms", "timeout: 0s"),
        (API, "retries: {attempts: 3, retryOn: 'reset,5xx'}", "retries: {attempts: 2}"),
        (API, "retries: {perTryTimeout: 0.5s}", "retries: {attempts: 0}"),
        (API, "fault: {delay: {fixedDelay: 7s}}", "fault: {delay: {fixedDelay: 6s}}"),
        (API, "fault: {abort: {httpStatus: 503, percentage: 5}}", "fault: {}"),
        (API, "mirrors: [{host: copy.test, percentage: 20}]", "mirrors: []"),
        (API, "headers: {request: {set: {x-a: '1'}, remove: [x-b]}}", "headers: {request: {set: {x-a: '2'}}}"),
        (
            API,
            "destinations: [{host: other.test, subset: v2, weight: 1}, {host: all.test, weight: 3}]",
            "destinations: [{host: other.test}]",
        ),
        (
            API,
            "destinations: [{host: all.test, port: 80}, {host: other.test, port: 81}]",
            "destination: {host: all.test}",
        ),
        ("{host: all.test, path: /none}", "{status: 404, flag: NR}", "flag: UH"),
        (API, "{status: 503, flag: NC}", "flag: NR"),
        ("{url: 'http://nobody/'}", "destinations: []", "destination: {host: x.test}"),
    ],
)
def test_each_expectation_holds_and_fails(run, request_, good, bad):
    for expect, code in ((good, 0), (bad, 79)):
        text = case(expect if expect.startswith("{") else "{" + expect + "}", request_)
        got, out, err = run(text, config=RULES)
        assert got == code, f"{expect}\n{out}{err}"


def test_a_failed_case_says_what_was_wanted_and_prints_its_ladder(run):
    code, out, _ = run(
        case("{destination: {host: reviews, subset: v1}}", "{host: reviews, headers: {end-user: jason}}")
    )
    assert code == 79
    assert "✗ a case" in out
    wanted, got = "reviews.default.svc.cluster.local, subset v1", "reviews.default.svc.cluster.local, subset v2"
    assert f"destination: wanted {wanted}, got {got}" in out
    assert "    | ✓ rule 0      jason" in out


def test_a_matrix_is_all_its_combinations(run):
    text = """
tests:
- name: ${user} on ${path} sees ${subset}
  matrix: {user: [jason], path: [/a, /b], subset: [v2], port: [9080]}
  request: {host: reviews, port: "${port}", path: "${path}", headers: {end-user: "${user}"}}
  expect: {destination: {host: reviews, subset: "${subset}", port: "${port}"}}
"""
    code, out, err = run(text)
    assert (code, err) == (0, "")
    assert "✓ jason on /a sees v2 [port=9080]" in out
    assert "✓ jason on /b sees v2 [port=9080]" in out
    assert "2 cases, none failed" in out


def test_who_asks_can_differ_from_case_to_case(run):
    config = RULES.replace("- match: [{uri: {prefix: /old}}]", "- match: [{sourceLabels: {app: web}}]")
    text = case("{status: 308}", "{host: all.test, labels: {app: web}}")
    assert run(text, config=config)[0] == 0
    assert run(case("{status: 404}", "{host: all.test}"), config=config)[0] == 0
    assert run(case("{status: 308}", "{host: all.test}"), "--labels", "app=web", config=config)[0] == 0


def test_a_case_can_be_a_curl_line(run):
    text = case("{rule: jason}", "{curl: \"curl -s -H 'end-user: jason' http://reviews:9080/\"}")
    assert run(text)[0] == 0


# ---- files that are wrong


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests:\n- name: a\n  requests: {}\n", 'routes.yaml:3:3: unknown field "requests"'),
        (case("{destinaton: {host: a}}"), 'routes.yaml:4:12: unknown field "destinaton" in Expect; did you mean'),
        (case("{}"), "a case without expectations tests nothing"),
        (case("{status: 404}", "{host: a, url: 'http://b/'}"), "one of url, host and curl"),
        (case("{status: 404}", "{url: 'http://b/', path: /x}"), "path goes with host"),
        (case("{status: x}"), "expected a whole number"),
        (case("{rule: '${nope}'}"), "${nope} is not in the matrix"),
        ("tests:\n- name: a\n  matrix: {a: b}\n  request: {host: a}\n  expect: {status: 404}\n", "a list of words"),
        ("test: []\n", 'routes.yaml:1:1: unknown field "test"'),
        ("[]\n", "expected a mapping"),
        ("tests: [\n", "not valid YAML"),
        (case("{status: 404}", "{url: 'no url'}"), "is not a URL"),
        ("testCases:\n- wantMtch: true\n", 'routes.yaml:2:3: unknown field "wantMtch" in ValidatorCase; did you mean'),
    ],
)
def test_a_wrong_file_is_65_with_the_line(run, text, said):
    code, out, err = run(text)
    assert (code, out) == (65, "")
    assert said in err


def test_a_file_that_is_not_there_is_65(capsys):
    assert main(["test", "-f", BOOKINFO, "/nowhere.yaml"]) == 65
    assert "/nowhere.yaml:1:1: " in capsys.readouterr().err


# ---- istio-config-validator

VALIDATED = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  gateways: [istio-system/public]
  hosts: [shop.example, www.shop.example]
  http:
  - match: [{uri: {regex: "/items(/.*)?"}}]
    route: [{destination: {host: items.shop.svc.cluster.local, port: {number: 80}}}]
    headers: {request: {set: {x-team: items}}}
  - match: [{uri: {prefix: /pay}, method: {regex: "(GET|OPTIONS)"}}]
    route: [{destination: {host: pay.shop.svc.cluster.local}}]
    rewrite: {uri: /payment}
    fault: {abort: {percentage: {value: 100}, httpStatus: 403}}
  - match: [{uri: {prefix: /home}}]
    redirect: {uri: /, authority: www.shop.example}
  - match: [{uri: {prefix: /away}}]
    delegate: {name: away, namespace: shop}
  - route: [{destination: {host: rest.shop.svc.cluster.local}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: away, namespace: shop}
spec:
  http:
  - route: [{destination: {host: away.shop.svc.cluster.local}}]
"""
REQUEST = "request: {authority: [shop.example, www.shop.example], method: [GET, OPTIONS], uri: [%s]}"
ITEMS = "route: [{destination: {host: items.shop.svc.cluster.local, port: {number: 80}}}]"


@pytest.mark.parametrize(
    ("uri", "want"),
    [
        ("/items, /items/7", ITEMS),
        ("/items", "headers: {request: {set: {x-team: items}}}"),
        ("/pay", "route: [{destination: {host: pay.shop.svc.cluster.local}}]"),
        ("/pay", "rewrite: {uri: /payment}"),
        ("/pay", "fault: {abort: {percentage: {value: 100}, httpStatus: 403}}"),
        ("/home", "redirect: {uri: /, authority: www.shop.example}"),
        ("/away", "delegate: {name: away}"),
        ("/away", "route: [{destination: {host: away.shop.svc.cluster.local}}]"),
    ],
)
def test_istio_config_validator_s_cases_are_read_as_they_are(run, uri, want):
    lines = [REQUEST % uri, want]
    for match, code in (("true", 0), ("false", 79)):
        text = "testCases:\n- description: a case\n" + "".join(
            f"  {each}\n" for each in (f"wantMatch: {match}", *lines)
        )
        got, out, err = run(text, config=VALIDATED)
        assert got == code, out + err
        assert "Gateway istio-system/public is not in these files" in err
    elsewhere = "testCases:\n- {description: b, wantMatch: false, " + f"{REQUEST % '/other'}, {want}}}\n"
    assert run(elsewhere, config=VALIDATED)[0] == 0


# ---- coverage


def test_what_no_case_reached_is_named_with_what_no_case_had(run):
    code, out, _ = run(case("{rule: canary}"))
    assert code == 0
    assert "25.0% of the rules reached (1/4)" in out
    assert "not reached: default/reviews rule 0 (jason), match 0" in out
    assert 'no case has header end-user exact "jason"' in out
    ratings = out.partition("default/ratings rule 0")[2].partition("not reached")[0]
    assert ratings.endswith("no case asks for its host\n  ")
    assert "1 case, none failed" in out


def test_fail_under_is_79(run):
    text = case("{rule: canary}")
    assert run(text, "--fail-under", "25")[0] == 0
    code, _, err = run(text, "--fail-under", "25.1")
    assert code == 79
    assert "only 25.0% of the rules reached" in err


def test_a_delegate_s_rule_is_reached_through_its_root(run):
    _, out, _ = run(
        case("{status: 503}", "{host: shop.example, path: /away, gateway: istio-system/public}"), config=VALIDATED
    )
    assert "not reached: shop/away" not in out


# ---- forms


def test_junit_has_a_case_for_each_and_the_ladder_of_a_failure(run):
    text = case("{rule: canary}") + "- {name: 'b <&>', request: {host: reviews}, expect: {rule: jason}}\n"
    code, out, _ = run(text, "-o", "junit")
    assert code == 79
    suites = ElementTree.fromstring(out)
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    good, bad = suites.iter("testcase")
    assert (good.get("name"), good.find("failure")) == ("a case", None)
    assert bad.get("name") == "b <&>"
    assert "✓ rule 1" in bad.find("failure").text
    assert "wanted jason, got canary" in bad.find("failure").get("message")


def test_github_annotates_the_expectation(run, tmp_path):
    code, out, _ = run(case("{rule: jason}"), "-o", "github")
    assert code == 79
    assert out.startswith(f"::error file={tmp_path}/routes.yaml,line=4,title=a case::")
    assert "%0A" in out
    assert "::notice file=" in out


def test_the_readme_s_examples_do_what_it_says(run):
    readme = (ROOT / "README.md").read_text()
    tour, reference = (part.partition("```")[0] for part in readme.split("```yaml\ntests:")[1:])
    code, said, _ = run("tests:" + tour)
    assert (code, "✓ jason sees v2" in said, "✗ half of everyone else" in said) == (79, True, True)
    assert run("tests:" + reference)[0] == 0


def test_help_has_examples():
    import sys

    said = subprocess.run(
        [sys.executable, "-m", "meshproxy", "test", "--help"], capture_output=True, text=True, check=True
    )
    assert "examples:" in said.stdout
