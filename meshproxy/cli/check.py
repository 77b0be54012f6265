"""`meshproxy check`: everything wrong or suspicious, from files alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from meshproxy.analysis.run import arranged, check
from meshproxy.base import clock
from meshproxy.cli.findings import FORMS, LEVELS, counted, render
from meshproxy.cli.options import Parser, color
from meshproxy.compiler.build import build_snapshot
from meshproxy.compiler.findings import skipped_kinds
from meshproxy.compiler.options import BuildOptions
from meshproxy.control.sources.files import load
from meshproxy.model.catalog import Catalog, read_catalog
from meshproxy.model.problem import UNREADABLE, Level, Problem

_OK, _CONFIG, _FINDINGS = 0, 65, 79
_EXAMPLES = """\
  meshproxy check config/
  meshproxy check --failure-threshold warning reviews.yaml services.yaml
  kubectl get virtualservices,destinationrules,services -A -o yaml | meshproxy check -
  meshproxy check -o github config/
"""


def main(argv: Sequence[str]) -> int:
    parser = Parser("check", "Find what is wrong or suspicious, from files alone.", _EXAMPLES)
    parser.add_argument("paths", metavar="PATH", nargs="+", help="a file, a directory (recursive), or -")
    parser.add_argument("-o", "--output", choices=FORMS, default="text", help="(default %(default)s)")
    parser.add_argument(
        "--failure-threshold",
        choices=tuple(LEVELS),
        default="error",
        help="the level of findings from which the exit code is 79 (default %(default)s)",
    )
    parser.add_argument(
        "-n", "--namespace", metavar="NS", default="default", help="of objects without one (default %(default)s)"
    )
    args = parser.parse_args(argv)
    loaded = load(tuple(args.paths), {"-": sys.stdin.buffer.read()} if "-" in args.paths else {})
    catalog, read = read_catalog(loaded.sources, namespace=args.namespace)
    problems = findings(catalog, (*loaded.problems, *read), namespace=args.namespace)
    texts = {source.name: source.text for source in loaded.sources}
    sys.stdout.write(render(problems, args.output, texts=texts, color=color(sys.stdout)))
    if args.output == "text":
        skipped = skipped_kinds(catalog)
        note = f"; skipped: {skipped}" if skipped else ""
        sys.stderr.write(f"{counted(problems)} in {_files(len(texts))}{note}\n")
    return exit_code(problems, LEVELS[args.failure_threshold])


def findings(catalog: Catalog, read: Sequence[Problem], *, namespace: str) -> tuple[Problem, ...]:
    """Everything to be said of `catalog`: what was `read` of problems, and by the analyzers and the compiler."""
    said = [*read, *check(catalog)]
    if not any(problem.level is Level.ERROR for problem in read):
        # the compiler builds what was read without an error
        said += _compiled(catalog, said, namespace)
    return arranged(said, catalog)


def exit_code(problems: Iterable[Problem], threshold: Level) -> int:
    problems = tuple(problems)
    if any(problem.code == UNREADABLE for problem in problems):
        return _CONFIG
    return _FINDINGS if any(problem.level >= threshold for problem in problems) else _OK


def _compiled(catalog: Catalog, said: Iterable[Problem], namespace: str) -> list[Problem]:
    """The compiler's findings, but for those that an analyzer has already."""
    known = {(problem.code, problem.origin.file, problem.origin.line) for problem in said}
    _, problems = build_snapshot(catalog, BuildOptions(namespace=namespace, now=clock.wall()))
    return [p for p in problems if (p.code, p.origin.file, p.origin.line) not in known]


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"
