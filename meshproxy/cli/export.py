"""`meshproxy export`: the compiled configuration as an Envoy bootstrap."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import yaml

from meshproxy.cli.compiled import RefusedError, build_options, compile_files
from meshproxy.cli.options import (
    Parser,
    add_addresses,
    add_config,
    add_outbound,
    add_shadow,
    add_workload,
    config_paths,
)
from meshproxy.compiler.options import parse_bind
from meshproxy.control.settings import Address, parse_address
from meshproxy.export.bootstrap import export_bootstrap
from meshproxy.export.gaps import export_gaps
from meshproxy.export.listeners import Log
from meshproxy.telemetry.access_log import TEXT

_OK, _CONFIG = 0, 65
_EXAMPLES = """\
  meshproxy export -f config/ > envoy.yaml && envoy -c envoy.yaml
  meshproxy export -f config/ --map reviews:v2=127.0.0.1:9082 -o json
"""


def main(argv: Sequence[str]) -> int:
    args = _parser().parse_args(argv)
    host, port = args.listen
    options = replace(
        build_options(args),
        mesh_host=host,
        mesh_port=port,
        binds=dict(map(parse_bind, args.bind)),
        privileged_ports=args.privileged_ports,
        shadow_host_suffix=args.shadow_host_suffix,
    )
    try:
        snapshot = compile_files(config_paths(args), options).snapshot
    except RefusedError:
        return _CONFIG
    for what, origin in export_gaps(snapshot):
        place = f"{origin.file}:{origin.line}:{origin.column}: " if origin is not None else ""
        sys.stderr.write(f"{place}warning: not exported: {what}\n")
    bootstrap = export_bootstrap(snapshot, admin=args.admin, log=Log(args.access_log, TEXT))
    if args.output == "json":
        json.dump(bootstrap, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        yaml.dump(bootstrap, sys.stdout, _Dumper, sort_keys=False, width=120)
    return _OK


class _Dumper(yaml.SafeDumper):
    """What occurs twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _parser() -> Parser:
    parser = Parser("export", "Print an Envoy bootstrap that does what `run` does.", _EXAMPLES)
    add_config(parser)
    parser.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="(default %(default)s)")
    _add_address(parser, "--listen", ("127.0.0.1", 15001), "the outbound listener (default 127.0.0.1:15001)")
    _add_address(parser, "--admin", ("127.0.0.1", 15000), "Envoy's admin interface (default 127.0.0.1:15000)")
    parser.add_argument(
        "--access-log", metavar="FILE", default="/dev/stdout", help="where Envoy logs requests (default %(default)s)"
    )
    add_workload(parser)
    add_addresses(parser)
    add_outbound(parser)
    add_shadow(parser)
    return parser


def _add_address(parser: Parser, flag: str, default: Address, about: str) -> None:
    parser.add_argument(flag, metavar="HOST:PORT", type=_address, default=default, help=about)


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
