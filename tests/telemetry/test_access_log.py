import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.record import ARecord

from meshproxy.telemetry.access_log import AccessLog, compile_format, compile_json, compile_text


def test_istio_s_default_line():
    request_id = b"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2"
    record = ARecord(upstream_fields=[(b"User-Agent", b"curl/8.5.0"), (b"x-request-id", request_id)])
    assert compile_text()(record) == (
        '[2026-01-02T03:04:05.678Z] "GET /reviews/0 HTTP/1.1" 200 - via_upstream - "-" 0 295 7 5 "-" "curl/8.5.0" '
        '"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "reviews:9080" "10.0.0.7:9080" '
        "outbound|9080|v2|reviews.default.svc.cluster.local 10.0.0.2:40000 127.0.0.1:15001 127.0.0.1:50000 - default\n"
    )


def test_a_reply_of_our_own():
    record = ARecord(
        status=503,
        flags="UF,URX",
        details="upstream reset before response started{remote connection failure}",
        transport_failure="delayed connect error: 111",
        upstream_service_time=None,
        original_path=b"/old?a=1",
        route_name="",
    )
    line = compile_text()(record)
    assert (
        '"GET /old?a=1 HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{remote_connection_failure}' in line
    )
    assert '"delayed_connect_error:_111"' in line
    assert line.endswith(" - -\n")


def test_json_has_istio_s_keys_and_envoy_s_types():
    found = json.loads(compile_json()(ARecord()))
    assert len(found) == 24
    numbers = {key for key, value in found.items() if isinstance(value, int)}
    assert numbers == {"response_code", "bytes_received", "bytes_sent", "duration"}
    assert found["start_time"] == "2026-01-02T03:04:05.678Z"
    assert found["response_flags"] == "-"
    assert found["x_forwarded_for"] is None
    assert found["requested_server_name"] is None


def test_ports_are_numbers_in_json():
    made = compile_json({"a": "%DOWNSTREAM_LOCAL_PORT%", "b": "%UPSTREAM_LOCAL_PORT%"})
    assert json.loads(made(ARecord(upstream_local_address=""))) == {"a": 15001, "b": None}


def test_a_json_value_of_several_operators_is_a_string():
    made = compile_json({"a": "%RESPONSE_CODE%", "b": "%RESPONSE_CODE% %REQ(x)%", 'c"': "fixed", "d": ""})
    assert json.loads(made(ARecord())) == {"a": 200, "b": "200 -", 'c"': "fixed", "d": ""}


@given(st.binary(max_size=30).filter(lambda value: b"\n" not in value and b"\r" not in value))
def test_no_header_value_forges_a_line(value: bytes):
    record = ARecord(upstream_fields=[(b"user-agent", value)])
    text = compile_text("%REQ(user-agent)%|")(record)
    assert text.encode("utf-8", "surrogateescape") == value + b"|\n"
    line = compile_json()(record)
    assert line.isascii() and line.count("\n") == 1
    assert json.loads(line)["user_agent"] == value.decode("utf-8", "backslashreplace")


def test_the_flag_s_words_and_formats():
    assert compile_format("text")(ARecord()) == compile_text()(ARecord())
    assert compile_format("json")(ARecord()) == compile_json()(ARecord())
    assert compile_format("%RESPONSE_CODE%")(ARecord()) == "200\n"
    assert compile_format("%RESPONSE_CODE%\n")(ARecord()) == "200\n"
    with pytest.raises(ValueError, match="position 1"):
        compile_format("%X%")


def of_status(path: Path | int) -> AccessLog:
    return AccessLog(path if isinstance(path, int) else str(path), compile_text("%RESPONSE_CODE%"))


def test_lines_are_written_on_flush_and_on_close(tmp_path: Path):
    path = tmp_path / "log"
    log = of_status(path)
    log.log(ARecord())
    assert path.read_text() == ""
    log.flush()
    assert path.read_text() == "200\n"
    log.log(ARecord(status=404))
    log.close()
    assert path.read_text() == "200\n404\n"


def test_a_full_block_is_written_at_once(tmp_path: Path):
    path = tmp_path / "log"
    log = of_status(path)
    for _ in range(AccessLog.BLOCK // 4):
        log.log(ARecord())
    assert path.stat().st_size == AccessLog.BLOCK
    log.close()


def test_after_rotation_lines_go_to_a_new_file(tmp_path: Path):
    path = tmp_path / "log"
    log = of_status(path)
    log.log(ARecord())
    path.rename(tmp_path / "log.1")
    log.log(ARecord(status=404))
    log.reopen()
    log.log(ARecord(status=503))
    log.close()
    assert (tmp_path / "log.1").read_text() == "200\n404\n"
    assert path.read_text() == "503\n"


def test_a_rotation_that_fails_keeps_the_old_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    directory = tmp_path / "d"
    directory.mkdir()
    log = of_status(directory / "log")
    (directory / "log").rename(tmp_path / "log.1")
    directory.rmdir()
    log.reopen()
    log.log(ARecord())
    log.close()
    assert (tmp_path / "log.1").read_text() == "200\n"
    assert "No such file" in capsys.readouterr().err


def test_a_full_disk_reaches_no_request_and_is_said_once(capsys: pytest.CaptureFixture[str]):
    log = of_status(Path("/dev/full"))
    for _ in range(3):
        log.log(ARecord())
        log.flush()
    log.close()
    assert log.dropped == 3
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_reader_that_went_away_reaches_no_request(capsys: pytest.CaptureFixture[str]):
    reader, writer = os.pipe()
    os.close(reader)
    log = of_status(writer)
    log.log(ARecord())
    log.close()
    os.close(writer)
    assert log.dropped == 1
    assert "Broken pipe" in capsys.readouterr().err


def test_a_reader_that_sleeps_blocks_nobody_and_gets_whole_lines():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    log = of_status(writer)
    total = AccessLog.BACKLOG // 2  # lines: twice the backlog
    for _ in range(total):
        log.log(ARecord())
    log.flush()
    assert 0 < log.dropped < total
    os.set_blocking(reader, False)
    received = b""
    while log._rest:
        received += os.read(reader, 1 << 20)
        log.flush()
    log.close()
    os.close(writer)
    while more := os.read(reader, 1 << 20):
        received += more
    os.close(reader)
    assert set(received.split(b"\n")) == {b"200", b""}
    assert received.count(b"\n") + log.dropped == total


def test_standard_output_that_is_a_pipe_does_not_block_and_stays_blocking_for_others():
    script = (
        "import os; from support.record import ARecord; from meshproxy.telemetry.access_log import *\n"
        "log = AccessLog('-', compile_text('%RESPONSE_CODE%'))\n"
        "log.log(ARecord()); log.close(); print(os.get_blocking(1), flush=True)"
    )
    path = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": path}, capture_output=True, check=True)
    assert done.stdout == b"200\nTrue\n"
