"""`meshproxy test`: route tests without a server, and which rules they reach."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from meshproxy.cli.compiled import RefusedError, build_options, compile_catalog, read_files, stop_for
from meshproxy.cli.options import Parser, add_config, add_maps, add_outbound, add_workload, color, config_paths, percent
from meshproxy.cli.testing.cases import Case, read_cases
from meshproxy.cli.testing.coverage import cover
from meshproxy.cli.testing.expect import Mismatch
from meshproxy.cli.testing.gateways import with_assumed_gateways
from meshproxy.cli.testing.report import FORMS, Result, render
from meshproxy.compiler.options import BuildOptions
from meshproxy.control.asked import AskedError, answer_to
from meshproxy.control.sources.files import load
from meshproxy.model.catalog import Catalog
from meshproxy.plan.explain import Decision
from meshproxy.plan.snapshot import Snapshot

_OK, _CONFIG, _FINDINGS = 0, 65, 79
_EXAMPLES = """\
  meshproxy test -f config/ tests/routes.yaml
  meshproxy test -f config/ --fail-under 90 -o junit tests/ > junit.xml
  meshproxy test -f config/ -o github tests/
"""


def main(argv: Sequence[str]) -> int:
    args = _parser().parse_args(argv)
    loaded = load(tuple(args.tests), {"-": sys.stdin.buffer.read()} if "-" in args.tests else {})
    try:
        stop_for(loaded.problems)
        cases, problems = read_cases(loaded.sources, args.namespace)
        stop_for(problems)
        catalog, assumed = with_assumed_gateways(read_files(config_paths(args), args.namespace))
        snapshots = _Snapshots(catalog, build_options(args))
        results = [_run(case, snapshots.of(case)) for case in cases]
    except RefusedError:
        return _CONFIG
    for name in assumed:
        sys.stderr.write(f"Gateway {name} is not in these files: one with an HTTP server for any host is assumed\n")
    covered = cover(catalog, snapshots.built, [result.decision for result in results if result.decision is not None])
    sys.stdout.write(render(results, covered, args.output, color=color(sys.stdout)))
    if covered.percent < args.fail_under:
        sys.stderr.write(f"only {covered.percent:.1f}% of the rules reached: --fail-under is {args.fail_under:g}\n")
        return _FINDINGS
    return _FINDINGS if any(result.mismatches for result in results) else _OK


def _parser() -> Parser:
    parser = Parser("test", "Ask the compiled configuration the requests of route tests.", _EXAMPLES)
    add_config(parser)
    add_workload(parser)
    add_maps(parser)
    add_outbound(parser)
    parser.add_argument("-o", "--output", choices=FORMS, default="text", help="(default %(default)s)")
    parser.add_argument(
        "--fail-under",
        metavar="PERCENT",
        type=percent,
        default=0.0,
        help="exit 79 if fewer of the rules are reached (default 0)",
    )
    parser.add_argument("tests", metavar="TESTFILE", nargs="+", help="a file or directory of route tests, or -")
    return parser


class _Snapshots:
    """The configuration as different workloads see it."""

    def __init__(self, catalog: Catalog, options: BuildOptions) -> None:
        self._catalog = catalog
        self._options = options
        self._by_workload: dict[tuple[object, ...], Snapshot] = {}
        self._of("", None)

    @property
    def built(self) -> tuple[Snapshot, ...]:
        return tuple(self._by_workload.values())

    def of(self, case: Case) -> Snapshot:
        return self._of(case.namespace, case.labels)

    def _of(self, namespace: str, labels: tuple[tuple[str, str], ...] | None) -> Snapshot:
        options = self._options
        key = (namespace or options.namespace, tuple(sorted(options.labels.items())) if labels is None else labels)
        if key not in self._by_workload:
            own: Mapping[str, str] = options.labels if labels is None else dict(labels)
            options = replace(options, namespace=namespace or options.namespace, labels=own)
            self._by_workload[key] = compile_catalog(self._catalog, options)
        return self._by_workload[key]


def _run(case: Case, snapshot: Snapshot) -> Result:
    try:
        decision = _anywhere(case, snapshot) if case.anywhere else answer_to(snapshot, case.asked)
    except AskedError as error:
        return Result(case, None, (Mismatch("request", "one that can be asked", str(error), case.origin),))
    return Result(case, decision, tuple(case.check(decision)))


def _anywhere(case: Case, snapshot: Snapshot) -> Decision:
    """On the first listener with a virtual host for it; istio-config-validator does not know of listeners."""
    gateways = [
        name for listener in snapshot.http_listeners if listener.virtual_hosts.hosts for name in listener.gateways
    ]
    decisions = [answer_to(snapshot, replace(case.asked, gateway=name)) for name in ("", *gateways)]
    return next((each for each in decisions if each.virtual_host is not None), decisions[0])
