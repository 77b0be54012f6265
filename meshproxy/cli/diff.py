"""`meshproxy diff OLD NEW`: what changes for requests."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from meshproxy.base.message import Request
from meshproxy.cli.changes import Change, changes
from meshproxy.cli.compiled import RefusedError, build_options, compile_files
from meshproxy.cli.explain import gateway_name
from meshproxy.cli.options import Parser, add_maps, add_outbound, add_workload, color
from meshproxy.cli.outcome import differences, outcome
from meshproxy.cli.request_lines import read_requests
from meshproxy.cli.stream_changes import StreamChange, stream_changes
from meshproxy.control.asked import AskedError, answer_to
from meshproxy.plan.snapshot import Snapshot

_NONE, _SOME, _CONFIG = 0, 1, 65
_SIGNS = {"added": ("+", "32"), "removed": ("-", "31"), "moved": (">", "36"), "changed": ("~", "33")}
_EXAMPLES = """\
  meshproxy diff config/ config-new/
  meshproxy diff <(git show HEAD:reviews.yaml) reviews.yaml
  meshproxy diff --requests access.log config/ config-new/
  meshproxy diff -o json old.yaml new.yaml
"""


def main(argv: Sequence[str]) -> int:
    args = _parser().parse_args(argv)
    try:
        old, new = (compile_files((path,), build_options(args)).snapshot for path in (args.old, args.new))
        entries = _compared(old, new) if args.requests is None else _replayed(args, old, new)
    except RefusedError:
        return _CONFIG
    if args.output == "json":
        json.dump(entries, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("".join(_text(entry, colored=color(sys.stdout)) for entry in entries))
        sys.stderr.write(f"{len(entries) or 'no'} difference{'' if len(entries) == 1 else 's'} for requests\n")
    return _SOME if entries else _NONE


def _parser() -> Parser:
    parser = Parser("diff", "Say what changes for requests between two configurations.", _EXAMPLES)
    parser.add_argument("old", metavar="OLD", help="a file or a directory")
    parser.add_argument("new", metavar="NEW", help="a file or a directory")
    parser.add_argument(
        "--requests", metavar="FILE", help="compare these requests: an access log (text or JSON), or curl lines"
    )
    parser.add_argument("--gateway", metavar="NS/NAME", default="", help="the Gateway that receives --requests")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="(default %(default)s)")
    add_workload(parser)
    add_maps(parser)
    add_outbound(parser)
    return parser


Entry = dict[str, Any]


def _compared(old: Snapshot, new: Snapshot) -> list[Entry]:
    return [*map(_entry, changes(old, new)), *map(_of_stream, stream_changes(old, new))]


def _of_stream(change: StreamChange) -> Entry:
    return {
        "kind": change.kind,
        "rule": change.rule,
        "source": change.place,
        "listener": change.listener,
        "request": change.connection,
        "differences": _pairs(change.differences),
    }


def _entry(change: Change) -> Entry:
    return {
        "kind": change.kind,
        "rule": change.rule,
        "source": change.place,
        "listener": change.listener,
        "request": _shown(change.request),
        "differences": _pairs(change.differences),
    }


def _pairs(found: dict[str, tuple[str, str]]) -> list[Entry]:
    return [{"what": what, "before": before, "after": after} for what, (before, after) in found.items()]


def _shown(request: Request) -> str:
    """As a curl line has it."""
    target = (request.host + request.target).decode("latin-1")
    method = "" if request.method == b"GET" else f"-X {request.method.decode()} "
    headers = "".join(f"-H '{name.decode()}: {value.decode('latin-1')}' " for name, value in request.fields)
    return f"{method}{headers}{request.scheme.decode()}://{target}"


def _replayed(args: Any, old: Snapshot, new: Snapshot) -> list[Entry]:
    """The requests of a file whose outcome differs, those that are alike once."""
    path = args.requests
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        sys.stderr.write(f"{path}: {error.strerror}\n")
        raise RefusedError from None
    requests, problems = read_requests(path, text, gateway=gateway_name(args.gateway, args.namespace))
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    if problems and not requests:
        raise RefusedError
    found: dict[str, Entry] = {}
    for origin, asked in requests:
        try:
            before, after = answer_to(old, asked), answer_to(new, asked)
        except AskedError as error:
            sys.stderr.write(f"{origin.file}:{origin.line}:1: {error}\n")
            raise RefusedError from None
        changed = differences(outcome(before), outcome(after))
        if changed:
            shown = _shown(before.request)
            entry = found.setdefault(
                shown, {"kind": "changed", "request": shown, "lines": [], "differences": _pairs(changed)}
            )
            entry["lines"].append(origin.line)
    return list(found.values())


def _text(entry: Entry, *, colored: bool) -> str:
    return "".join(f"{line}\n" for line in _lines(entry, colored=colored))


def _lines(entry: Entry, *, colored: bool) -> Iterator[str]:
    sign, code = _SIGNS[entry["kind"]]
    head = (
        f"{sign} {entry['kind']:8} {entry['rule']}  {entry['source']}".rstrip()
        if "rule" in entry
        else f"{sign} {_where(entry)}"
    )
    yield f"\x1b[{code}m{head}\x1b[0m" if colored else head
    yield f"    {entry['request']}"
    for each in entry["differences"]:
        yield f"      {each['what']}"
        yield f"        before  {each['before']}"
        yield f"        after   {each['after']}"


def _where(entry: Entry) -> str:
    lines: Iterable[int] = entry["lines"]
    numbers = list(lines)
    more = f" and {len(numbers) - 3} more" if len(numbers) > 3 else ""
    return f"line {', '.join(map(str, numbers[:3]))}{more}"
