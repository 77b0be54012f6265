"""What the export leaves out it says, with the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.plans import API

from meshproxy.cli import export

GATEWAY = f"""{API}
kind: Gateway
metadata: {{name: gw}}
spec:
  servers:
  - port: {{number: 9000, name: tcp, protocol: TCP}}
    hosts: [a.test]
---
{API}
kind: VirtualService
metadata: {{name: a}}
spec:
  hosts: [a.test]
  gateways: [gw]
  tcp: [{{route: [{{destination: {{host: a.test, port: {{number: 9000}}}}}}]}}]
"""


def test_a_tcp_route_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(GATEWAY)
    assert export.main(["-f", str(config), "-o", "json"]) == 0
    said = capsys.readouterr()
    assert "not exported: a TCP or TLS route" in said.err
    assert said.err.startswith(f"{config}:")
    assert '"0.0.0.0_9000"' not in said.out


def test_a_plain_configuration_leaves_nothing_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{name: http, port: 80}]}\n")
    assert export.main(["-f", str(config)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith("admin:")
