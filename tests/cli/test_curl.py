"""What a curl line asks for."""

import pytest

from meshproxy.cli.curl import read_curl, split_line
from meshproxy.control.asked import AskedError


def read(line):
    return read_curl(split_line(line)[1:])


def headers(line):
    return {name.lower(): value for name, value in read(line).headers}


@pytest.mark.parametrize(
    ("line", "method", "url"),
    [
        ("curl http://a/", "GET", "http://a/"),
        ("curl a/b", "GET", "a/b"),
        ("curl -XDELETE http://a/", "DELETE", "http://a/"),
        ("curl --request=PUT http://a/", "PUT", "http://a/"),
        ("curl -d x=1 http://a/", "POST", "http://a/"),
        ("curl -X PUT -d x=1 http://a/", "PUT", "http://a/"),
        ("curl -I http://a/", "HEAD", "http://a/"),
        ("curl -G -d x=1 --data-urlencode 'q=a b' http://a/", "GET", "http://a/?x=1&q=a%20b"),
        ("curl -G -d x=1 'http://a/?y=2'", "GET", "http://a/?y=2&x=1"),
        ("curl --url http://a/", "GET", "http://a/"),
        ("curl -sSkvo out.txt http://a/", "GET", "http://a/"),
        ("curl -w '%{http_code}' --max-time 3 --compressed http://a/", "GET", "http://a/"),
        ("curl --unknown-switch http://a/", "GET", "http://a/"),
        ("curl -T me.txt http://a/x/", "PUT", "http://a/x/me.txt"),
        ("curl -T - http://a/x", "PUT", "http://a/x"),
        ("curl --url-query q=1 'http://a/?y=2'", "GET", "http://a/?y=2&q=1"),
        ("curl --request-target /x?y http://a/b/c", "GET", "http://a/x?y"),
        ("curl --form-string a=b http://a/", "POST", "http://a/"),
        (
            "curl --proto =https --tlsv1.2 --cert-type PEM --proxy-header 'a: b' --rate 2/s http://a/",
            "GET",
            "http://a/",
        ),
        ("curl -sSfLk4 --http2 -x localhost:15001 -Q PWD http://a/", "GET", "http://a/"),
        (r"curl 'http://a/' --data-raw $'it\'s\u0021' --compressed", "POST", "http://a/"),
        ("curl 'http://a/' \\\n  -X PATCH \\\r\n --insecure", "PATCH", "http://a/"),
    ],
)
def test_method_and_url(line, method, url):
    asked = read(line)
    assert (asked.method, asked.url) == (method, url)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("curl http://a/", "accept", "*/*"),
        ("curl -A me http://a/", "user-agent", "me"),
        ("curl -H 'User-Agent: me' http://a/", "user-agent", "me"),
        ("curl -u jane:pw http://a/", "authorization", "Basic amFuZTpwdw=="),
        ("curl http://jane:pw@a/", "authorization", "Basic amFuZTpwdw=="),
        ("curl -b k=v http://a/", "cookie", "k=v"),
        ("curl -e http://from/ http://a/", "referer", "http://from/"),
        ("curl --json '{}' http://a/", "content-type", "application/json"),
        ("curl -d a=b http://a/", "content-type", "application/x-www-form-urlencoded"),
        ("curl -H'X-A:1' http://a/", "x-a", "1"),
        ("curl -r 0-9 http://a/", "range", "bytes=0-9"),
        ("curl -F a=@b http://a/", "content-type", "multipart/form-data"),
        (r"curl -H $'x-a: it\'s \x41' http://a/", "x-a", "it's A"),
        (r"""curl -H "x-a: \$'b'" http://a/""", "x-a", "$'b'"),
    ],
)
def test_headers(line, name, value):
    assert headers(line)[name] == value


def test_a_header_can_be_taken_away():
    assert "accept" not in headers("curl -H 'Accept:' http://a/")


def test_a_header_can_be_there_without_a_value():
    assert headers("curl -H 'X-A;' -A '' http://a/") == {"x-a": "", "accept": "*/*"}


def test_a_cookie_file_is_no_cookie():
    assert "cookie" not in headers("curl -b jar.txt http://a/")


def test_credentials_in_the_url_are_not_part_of_the_host():
    assert read("curl http://jane:pw@a/x@y").url == "http://a/x@y"
    assert read("curl http://a/x@y").url == "http://a/x@y"


@pytest.mark.parametrize("line", ["curl", "curl -s", "curl http://a/ -H", "curl 'http://a/"])
def test_what_is_no_curl_line_is_said(line):
    with pytest.raises(AskedError):
        read(line)
