"""The image, CI and make: what can be held without a Docker engine."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from meshproxy.cli import options

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def final_stage() -> list[tuple[str, str]]:
    found = instructions()
    return found[max(index for index, (word, _) in enumerate(found) if word == "FROM") :]


def value(word: str) -> str:
    (found,) = [rest for name, rest in final_stage() if name == word]
    return found


def test_the_image_runs_as_istio_s_proxy_user_and_drains_on_stop():
    assert value("USER") == "1337:1337"
    assert value("STOPSIGNAL") == "SIGTERM"


def test_the_image_serves_etc_meshproxy_on_all_interfaces():
    entry = json.loads(value("ENTRYPOINT"))
    assert entry[:2] == ["meshproxy", "run"]
    assert entry[entry.index("--config") + 1] == options.DEFAULT_CONFIG == value("VOLUME")
    assert entry[entry.index("--listen") + 1] == "0.0.0.0:15001"


def test_the_image_asks_the_admin_port_whether_it_is_ready():
    assert "http://127.0.0.1:15000/ready" in value("HEALTHCHECK")
    command = json.loads(value("HEALTHCHECK").partition("CMD ")[2])
    compile(command[2], "healthcheck", "exec")


def test_what_the_image_copies_is_there_and_not_ignored():
    allowed = set(re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")]
    for path in (name for names in copied for name in names):
        assert (ROOT / path).exists()
        assert path in allowed


def test_the_image_installs_no_test_or_lint_tool():
    assert all(".[" not in rest for word, rest in instructions() if word == "RUN")


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench", "oracle", "clean"])
def test_make_has_the_target(target: str):
    if not shutil.which("make"):
        pytest.skip("make is not on this machine")
    subprocess.run(["make", "--dry-run", "--silent", target], cwd=ROOT, check=True, capture_output=True)


def test_every_extra_that_make_installs_exists():
    used = set(re.findall(r"\$\(VENV\)/\.(\w+)", (ROOT / "Makefile").read_text())) - {"run"}
    assert used <= set(PROJECT["project"]["optional-dependencies"])


def test_ci_makes_the_tests_and_the_linters():
    script = (ROOT / ".ci" / "run").read_text()
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    assert "make --no-print-directory lint" in script
    assert "make --no-print-directory test" in script
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert lint is not None
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports"):
        assert tool in lint[1]
    assert PROJECT["tool"]["mypy"]["strict"] is True


def test_the_examples_are_what_the_package_serves():
    packaged = ROOT / "meshproxy" / "cli" / "demo" / "bookinfo"
    shown = ROOT / "config" / "bookinfo"
    assert {path.name: path.read_bytes() for path in shown.iterdir()} == {
        path.name: path.read_bytes() for path in packaged.iterdir()
    }
