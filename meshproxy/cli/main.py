"""From the first word of the command line to its verb, and from the verb to an exit code.

Owns: the table of verbs, `--help`, exit codes. A verb is a module with `main(argv: Sequence[str]) -> int`, imported
only when it is asked for: what `run` never uses must not cost it start-up time or memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from meshproxy.cli.options import DESCRIBE, DescribedError, Parser

OK, FAILURE, USAGE, CONFIG, CANNOT_BIND, FINDINGS = 0, 1, 64, 65, 69, 79

_VERBS = {
    "run": ("meshproxy.cli.run", "serve the configuration"),
    "explain": ("meshproxy.cli.explain", "say what becomes of one request, and why"),
    "test": ("meshproxy.cli.test", "run route tests, without a server"),
    "diff": ("meshproxy.cli.diff", "say what changes for requests between two configurations"),
    "check": ("meshproxy.cli.check", "find what is wrong or suspicious, from files alone"),
    "routes": ("meshproxy.cli.tables", "print the routes of the compiled configuration"),
    "clusters": ("meshproxy.cli.tables", "print its clusters"),
    "endpoints": ("meshproxy.cli.tables", "print its endpoints"),
    "listeners": ("meshproxy.cli.tables", "print its listeners"),
    "export": ("meshproxy.cli.export", "print an Envoy configuration that does the same"),
    "demo": ("meshproxy.cli.demo.main", "the product tour, with nothing else installed"),
    "completion": ("meshproxy.cli.completion", "print the completion script of a shell"),
    "version": ("meshproxy.cli.version", "print the version"),
}
VERBS = {verb: about for verb, (_, about) in _VERBS.items()}
#: Processes that `run` starts for itself.
_INTERNAL = {"_build": "meshproxy.control.build", "_worker": "meshproxy.control.worker_process"}
#: Modules that serve several verbs are told which one: `main(["routes", …])`.
_SHARED = frozenset(("routes", "clusters", "endpoints", "listeners"))

_HELP = """\
usage: meshproxy VERB [options]

Serves, explains, tests and checks Istio traffic-management YAML, without a cluster.

{verbs}

examples:
  meshproxy demo
  meshproxy check config/
  meshproxy explain -f config/ -H 'end-user: jason' http://reviews:9080/
  meshproxy run -f config/ --map reviews:v2=127.0.0.1:9082
  meshproxy routes -f config/

`meshproxy VERB --help` says more. Every flag has an environment twin: --drain-time is MESHPROXY_DRAIN_TIME.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the verb that `argv` (or the command line) asks for."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # the reader of our output (head, less) has gone: nothing more to say, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def parser_of(verb: str) -> Parser:
    """The parser that `verb` would read its arguments with."""
    try:
        _main_of(verb)([DESCRIBE])
    except DescribedError as described:
        return described.parser
    raise AssertionError(f"{verb} reads no arguments")


def _main_of(verb: str) -> Callable[[Sequence[str]], int]:
    entry: Callable[[Sequence[str]], int] = import_module(_INTERNAL.get(verb) or _VERBS[verb][0]).main
    return (lambda rest: entry([verb, *rest])) if verb in _SHARED else entry


def _dispatch(arguments: list[str]) -> int:
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if verb in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return OK
    if verb == "--version":
        verb = "version"
    if verb not in _INTERNAL and verb not in _VERBS:
        sys.stderr.write(f"meshproxy: {f'no verb {verb!r}' if verb else 'which verb?'}\n\n{_help()}")
        return USAGE
    code = _main_of(verb)(rest)
    sys.stdout.flush()
    return code


def _help() -> str:
    return _HELP.format(verbs="\n".join(f"  {verb:10} {about}" for verb, (_, about) in _VERBS.items()))
