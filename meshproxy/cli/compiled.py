"""Files to a snapshot for the verbs that answer from files: everything that was wrong goes to stderr."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

from meshproxy.cli.options import labels
from meshproxy.compiler.build import build_snapshot
from meshproxy.compiler.options import BuildOptions, parse_map
from meshproxy.control.sources.files import load
from meshproxy.model.catalog import Catalog, read_catalog
from meshproxy.model.problem import Level, Problem
from meshproxy.plan.snapshot import Snapshot

CONFIG = 65


class RefusedError(Exception):
    """The configuration has errors; they have been printed."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What was read, and what it comes to."""

    catalog: Catalog
    snapshot: Snapshot


def build_options(args: argparse.Namespace) -> BuildOptions:
    """Of the options that `add_workload` and `add_maps` have added."""
    return BuildOptions(
        namespace=args.namespace, labels=dict(args.labels or ()), maps=tuple(map(parse_map, args.map or ()))
    )


def compile_files(paths: tuple[str, ...], options: BuildOptions) -> Compiled:
    """Raises RefusedError where `run` would not start."""
    given = {"-": sys.stdin.buffer.read()} if "-" in paths else {}
    loaded = load(paths, given)
    catalog, problems = read_catalog(loaded.sources, namespace=options.namespace)
    stop_for((*loaded.problems, *problems))
    snapshot, problems = build_snapshot(catalog, replace(options, digest=loaded.digest))
    stop_for(problems)
    return Compiled(catalog, snapshot)


def stop_for(problems: Iterable[Problem]) -> None:
    """Prints errors; what is only suspicious is `check`'s to say."""
    errors = [problem for problem in problems if problem.level is Level.ERROR]
    for problem in errors:
        sys.stderr.write(f"{problem}\n")
    if errors:
        raise RefusedError


__all__ = ["CONFIG", "Compiled", "RefusedError", "build_options", "compile_files", "labels", "stop_for"]
