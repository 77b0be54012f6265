"""Verbs, exit codes, environment twins."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

import pytest

from meshproxy import __version__
from meshproxy.cli.main import main
from meshproxy.cli.options import Parser, add_config, add_workload, color, config_paths

_HEAVY = ("aiohttp", "yaml", "meshproxy.model", "meshproxy.compiler", "meshproxy.analysis")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser("test", "A verb.")
    add_config(parser)
    add_workload(parser)
    parser.add_argument("--drain-time", default="5s")
    parser.add_argument("--privileged-ports", action="store_true")
    return parser.parse_args(argv)


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == main(["--version"]) == 0
    assert capsys.readouterr().out == f"meshproxy {__version__}\n" * 2


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    verbs = ("run", "check", "routes", "clusters", "endpoints", "listeners", "demo", "version")
    assert all(f"\n  {verb} " in out for verb in verbs)


@pytest.mark.parametrize("argv", [[], ["serve"], ["--frobnicate"]])
def test_no_such_verb_is_bad_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 64
    assert "usage: meshproxy VERB" in capsys.readouterr().err


def test_bad_flags_are_bad_usage() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["version", "--frobnicate"])
    assert ended.value.code == 64


def test_a_flag_not_given_is_taken_from_its_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHPROXY_DRAIN_TIME", "7s")
    monkeypatch.setenv("MESHPROXY_LABELS", "app=a,version=v1")
    monkeypatch.setenv("MESHPROXY_PRIVILEGED_PORTS", "true")
    monkeypatch.setenv("MESHPROXY_CONFIG", "one:two")
    args = _parse([])
    assert args.drain_time == "7s"
    assert args.labels == (("app", "a"), ("version", "v1"))
    assert args.privileged_ports is True
    assert config_paths(args) == ("one", "two")


def test_a_flag_beats_its_twin_even_with_the_default_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHPROXY_DRAIN_TIME", "7s")
    monkeypatch.setenv("MESHPROXY_CONFIG", "one")
    args = _parse(["--drain-time", "5s", "-f", "two"])
    assert args.drain_time == "5s"
    assert config_paths(args) == ("two",)


def test_a_bad_twin_is_bad_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHPROXY_LABELS", "app")
    with pytest.raises(SystemExit) as ended:
        _parse([])
    assert ended.value.code == 64


def test_no_color_and_no_terminal_turn_colour_off(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert color(Terminal())
    assert not color(object())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not color(Terminal())


def test_what_serves_loads_nothing_that_only_reads_configuration() -> None:
    parts = ("cli.run", "admin.server", "control.service", "control.data_plane", "control.supervisor")
    code = "".join(f"import meshproxy.{part}\n" for part in parts) + "import sys, watchfiles\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not set(_HEAVY) & set(loaded)
    assert not [module for module in loaded if module.startswith("anyio._backends")]


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "meshproxy", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0
