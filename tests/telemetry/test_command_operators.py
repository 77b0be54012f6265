import re
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.record import ARecord, get

from meshproxy.telemetry.access_log import compile_text
from meshproxy.telemetry.command_operators import OPERATORS, Need, Operator, parse, value_of
from meshproxy.telemetry.record import Record


def line(template: str, record: Record) -> str:
    return compile_text(template).__call__(record).removesuffix("\n")


def test_a_format_is_literals_and_operators_in_turn():
    assert parse("a %PROTOCOL% 100%% %REQ(X?Y):7%") == (
        "a ",
        Operator("PROTOCOL", position=2),
        " 100% ",
        Operator("REQ", "X?Y", 7, 19),
    )


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("ab %NOPE%", "position 4: %NOPE% is not an operator known here"),
        ("%RESPONSE_FLAG%", "did you mean %RESPONSE_FLAGS%?"),
        ("100 %", "position 5: no operator begins with '%'"),
        ("%REQ(X", "position 1: no operator begins"),
        ("%protocol%", "position 1: no operator begins"),
        ("%REQ%", "%REQ% needs an argument"),
        ("%REQ()%", "%REQ% needs an argument"),
        ("%PROTOCOL(x)%", "%PROTOCOL% takes no argument"),
        ("%PROTOCOL:3%", "%PROTOCOL% takes no length"),
        ("  %REQ(a?b?c)%", "position 3: %REQ%: only one alternative header is allowed"),
        ("%REQ(a b)%", "not a header name"),
        ("%START_TIME(%Q)%", "%START_TIME%: not a time format: '%Q'"),
        ("%START_TIME(a\nb)%", "no line end"),
    ],
)
def test_what_cannot_be_understood_is_said_with_its_position(template: str, said: str):
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(template)


@given(st.text(max_size=40))
def test_any_text_is_a_format_or_a_value_error(text: str):
    try:
        made = compile_text(text)
    except ValueError:
        return
    assert made(ARecord()).endswith("\n")


@pytest.mark.parametrize("command", OPERATORS)
def test_every_operator_renders_a_record(command: str):
    argument = "(X)" if OPERATORS[command].need is Need.REQUIRED else ""
    assert line(f"%{command}{argument}%", ARecord()) != ""
    assert isinstance(value_of(ARecord(), command, "X" if argument else ""), bytes)


def test_literals_cannot_become_code():
    hostile = "{r.status} ' \" \\ {{}} %% \\n"
    assert line(hostile, ARecord()) == hostile.replace("%%", "%")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("%START_TIME%", "2026-01-02T03:04:05.678Z"),
        ("%START_TIME(%s.%3f)%", "1767323045.678"),
        ("%START_TIME(%%03d %3f %%s)%", "%03d 678 %s"),
        ("%START_TIME(%s.%6f %f)%", "1767323045.678000 678000000"),
        ("%START_TIME(%Y/%m/%dT%H:%M:%S%z %Z %% %1f)%", "2026/01/02T03:04:05+0000 UTC % 6"),
        ("%REQ(:METHOD)% %REQ(:PATH)% %REQ(:SCHEME)% %REQ(:AUTHORITY)%", "GET /reviews/0 http reviews:9080"),
        ("%REQ(user-agent)% %REQ(USER-AGENT):4%", "curl/8.5.0 curl"),
        ("%REQ(x-none)% %REQ(x-none?user-agent):4% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "- curl /reviews/0"),
        ("%RESP(content-type)% %RESP(:STATUS)% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "text/plain 200 5"),
        ("%TRAILER(grade)%", "A"),
        ("%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS%", "HTTP/1.1 200 -"),
        ("%BYTES_RECEIVED% %BYTES_SENT% %DURATION%", "0 295 7"),
        (
            "%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%",
            "10.0.0.7:9080 10.0.0.7 9080",
        ),
        ("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "127.0.0.1:50000 127.0.0.1"),
        ("%HOSTNAME%", socket.gethostname()),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT% %ROUTE_NAME%", "1 default"),
    ],
)
def test_operators_say_what_envoy_says(template: str, expected: str):
    record = ARecord(response_fields=[(b"Content-Type", b"text/plain")], response_trailers=[(b"grade", b"A")])
    assert line(template, record) == expected


def test_environment_is_read_when_the_format_is_compiled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POD_NAME", "reviews-1")
    made = compile_text("%ENVIRONMENT(POD_NAME)% %ENVIRONMENT(POD_NAME):3% %ENVIRONMENT(POD_NONE)%")
    monkeypatch.setenv("POD_NAME", "other")
    assert made(ARecord()) == "reviews-1 rev -\n"


def test_request_headers_are_those_sent_upstream_once_there_are_any():
    record = ARecord(upstream_fields=[(b"X-Request-Id", b"1"), (b"x-request-id", b"2")])
    assert line("%REQ(x-request-id)% %REQ(user-agent)%", record) == "1 -"
    assert line("%REQ(user-agent)%", ARecord()) == "curl/8.5.0"


def test_an_empty_header_is_not_a_missing_one():
    record = ARecord(upstream_fields=[(b"a", b"")])
    assert line("[%REQ(a)%] [%REQ(b)%]", record) == "[] [-]"


def test_the_query_can_be_left_out():
    record = ARecord(request=get(b"/a", b"token=secret"), original_path=b"/old?token=secret")
    assert line("%REQ_WITHOUT_QUERY(:PATH)%", record) == "/a"
    assert line("%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH):3%", record) == "/ol"


@pytest.mark.parametrize(
    ("address", "host", "port"), [("[::1]:80", "::1", "80"), ("/run/a.sock", "/run/a.sock", "-"), ("", "-", "-")]
)
def test_addresses_of_all_families_are_taken_apart(address: str, host: str, port: str):
    record = ARecord(upstream_local_address=address)
    assert line("%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", record) == host
    assert line("%UPSTREAM_LOCAL_PORT%", record) == port


def test_the_remote_address_needs_a_connection_the_host_only_a_choice():
    record = ARecord(upstream_local_address="")
    assert line("%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_PORT%", record) == "10.0.0.7:9080 - -"


def test_the_cached_second_moves_on():
    made = compile_text("%START_TIME(%S.%3f)%")
    times = [1767323045.678, 1767323045.9996, 1767323045.9999999, 1767323046.0, 1767323045.001]
    assert [made(ARecord(started=at)) for at in times] == ["05.678\n", "05.999\n", "06.000\n", "06.000\n", "05.001\n"]


def test_in_a_header_value_what_is_missing_is_empty():
    record = ARecord(route_name="")
    assert value_of(record, "REQ", "x-none") == value_of(record, "ROUTE_NAME", "") == b""
    assert value_of(record, "REQ", "user-agent") == b"curl/8.5.0"
    assert value_of(record, "RESPONSE_CODE", "") == b"200"
    assert value_of(record, "REQ", "user-agent", 4) == b"curl"
