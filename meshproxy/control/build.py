"""Builds, in a process of their own: files → catalog → snapshot, as `Built`.

A process, because parsing 10,000 documents takes seconds and hundreds of MiB: in the serving process it would hold
the interpreter from requests, and memory that was once used is not given back. builder.py says when it ends.
"""

from __future__ import annotations

import gc
import pickle
import sys
from collections.abc import Iterable, Sequence

from meshproxy.compiler.build import build_snapshot
from meshproxy.compiler.options import BuildOptions, parse_bind, parse_map
from meshproxy.control.built import LENGTH, Bound, Built, Finding, Request
from meshproxy.control.sources.files import load
from meshproxy.model.catalog import read_catalog
from meshproxy.model.problem import Level, Problem


def build(request: Request) -> Built:
    settings = request.settings
    loaded = load(settings.config, settings.given)
    files = tuple(source.name for source in loaded.sources)
    if not loaded.problems and loaded.digest == request.known:
        return Built(digest=loaded.digest, files=files, unchanged=True)
    catalog, problems = read_catalog(loaded.sources, namespace=settings.namespace)
    found = [*loaded.problems, *problems]
    if _refused(found):
        return Built(digest=loaded.digest, files=files, findings=_findings(found))
    host, port = settings.listen
    options = BuildOptions(
        namespace=settings.namespace,
        labels=dict(settings.labels),
        mesh_host=host,
        mesh_port=port,
        binds=dict(map(parse_bind, settings.binds)),
        privileged_ports=settings.privileged_ports,
        maps=tuple(map(parse_map, settings.maps)),
        digest=loaded.digest,
    )
    snapshot, problems = build_snapshot(catalog, options)
    found += problems
    return Built(
        digest=loaded.digest,
        files=files,
        findings=_findings(found),
        counts=dict(snapshot.counts),
        listeners=tuple(Bound(each.name, (each.host, each.port)) for each in snapshot.listeners),
        snapshot=None if _refused(found) else pickle.dumps(snapshot, pickle.HIGHEST_PROTOCOL),
    )


def main(argv: Sequence[str]) -> int:
    """Pickled `Request`s on standard input; for each, the length of a pickled `Built` and that on standard output."""
    # nothing lives long enough in a build for a collection to pay
    gc.disable()
    while True:
        try:
            request: Request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return 0
        answer = pickle.dumps(build(request), pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.write(len(answer).to_bytes(LENGTH, "little") + answer)
        sys.stdout.buffer.flush()
        gc.collect()


def _refused(problems: Iterable[Problem]) -> bool:
    return any(problem.level is Level.ERROR for problem in problems)


def _findings(problems: Iterable[Problem]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            file=problem.origin.file,
            line=problem.origin.line,
            column=problem.origin.column,
            level=problem.level.name.lower(),
            code=problem.code,
            message=problem.message,
        )
        for problem in problems
    )
