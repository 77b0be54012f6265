"""Builds, in a process of their own: files → catalog → snapshot, as `Built`.

A process, because parsing 10,000 documents takes seconds and hundreds of MiB: in the serving process it would hold
the interpreter from requests, and memory that was once used is not given back. builder.py says when it ends.
"""

from __future__ import annotations

import gc
import pickle
import ssl
import sys
from collections.abc import Iterable, Iterator, Sequence

from meshproxy.base import clock
from meshproxy.base.origin import Origin
from meshproxy.compiler.build import build_snapshot
from meshproxy.compiler.findings import skipped_kinds
from meshproxy.compiler.options import BuildOptions, parse_bind, parse_map
from meshproxy.compiler.report import NO_CERTIFICATE
from meshproxy.control.built import LENGTH, Bound, Built, Finding, Request
from meshproxy.control.sources.contents import digest
from meshproxy.control.sources.credentials import named, read
from meshproxy.control.sources.files import load
from meshproxy.model.catalog import read_catalog
from meshproxy.model.problem import Level, Problem
from meshproxy.plan.server_tls import ServerTls
from meshproxy.proxy.server_tls import context_of
from meshproxy.wire.tls_server import reason


def build(request: Request) -> Built:
    settings = request.settings
    loaded = load(settings.config, settings.given)
    files = tuple(source.name for source in loaded.sources)
    if not loaded.problems and digest(request.certificates, loaded.digest) == request.known:
        return Built(
            digest=request.known,
            files=files,
            sources=loaded.digest,
            certificates=request.certificates,
            unchanged=True,
        )
    catalog, problems = read_catalog(loaded.sources, namespace=settings.namespace)
    found = [*loaded.problems, *problems]
    if _refused(found):
        return Built(digest=loaded.digest, files=files, findings=_findings(found))
    certificates = named(catalog, settings.credentials)
    host, port = settings.listen
    options = BuildOptions(
        namespace=settings.namespace,
        labels=dict(settings.labels),
        mesh_host=host,
        mesh_port=port,
        binds=dict(map(parse_bind, settings.binds)),
        privileged_ports=settings.privileged_ports,
        maps=tuple(map(parse_map, settings.maps)),
        digest=digest(certificates.files, loaded.digest),
        outbound_traffic_policy=settings.outbound_traffic_policy,
        shadow_host_suffix=settings.shadow_host_suffix,
        credentials=read(certificates),
        now=clock.wall(),
    )
    snapshot, problems = build_snapshot(catalog, options)
    servers = tuple(dict.fromkeys(snapshot.servers))
    found += [*problems, *_unusable(servers)]
    return Built(
        digest=options.digest,
        files=files,
        sources=loaded.digest,
        certificates=certificates.files,
        expiries=tuple({pair.name: pair.not_after for server in servers for pair in server.pairs}.items()),
        findings=_findings(found),
        counts=dict(snapshot.counts),
        skipped=skipped_kinds(catalog),
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


def _unusable(servers: Iterable[ServerTls]) -> Iterator[Problem]:
    """Servers whose certificates OpenSSL does not take: a key that is another's, a cipher it does not know."""
    for server in servers:
        try:
            context_of(server)
        except OSError as error:
            why = reason(error) if isinstance(error, ssl.SSLError) else str(error)
            names = ", ".join(pair.name for pair in server.pairs)
            origin = server.origin or Origin("-", 1)
            yield Problem(NO_CERTIFICATE, Level.ERROR, f"the certificate {names} cannot be used: {why}", origin)


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
