"""The demo as a visitor starts it: real processes, real sockets."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1"}
COMMAND = [sys.executable, "-m", "meshproxy", "demo"]


def test_once_tours_and_ends_well():
    done = subprocess.run([*COMMAND, "--once"], capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 4
    assert "✗" not in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_it_stays_up_until_it_is_interrupted_and_leaves_nothing_behind(number: signal.Signals):
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT, start_new_session=True
    ) as demo:
        assert demo.stdout is not None
        lines: list[str] = []
        for line in demo.stdout:
            lines.append(line)
            if "Requests as they come" in line:
                break
        page = "".join(lines)
        admin = re.search(r"admin +(http://127\.0\.0\.1:\d+)", page)
        config = re.search(r"configuration +(\S+)", page)
        assert admin and config, page
        with urllib.request.urlopen(f"{admin[1]}/ready") as ready:
            assert ready.read().startswith(b"LIVE")
        assert Path(config[1]).is_dir()
        os.killpg(demo.pid, number)  # as a terminal does, the proxy included
        rest = demo.stdout.read()
        assert demo.wait(30) == 0, rest
    assert "Traceback" not in rest
    assert not Path(config[1]).exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)
