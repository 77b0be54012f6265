"""Each combination of actions that makes no sense is named by `check` at its line, and each action that does is shown
by `routes -o json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.plans import REVIEWS, virtual_service

from meshproxy.cli import check, tables

TO = "route: [{destination: {host: reviews}}]"
REDIRECT, DIRECT = "redirect: {uri: /b}", "directResponse: {status: 200}"
FAULT = "fault: {abort: {httpStatus: 500, percentage: {value: 1}}}"
REWRITE = "rewrite: {uri: /b}"
#: a rule, one field a line; the line that is wrong begins with `!`
WRONG = {
    "redirect and route": [REDIRECT, f"!{TO}"],
    "redirect and fault": [REDIRECT, f"!{FAULT}"],
    "redirect and rewrite": [REDIRECT, f"!{REWRITE}"],
    "redirect and direct response": [REDIRECT, f"!{DIRECT}"],
    "direct response and route": [DIRECT, f"!{TO}"],
    "direct response and fault": [DIRECT, f"!{FAULT}"],
    "direct response and rewrite": [DIRECT, f"!{REWRITE}"],
    "no action": ["!name: a", "timeout: 1s"],
    "mirror and mirrors": [TO, "mirror: {host: reviews}", "!mirrors: [{destination: {host: reviews}}]"],
    "delegate and route": ["delegate: {name: x}", f"!{TO}"],
    "delegate and redirect": ["delegate: {name: x}", f"!{REDIRECT}"],
    "rewrite of both kinds": [TO, "!rewrite: {uri: /b, uriRegexRewrite: {match: a, rewrite: b}}"],
    "redirect to a path and a prefix": ["match: [{uri: {prefix: /a}}]", "!redirect: {uri: /b, prefixRewrite: /c}"],
    "prefix redirect of an exact path": ["!match: [{uri: {exact: /a}}]", "redirect: {prefixRewrite: /c}"],
    "no attempts with a time per try": [TO, "!retries: {attempts: 0, perTryTimeout: 1s}"],
    "an unknown condition": [TO, "!retries: {attempts: 1, retryOn: 5XX}"],
    "weights of 0": ["!route: [{destination: {host: reviews}}, {destination: {host: reviews}}]"],
    "two sources of the Host": [TO, "rewrite: {authority: a}", "!headers: {request: {set: {Host: b}}}"],
    "a response that sets Host": [TO, "!headers: {response: {set: {Host: b}}}"],
    "an empty fault": [TO, "!fault: {}"],
    "an abort of two kinds": [TO, "!fault: {abort: {httpStatus: 500, grpcStatus: OK, percentage: {value: 1}}}"],
    "fractions of a second": [TO, "!corsPolicy: {maxAge: 1.5s}"],
    "a method that is none": [TO, "!corsPolicy: {allowMethods: [get]}"],
    "a share beyond all": [TO, "!mirrors: [{destination: {host: reviews}, percentage: {value: 101}}]"],
    "a redirect without an aim": ["!redirect: {redirectCode: 302}"],
}


def found_by_check(tmp_path: Path, capsys: pytest.CaptureFixture[str], *texts: str) -> list[dict[str, Any]]:
    config = tmp_path / "config.yaml"
    config.write_text("\n---\n".join(texts))
    check.main(["-o", "json", str(config)])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return [each for each in found if each["kind"] == "VirtualService"]


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
def test_check_names_the_line_of(fields: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [("- " if index == 0 else "  ") + field.removeprefix("!") for index, field in enumerate(fields)]
    text = virtual_service("\n".join(lines))
    first = text[: text.index("  http:\n")].count("\n") + 2
    (wanted,) = [first + index for index, field in enumerate(fields) if field.startswith("!")]
    errors = [each for each in found_by_check(tmp_path, capsys, text, REVIEWS) if each["level"] == "error"]
    assert [each["line"] for each in errors] == [wanted], errors


LEAF = "match: [{uri: {prefix: /a/b}}, {uri: {exact: /a/c}}]"
DELEGATION = {
    "nobody there": ("delegate: {name: none}", LEAF, 9),
    "not for this namespace": ("delegate: {name: leaf, namespace: other}", LEAF, 9),
    "matches that cannot both hold": ("match: [{uri: {prefix: /z}}]\n  delegate: {name: leaf}", LEAF, None),
}


@pytest.mark.parametrize(("root", "leaf", "line"), DELEGATION.values(), ids=DELEGATION)
def test_check_names_what_cannot_be_delegated(
    root: str, leaf: str, line: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    delegating = virtual_service(f"- {root}")
    delegate = virtual_service(f"- {leaf}\n  {TO}", name="leaf", hosts="[]").replace("  hosts: []\n", "")
    found = [each for each in found_by_check(tmp_path, capsys, delegating, delegate, REVIEWS) if "MPX" in each["code"]]
    assert len(found) == 1, found
    if line is not None:
        assert found[0]["line"] == delegating[: delegating.index("delegate:")].count("\n") + 1


def test_every_action_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = f"""
- name: all
  match: [{{uri: {{prefix: /a}}}}]
  {TO}
  rewrite: {{uri: /b, authority: c.test}}
  timeout: 3s
  retries: {{attempts: 4, perTryTimeout: 1s, retryOn: "503,reset", backoff: 5ms}}
  fault: {{delay: {{fixedDelay: 1s, percentage: {{value: 1}}}}, abort: {{httpStatus: 418, percentage: {{value: 2}}}}}}
  mirrors: [{{destination: {{host: mirrored.test}}, percentage: {{value: 3}}}}]
  corsPolicy: {{allowOrigins: [{{exact: "http://o.test"}}], allowMethods: [PATCH], maxAge: 7s}}
  headers: {{request: {{set: {{x-set: "%REQ(x)%"}}, remove: [x-gone]}}, response: {{add: {{x-added: w}}}}}}
