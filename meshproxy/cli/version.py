"""`meshproxy version`."""

from collections.abc import Sequence

from meshproxy import __version__
from meshproxy.cli.options import Parser


def main(argv: Sequence[str]) -> int:
    Parser("version", "Print the version.", "  meshproxy version\n").parse_args(argv)
    print(f"meshproxy {__version__}")
    return 0
