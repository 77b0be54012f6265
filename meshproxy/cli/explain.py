"""`meshproxy explain`: what becomes of one request and why, from files or from a running proxy."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from meshproxy.cli.options import Parser, add_config, add_maps, add_outbound, add_workload, color, config_paths
from meshproxy.control.asked import Asked, AskedError
from meshproxy.control.asked_stream import decision_on
from meshproxy.control.settings import Address, address_text, parse_address

_OK, _FAILURE, _CONFIG = 0, 1, 65
_TIMEOUT = 30.0
_EXAMPLES = """\
  meshproxy explain -f config/ http://reviews:9080/reviews/0
  meshproxy explain -f config/ -H 'end-user: jason' -o json http://reviews:9080/reviews/0
  meshproxy explain -f config/ --gateway default/bookinfo http://bookinfo.example.com/productpage
  meshproxy explain -f config/ curl -s -H 'host: reviews:9080' http://127.0.0.1:15001/reviews/0
  meshproxy explain -f config/ --gateway default/passthrough tls://nginx.example.com:443
  meshproxy explain -f config/ tcp://mongo:27017
  meshproxy explain -f config/ -X CONNECT api.example.com:443
  meshproxy explain --admin 127.0.0.1:15000 http://reviews:9080/reviews/0
"""


def main(argv: Sequence[str]) -> int:
    ours, curl = _split(argv)
    parser = _parser()
    args = parser.parse_args(ours)
    try:
        asked = _asked(args, curl)
        asked.parts  # noqa: B018 (complains of what is no URL, before any file is read)
    except AskedError as error:
        parser.error(str(error))
    return _from_admin(args, asked) if args.admin is not None else _from_files(parser, args, asked)


def _parser() -> Parser:
    parser = Parser("explain", "Say what becomes of one request, and why. A pasted curl line works.", _EXAMPLES)
    add_config(parser)
    parser.add_argument("-X", "--request", metavar="METHOD", default="GET", help="(default %(default)s)")
    parser.add_argument(
        "-H", "--header", metavar="NAME: VALUE", action="append", default=[], help="a header; repeatable"
    )
    parser.add_argument(
        "--gateway", metavar="NS/NAME", default="", help="the Gateway that receives it (default: the mesh listener)"
    )
    add_workload(parser)
    add_maps(parser)
    add_outbound(parser)
    parser.add_argument("--admin", metavar="HOST:PORT", type=_address, help="ask the proxy whose admin port this is")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="(default %(default)s)")
    parser.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        help="such as http://reviews:9080/reviews/0, tls://SNI:PORT, tcp://HOST:PORT, or a curl line",
    )
    return parser


def _split(argv: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Our arguments, and the words behind `curl` where a curl line is pasted, quoted as one word or not."""
    from meshproxy.cli.curl import split_line

    for position, word in enumerate(argv):
        if word == "curl":
            return list(argv[:position]), list(argv[position + 1 :])
        if word.lstrip().startswith("curl "):
            return [*argv[:position], *argv[position + 1 :]], split_line(word)[1:]
    return list(argv), None


def _asked(args: argparse.Namespace, curl: list[str] | None) -> Asked:
    gateway = gateway_name(args.gateway, args.namespace)
    if curl is not None:
        from meshproxy.cli.curl import read_curl

        return read_curl(curl, gateway=gateway)
    if args.url is None:
        raise AskedError("which URL?")
    return Asked(url=args.url, method=args.request, headers=tuple(map(header, args.header)), gateway=gateway)


def header(text: str) -> tuple[str, str]:
    """`name: value`."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise AskedError(f"{text!r} is not 'name: value'")
    return name.strip(), value.strip()


def gateway_name(name: str, namespace: str) -> str:
    """`namespace/name`; a bare name is in our namespace."""
    return f"{namespace}/{name}" if name and "/" not in name else name


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _from_files(parser: Parser, args: argparse.Namespace, asked: Asked) -> int:
    # not needed where a running proxy is asked
    from meshproxy.admin.decision_json import decision_json
    from meshproxy.admin.decision_text import render_text
    from meshproxy.cli.compiled import RefusedError, build_options, compile_files

    try:
        snapshot = compile_files(config_paths(args), build_options(args)).snapshot
        decision = decision_on(snapshot, asked)
    except RefusedError:
        return _CONFIG
    except AskedError as error:
        parser.error(str(error))
    if args.output == "json":
        json.dump(decision_json(decision), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(render_text(decision, color=color(sys.stdout)))
    return _OK


def _from_admin(args: argparse.Namespace, asked: Asked) -> int:
    # not needed where files are asked
    from http.client import HTTPConnection, HTTPException
    from urllib.parse import urlencode

    query = [("url", asked.url), ("method", asked.method), ("gateway", asked.gateway), ("format", args.output)]
    query += [("header", f"{name}: {value}") for name, value in asked.headers]
    query += [("color", "true")] if color(sys.stdout) else []
    host, port = args.admin
    connection = HTTPConnection(host, port, timeout=_TIMEOUT)
    try:
        connection.request("GET", f"/explain?{urlencode(query)}")
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        sys.stderr.write(f"{address_text(args.admin)}: no answer from an admin port: {error}\n")
        return _FAILURE
    finally:
        connection.close()
    if response.status != 200:
        sys.stderr.write(f"{address_text(args.admin)}: {response.status} {body.rstrip()}\n")
        return _FAILURE
    sys.stdout.write(body)
    return _OK