- match: [{{uri: {{prefix: /r}}}}]
  redirect: {{prefixRewrite: /q, redirectCode: 307, port: 8443}}
- directResponse: {{status: 222, body: {{string: here}}}}
"""
    config = tmp_path / "config.yaml"
    config.write_text("\n---\n".join((virtual_service(rule), REVIEWS)))
    assert tables.main(["routes", "-f", str(config), "-o", "json"]) == 0
    shown = capsys.readouterr().out
    (host,) = [each for each in json.loads(shown)[0]["virtual_hosts"] if "reviews" in each["domains"]]
    forwarded, redirected, answered = host["routes"]
    wanted = {"prefix": "/a", "path": "/b", "authority": "c.test"}
    assert wanted.items() <= forwarded["rewrite"].items()
    assert forwarded["timeout"] == 3
    assert (forwarded["retry"]["attempts"], forwarded["retry"]["per_try_timeout"]) == (4, 1)
    assert (forwarded["retry"]["statuses"], forwarded["retry"]["base"]) == ([503], 0.005)
    assert (forwarded["fault"]["delay_share"], forwarded["fault"]["abort_status"]) == (10_000, 418)
    assert (forwarded["mirrors"][0]["host"], forwarded["mirrors"][0]["share"]) == ("mirrored.test", 30_000)
    assert (forwarded["cors"]["methods"], forwarded["cors"]["max_age"]) == ("PATCH", 7)
    assert forwarded["request_headers"] == {"remove": ["x-gone"], "set": [{"name": "x-set", "value": "%REQ(x)%"}]}
    assert forwarded["response_headers"] == {"add": [{"name": "x-added", "value": "w"}]}
    assert redirected["action"]["redirect"]["prefix_rewrite"] == "/q"
    assert (redirected["action"]["redirect"]["status"], redirected["action"]["redirect"]["port"]) == (307, 8443)
    assert answered["action"]["direct_response"] == {"status": 222, "body": "here"}
