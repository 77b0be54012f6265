"""`meshproxy run`: the command line becomes settings; service and admin are joined."""

from __future__ import annotations

import argparse
import asyncio
import stat
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from meshproxy.cli.options import (
    Parser,
    add_addresses,
    add_config,
    add_outbound,
    add_shadow,
    add_workload,
    config_paths,
    percent,
)
from meshproxy.control.settings import Address, Settings, address_text, parse_address

_EXAMPLES = """\
  meshproxy run -f config/
  meshproxy run -f config/ --map reviews:v2=127.0.0.1:9082 --map reviews:v3=127.0.0.1:9083
  meshproxy run --listen 127.0.0.1:0 --workers 4 --access-log -
"""
_MOST_REMEMBERED = 1_000_000
_SECONDS = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def main(argv: Sequence[str]) -> int:
    settings = _settings(_parser(), argv)
    # imported once the command line is known to be good
    import uvloop

    from meshproxy.admin.server import open_admin
    from meshproxy.control.service import Service

    async def serve() -> int:
        return await Service(settings).run(open_admin)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())


def _parser() -> Parser:
    parser = Parser(
        "run", "Serve the configuration; SIGTERM drains, SIGHUP reloads, SIGUSR1 reopens the log.", _EXAMPLES
    )
    defaults = Settings()
    add_config(parser)
    _add(parser, "--listen", "HOST:PORT", _address, defaults.listen, "the outbound listener")
    _add(parser, "--admin", "HOST:PORT", _address, defaults.admin, "the admin endpoints")
    _add(parser, "--workers", "N", _count, defaults.workers, "processes that serve")
    add_workload(parser)
    _add(parser, "--access-log", "-|off|FILE", str, defaults.access_log, "where each request is logged")
    _add(parser, "--access-log-format", "text|json|FORMAT", _log_format, defaults.access_log_format, "how it is logged")
    _add(
        parser, "--drain-time", "DURATION", _duration, defaults.drain_time, "how long open requests may take at the end"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default=defaults.log_level,
        help="what is told on stderr beside errors (default %(default)s)",
    )
    add_addresses(parser)
    parser.add_argument(
        "--credentials",
        metavar="DIR",
        default="",
        help="certificates by credentialName: DIR/NAME/tls.crt, tls.key and ca.crt",
    )
    add_outbound(parser)
    add_shadow(parser)
    parser.add_argument(
        "--guard",
        choices=("warn", "refuse"),
        nargs="?",
        const="warn",
        default="",
        help="ask a new configuration the last requests first: say if too many are lost, or refuse it (default: off)",
    )
    _add(parser, "--guard-threshold", "PERCENT", percent, defaults.guard_threshold, "what may be lost to a 404 or 503")
    remembered = partial(_count, most=_MOST_REMEMBERED)
    _add(parser, "--guard-requests", "N", remembered, defaults.guard_requests, "how many requests are remembered")
    return parser


def _add(parser: Parser, flag: str, metavar: str, type_: Callable[[str], object], default: object, about: str) -> None:
    shown = address_text(default) if isinstance(default, tuple) else f"{default:g}s" if type_ is _duration else default
    parser.add_argument(flag, metavar=metavar, type=type_, default=default, help=f"{about} (default {shown})")


def _settings(parser: Parser, argv: Sequence[str]) -> Settings:
    args = parser.parse_args(argv)
    config = config_paths(args)
    return Settings(
        config=config,
        given={path: read for path in config if (read := _read_once(path)) is not None},
        listen=args.listen,
        admin=args.admin,
        workers=args.workers,
        namespace=args.namespace,
        labels=args.labels,
        access_log=args.access_log,
        access_log_format=args.access_log_format,
        drain_time=args.drain_time,
        log_level=args.log_level,
        maps=tuple(args.map),
        binds=tuple(args.bind),
        privileged_ports=args.privileged_ports,
        credentials=args.credentials,
        outbound_traffic_policy=args.outbound_traffic_policy,
        shadow_host_suffix=args.shadow_host_suffix,
        guard=args.guard or "",
        guard_threshold=args.guard_threshold,
        guard_requests=args.guard_requests,
    )


def _read_once(path: str) -> bytes | None:
    """What a reload could not read again: standard input, or a pipe as `<(…)` makes it."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes() if stat.S_ISFIFO(Path(path).stat().st_mode) else None
    except OSError:
        return None  # the build says so


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str, most: int = 1024) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {most}")
    return int(text)


def _duration(text: str) -> float:
    """`5s`, `500ms`, `1.5m`; a bare number is seconds."""
    number = text.rstrip("msh")
    try:
        seconds = float(number) * _SECONDS[text[len(number) :] or "s"]
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 5s or 500ms") from None
    if not 0 <= seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range")
    return seconds


def _log_format(text: str) -> str:
    from meshproxy.telemetry.access_log import compile_format  # not needed where no format is named

    try:
        compile_format(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
