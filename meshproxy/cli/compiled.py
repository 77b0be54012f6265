"""Files to a snapshot for the verbs that answer from files: everything that was wrong goes to stderr."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from meshproxy.compiler.build import build_snapshot
from meshproxy.compiler.options import BuildOptions, parse_map
from meshproxy.compiler.report import DELEGATION
from meshproxy.control.sources.files import load
from meshproxy.model.catalog import Catalog, read_catalog
from meshproxy.model.problem import Level, Problem
from meshproxy.plan.snapshot import Snapshot


class RefusedError(Exception):
    """The configuration has errors; they have been printed."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What was read, and what it comes to."""

    catalog: Catalog
    snapshot: Snapshot


def build_options(args: argparse.Namespace) -> BuildOptions:
    """Of the options that `add_workload`, `add_maps` and `add_outbound` have added."""
    return BuildOptions(
        namespace=args.namespace,
        labels=dict(args.labels),
        maps=tuple(map(parse_map, args.map)),
        outbound_traffic_policy=args.outbound_traffic_policy,
    )


def compile_files(paths: tuple[str, ...], options: BuildOptions) -> Compiled:
    """Raises RefusedError where `run` would not start."""
    catalog = read_files(paths, options.namespace)
    return Compiled(catalog, compile_catalog(catalog, options))


def read_files(paths: tuple[str, ...], namespace: str) -> Catalog:
    loaded = load(paths, {"-": sys.stdin.buffer.read()} if "-" in paths else {})
    catalog, problems = read_catalog(loaded.sources, namespace=namespace)
    stop_for((*loaded.problems, *problems))
    return catalog


def compile_catalog(catalog: Catalog, options: BuildOptions) -> Snapshot:
    snapshot, problems = build_snapshot(catalog, options)
    stop_for(problems)
    for problem in problems:
        if problem.code == DELEGATION:  # a rule that is written and is not there
            sys.stderr.write(f"{problem.origin.file}:{problem.origin.line}:{problem.origin.column}: warning: ")
            sys.stderr.write(f"{problem.message}\n")
    return snapshot


def stop_for(problems: Iterable[Problem]) -> None:
    """Prints errors; what is only suspicious is `check`'s to say."""
    errors = [problem for problem in problems if problem.level is Level.ERROR]
    for problem in dict.fromkeys(errors):
        sys.stderr.write(f"{problem}\n")
    if errors:
        raise RefusedError
