"""What the verbs' command lines share: the parser with its exit code and environment twins, and common options."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

_USAGE = 64
DEFAULT_CONFIG = "/etc/meshproxy"


DESCRIBE = "--_describe"
"""The one argument that asks a verb for its parser: completion is made of them."""


class DescribedError(Exception):
    """Carries the parser that was asked for."""

    def __init__(self, parser: Parser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


class Parser(argparse.ArgumentParser):
    """Exits 64 on bad usage; every flag not given is taken from `MESHPROXY_<FLAG>` where that is set.

    Repeatable flags are separated by `:` there, switches are on for `1`, `true`, `yes` and `on`.
    """

    def __init__(self, verb: str, about: str, examples: str = "") -> None:
        super().__init__(
            prog=f"meshproxy {verb}",
            description=about,
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse_args(self, args: Sequence[str] | None = None, namespace: object = None) -> argparse.Namespace:  # type: ignore[override]
        argv = list(sys.argv[1:] if args is None else args)
        if argv == [DESCRIBE]:
            raise DescribedError(self)
        given = super().parse_args(argv, argparse.Namespace(**{action.dest: None for action in self._actions}))
        twins = [
            twin for action in self._actions if getattr(given, action.dest, None) is None for twin in _twins(action)
        ]
        return super().parse_args([*twins, *argv])

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(_USAGE, f"{self.prog}: {message}\n")


def _twins(action: argparse.Action) -> list[str]:
    """The arguments that the environment stands for."""
    flag = next((option for option in action.option_strings if option.startswith("--")), None)
    text = os.environ.get("MESHPROXY_" + flag[2:].upper().replace("-", "_")) if flag else None
    if text is None or isinstance(action, argparse._HelpAction):
        return []
    if action.nargs == 0:
        return [str(flag)] if text.lower() in ("1", "true", "yes", "on") else []
    parts = text.split(":") if isinstance(action, argparse._AppendAction) and action.dest == "config" else [text]
    return [f"{flag}={part}" for part in parts]


def labels(text: str) -> tuple[tuple[str, str], ...]:
    """`app=reviews,version=v2` as sorted pairs."""
    pairs = [part.partition("=") for part in text.split(",") if part]
    if not all(key and equals for key, equals, _ in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not k=v[,k=v…]")
    return tuple(sorted((key, value) for key, _, value in pairs))


def percent(text: str) -> float:
    """From 0 to 100."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage")
    return value


def add_config(parser: argparse.ArgumentParser) -> None:
    """`-f`; an absent one means `config_paths`' default."""
    parser.add_argument(
        "-f",
        "--config",
        metavar="PATH",
        action="append",
        help=f"a file, a directory (recursive), or - ; repeatable (default $MESHPROXY_CONFIG, else {DEFAULT_CONFIG})",
    )


def config_paths(args: argparse.Namespace) -> tuple[str, ...]:
    return tuple(args.config or (DEFAULT_CONFIG,))


def add_workload(parser: argparse.ArgumentParser) -> None:
    """Who we are: namespace and labels."""
    parser.add_argument(
        "-n", "--namespace", metavar="NS", default="default", help="our namespace (default %(default)s)"
    )
    parser.add_argument("--labels", metavar="K=V,…", type=labels, default=(), help="our labels, for selectors")


def add_maps(parser: argparse.ArgumentParser) -> None:
    """`--map`: endpoints on a laptop."""
    parser.add_argument(
        "--map",
        metavar="HOST[:SUBSET]=ADDR:PORT[,…]",
        type=partial(_checked, "parse_map"),
        action="append",
        default=[],
        help="endpoints of a service, in place of any other; repeatable",
    )


def add_outbound(parser: argparse.ArgumentParser) -> None:
    """What becomes of a host that is no service."""
    parser.add_argument(
        "--outbound-traffic-policy",
        choices=("REGISTRY_ONLY", "ALLOW_ANY"),
        default="REGISTRY_ONLY",
        help="whether hosts of no service are called, where no Sidecar says (default %(default)s)",
    )


def add_shadow(parser: argparse.ArgumentParser) -> None:
    """What mirrors see."""
    parser.add_argument(
        "--shadow-host-suffix",
        action="store_true",
        help="mirrored requests carry the Host with -shadow, as Istio sent it before 1.28",
    )


def add_addresses(parser: argparse.ArgumentParser) -> None:
    """What shapes listeners and endpoints beside the YAML."""
    add_maps(parser)
    parser.add_argument(
        "--bind",
        metavar="GATEWAYPORT=HOST:PORT",
        type=partial(_checked, "parse_bind"),
        action="append",
        default=[],
        help="where a gateway's port is opened (default: the port itself, 8000 + port below 1024); repeatable",
    )
    parser.add_argument("--privileged-ports", action="store_true", help="open gateway ports below 1024 as written")


def _checked(parse: str, text: str) -> str:
    """`text`, if the compiler's function `parse` can read it."""
    from meshproxy.compiler import options  # needed only where such a flag is given

    try:
        getattr(options, parse)(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def color(stream: object) -> bool:
    """Whether to colour what is written to `stream`."""
    isatty = getattr(stream, "isatty", None)
    return "NO_COLOR" not in os.environ and callable(isatty) and bool(isatty())
