"""`meshproxy check`: what it prints, and how it exits."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from meshproxy.cli.check import main

SAMPLES = Path(__file__).parents[1] / "samples"
SERVICES = SAMPLES / "bookinfo__platform__kube__bookinfo.yaml"
RULES = SAMPLES / "bookinfo__networking__destination-rule-all.yaml"
BOOKINFO = sorted(SAMPLES.glob("bookinfo__networking__*.yaml"))

WRONG = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
  - route:
    - destination:
        host: reveiws
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: reviews
spec:
  ports:
  - name: http
    port: 9080
"""

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes files into the current directory and gives their names."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "reviews.yaml") -> str:
        (tmp_path / name).write_text(text)
        return name

    return write


def test_a_finding_says_what_where_and_what_was_meant(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(WRONG), write(SERVICE, "services.yaml")]) == 79
    shown = capsys.readouterr()
    assert shown.out == (
        "Error [IST0101] (VirtualService default/reviews reviews.yaml:11) Referenced host not found: "
        '"reveiws", that is "reveiws.default.svc.cluster.local"; did you mean "reviews"?\n'
        "   11 |         host: reveiws\n"
        "      |               ^\n"
    )
    assert shown.err == "1 error in 2 files\n"


def test_of_a_long_line_the_part_with_the_finding_is_shown(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    many = ", ".join(f"{{name: http-{n}, port: {n}}}" for n in range(1, 40))
    spec = f"spec: {{ports: [{many}, {{name: web, port: 80}}]}}"
    main([write(f"apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\n{spec}\n")])
    _, excerpt, caret = capsys.readouterr().out.splitlines()
    assert len(excerpt) < 140
    assert excerpt[caret.index("^") :].startswith("web")


def test_nothing_wrong_is_silent_and_exits_0(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(WRONG.replace("reveiws", "reviews")), write(SERVICE, "services.yaml")]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "no findings in 2 files\n")


DEPLOYMENTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: d}
"""


def test_kinds_that_are_not_read_are_counted_and_those_of_the_mesh_are_findings(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(DEPLOYMENTS)]) == 0
    shown = capsys.readouterr()
    assert "EnvoyFilter default/d" in shown.out
    assert shown.err.endswith(" in 1 file; skipped: 2 Deployment, 1 ConfigMap\n")
    assert main(["-o", "json", write(DEPLOYMENTS)]) == 0
    shown = capsys.readouterr()
    assert [finding["kind"] for finding in json.loads(shown.out)] == ["EnvoyFilter"]
    assert shown.err == ""


def test_json_has_the_keys_of_the_contract(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-o", "json", write(WRONG), write(SERVICE, "services.yaml")]) == 79
    (finding,) = json.loads(capsys.readouterr().out)
    assert finding.pop("message").startswith("Referenced host not found")
    assert finding == {
        "code": "IST0101",
        "level": "error",
        "kind": "VirtualService",
        "namespace": "default",
        "name": "reviews",
        "file": "reviews.yaml",
        "line": 11,
        "column": 15,
        "path": "spec.http[0].route[0].destination.host",
    }


def test_json_without_findings_is_an_empty_list(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-o", "json", write(SERVICE)]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_github_annotations_are_escaped(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-o", "github", write(WRONG, "a,b%.yaml"), write(SERVICE, "services.yaml")]) == 79
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        "::error file=a%2Cb%25.yaml,line=11,col=15,title=IST0101 ReferencedResourceNotFound::"
        "VirtualService default/reviews: Referenced host not found"
    )


@pytest.mark.parametrize(("threshold", "code"), [("error", 0), ("warning", 0), ("info", 79)])
def test_the_threshold_decides_from_which_level_on_79(write: Write, threshold: str, code: int) -> None:
    assert main([f"--failure-threshold={threshold}", write(SERVICE.replace("name: http", "name: web"))]) == code


def test_a_schema_error_is_a_finding(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(WRONG.replace("http:", "htpp:"))]) == 79
    assert "[IST0106]" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["a: }", "a: b: c", "\t- x"])
def test_what_is_no_yaml_exits_65(write: Write, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(text), write(SERVICE, "services.yaml")]) == 65
    assert "Error [MPX0003] (reviews.yaml:1)" in capsys.readouterr().out


def test_a_file_that_is_not_there_exits_65(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(SERVICE), "nowhere.yaml"]) == 65
    assert "nowhere.yaml" in capsys.readouterr().out


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{WRONG}---\n{SERVICE}".encode())))
    assert main(["-"]) == 79
    assert "reviews -:11)" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["-o", "xml", "a.yaml"], ["--failure-threshold", "fatal", "a.yaml"]])
def test_bad_usage_exits_64(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(argv)
    assert exit.value.code == 64


@pytest.mark.parametrize("sample", BOOKINFO, ids=lambda path: path.stem.removeprefix("bookinfo__networking__"))
def test_bookinfo_raises_no_error_beside_its_services_and_subsets(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["-o", "json", str(SERVICES), str(RULES), str(sample)])
    errors = {(f["code"], f["message"]) for f in json.loads(capsys.readouterr().out) if f["level"] == "error"}
    missing = {message.split('"')[1] for _, message in errors}
    assert {code for code, _ in errors} <= {"IST0101"}
    # what these samples name is in files of other samples
    assert missing <= {"cert-manager-resolver", "ratings+v2-mysql", "ratings+v2-mysql-vm"}


def test_a_thousand_resources_are_checked(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    written = [f"{WRONG}---\n{SERVICE}".replace("reveiws", "reviews").replace("reviews", f"r{n}") for n in range(500)]
    assert main([write("---\n".join(written))]) == 0
    assert capsys.readouterr().err == "no findings in 1 file\n"
