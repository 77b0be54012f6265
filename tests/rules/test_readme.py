"""The README's tables of verbs, flags, exit codes and log operators, held against the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from meshproxy.analysis.codes import CODES
from meshproxy.cli import main
from meshproxy.telemetry.command_operators import OPERATORS
from meshproxy.telemetry.metrics import _HELP

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def section(title: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}$", README, re.MULTILINE)
    assert found, f"the README has no section {title!r}"
    rest = README[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def test_every_verb_has_its_section_and_no_other():
    documented = set(re.findall(r"^### `meshproxy ([^`]+)`$", section("Verbs"), re.MULTILINE))
    verbs = {verb for title in documented for verb in title.split(" | ")}
    assert verbs == set(main._VERBS)


@pytest.mark.parametrize("title", re.findall(r"^### `(meshproxy [^`]+)`$", README, re.MULTILINE))
def test_the_flags_are_those_of_the_command_line(title: str):
    for verb in title.removeprefix("meshproxy ").split(" | "):
        asked = [sys.executable, "-m", "meshproxy", verb, "--help"]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        flags = set(FLAG.findall(said.partition("\nexamples:")[0])) - {"--help"}
        documented = re.findall(r"^\| `[^|]*", section(f"`{title}`"), re.MULTILINE)
        assert {flag for row in documented for flag in FLAG.findall(row)} == flags


def test_exit_codes():
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE)}
    codes = {main.OK, main.FAILURE, main.USAGE, main.CONFIG, main.CANNOT_BIND, main.FINDINGS}
    assert documented == codes


def test_findings():
    documented = dict(re.findall(r"^\| `([A-Z]+\d+)` \| ([A-Z][a-z]+)", section("Findings"), re.MULTILINE))
    assert documented.items() >= {code: entry.level.name.title() for code, entry in CODES.items()}.items()
    sources = "".join(path.read_text() for path in (ROOT / "meshproxy").rglob("*.py"))
    assert set(documented) == set(re.findall(r'"((?:MPX|IST)\d{4})"', sources))


def test_metrics():
    assert set(re.findall(r"`((?:istio|meshproxy)_[a-z_]+)`", section("Metrics"))) == set(_HELP)


def test_access_log_operators():
    documented = set(re.findall(r"`%([A-Z_]+)", section("Access log")))
    assert documented == set(OPERATORS)


def test_every_path_it_links_to_exists():
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", README):
        assert (ROOT / target).exists(), target
