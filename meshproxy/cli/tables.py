"""`meshproxy routes | clusters | endpoints | listeners`: the compiled plan as tables, from files or a live proxy.

Tables are made of the same JSON that `-o json` and the admin's `/config_dump` give.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from typing import Any

from meshproxy.cli.options import Parser, add_addresses, add_config, add_outbound, add_workload, config_paths
from meshproxy.control.settings import Address, address_text, parse_address

_OK, _FAILURE, _CONFIG = 0, 1, 65
_TIMEOUT = 10.0
_EXAMPLES = """\
  meshproxy {verb} -f config/
  meshproxy {verb} -f reviews.yaml --map reviews:v2=127.0.0.1:9082 -o json
  meshproxy {verb} --admin 127.0.0.1:15000
"""
Plan = dict[str, Any]
Row = tuple[str, ...]


class _UnavailableError(Exception):
    """There is no plan to show; the message says why, where it has not been said yet."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def main(argv: Sequence[str]) -> int:
    verb, *rest = argv
    args = _parser(verb).parse_args(rest)
    table = _TABLES[verb]
    try:
        plan = _from_admin(args.admin) if args.admin is not None else _from_files(args)
    except _UnavailableError as error:
        sys.stderr.write(str(error))
        return error.code
    if args.output == "json":
        json.dump(table.as_json(plan), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(_aligned([table.header, *table.rows(plan)]))
    return _OK


def _parser(verb: str) -> Parser:
    parser = Parser(verb, f"Print the {verb} of the compiled configuration.", _EXAMPLES.format(verb=verb))
    add_config(parser)
    parser.add_argument("--admin", metavar="HOST:PORT", type=_address, help="ask the proxy whose admin port this is")
    parser.add_argument("-o", "--output", choices=("short", "json"), default="short", help="(default %(default)s)")
    add_workload(parser)
    add_addresses(parser)
    add_outbound(parser)
    return parser


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _from_admin(address: Address) -> Plan:
    """The plan a running proxy serves."""
    connection = HTTPConnection(*address, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/config_dump")
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException) as error:
        message = f"{address_text(address)}: no answer from an admin port: {error}\n"
        raise _UnavailableError(message, _FAILURE) from None
    finally:
        connection.close()
    if response.status != 200:
        message = f"{address_text(address)}: {response.status} {body.decode(errors='replace').strip()}\n"
        raise _UnavailableError(message, _FAILURE)
    plan: Plan = json.loads(body)
    return plan


def _from_files(args: argparse.Namespace) -> Plan:
    # not needed where a running proxy is asked
    from meshproxy.cli.compiled import RefusedError, build_options, compile_files
    from meshproxy.compiler.options import parse_bind
    from meshproxy.plan.dump import plan_as_json

    binds = dict(map(parse_bind, args.bind))
    options = replace(build_options(args), binds=binds, privileged_ports=args.privileged_ports)
    try:
        return plan_as_json(compile_files(config_paths(args), options).snapshot)
    except RefusedError:
        raise _UnavailableError("", _CONFIG) from None


# --- what the tables show


class _Table:
    """One verb: its columns, as istioctl proxy-config has them, and its part of the plan."""

    def __init__(self, header: str, rows: Callable[[Plan], Iterator[Row]], as_json: Callable[[Plan], Any]) -> None:
        self.header = tuple(header.split("|"))
        self.rows = rows
        self.as_json = as_json


def _route_rows(plan: Plan) -> Iterator[Row]:
    for listener in _with_routes(plan):
        for host in listener["virtual_hosts"]:
            for route in host["routes"]:
                yield _table_name(listener), host["name"], _domains(host["domains"]), _match(route), _owner(route)


def _with_routes(plan: Plan) -> Iterator[Plan]:
    """Listeners, and those behind their TLS."""
    for listener in plan["listeners"]:
        yield listener
        yield from listener["behind"]


def _cluster_rows(plan: Plan) -> Iterator[Row]:
    for cluster in plan["clusters"]:
        subset, rule = cluster.get("subset", "-"), _dotted(cluster.get("rule", ""))
        yield cluster["host"], str(cluster["port"]), subset, "outbound", cluster["resolution"], rule


def _endpoint_rows(plan: Plan) -> Iterator[Row]:
    for cluster in plan["clusters"]:
        for endpoint in cluster["endpoints"]:
            status = "HEALTHY" if endpoint["healthy"] else "UNHEALTHY"
            yield _endpoint(endpoint), status, "OK", cluster["name"]


def _listener_rows(plan: Plan) -> Iterator[Row]:
    for listener in plan["listeners"]:
        address = listener["host"], str(listener["port"])
        if "streams" in listener:
            yield from ((*address, *chain) for chain in _chains(listener))
        else:
            yield *address, "ALL", f"Route: {_table_name(listener)}"


def _chains(listener: Plan) -> Iterator[tuple[str, str]]:
    for chain in listener["streams"]:
        match = f"SNI: {', '.join(chain['server_names'])}" if chain["server_names"] else "ALL"
        if "tunnel" in chain:
            targets = chain["tunnel"]["action"]["route"]
            shown = [
                f"{each['cluster']} ({each['weight']})" if len(targets) > 1 else each["cluster"] for each in targets
            ]
            yield match, f"Cluster: {', '.join(shown)}"
        else:
            yield match, f"Route: {chain.get('http', '')}"


def _table_name(listener: Plan) -> str:
    """A listener behind TLS has the name of its route table already."""
    if str(listener["name"]).startswith("https."):
        return str(listener["name"])
    return f"http.{listener['server_port']}" if listener["is_gateway"] else str(listener["name"])


def _owner(route: Plan) -> str:
    """The VirtualService the route was written in: on a gateway several may share a virtual host."""
    kind, _, name = route.get("origin", {}).get("resource", "").partition(" ")
    return _dotted(name) if kind == "VirtualService" else ""


def _domains(domains: list[str]) -> str:
    """The first two of those without a port, the shortest first, and how many more there are."""
    names = sorted((domain for domain in domains if ":" not in domain), key=len) or domains
    more = f" + {len(names) - 2} more..." if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def _match(route: Plan) -> str:
    path = route.get("path", {"prefix": "/"})
    shown = {"exact": "{}", "prefix": "{}*", "regex": "regex {}"}
    text = next(form.format(path[kind]) for kind, form in shown.items() if kind in path)
    conditions = [_condition(each) for each in route["conditions"]]
    return " ".join((text, *conditions))


def _condition(condition: Plan) -> str:
    """`header end-user exact jason`."""
    words: list[str] = []
    for key, value in condition.items():
        words.append(key.replace("_", " "))
        words += [value] if isinstance(value, str) else [f"{kind} {text}" for kind, text in value.items()]
    return f"[{' '.join(words)}]"


def _endpoint(endpoint: Plan) -> str:
    address: str = endpoint["address"]
    return address if address.startswith("unix:") else address_text((address, endpoint["port"]))


def _dotted(name: str) -> str:
    """`namespace/name` as istioctl writes it: `name.namespace`."""
    namespace, _, short = name.partition("/")
    return f"{short}.{namespace}" if short else name


def _aligned(rows: Sequence[Row]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(
        "     ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )


_TABLES = {
    "routes": _Table(
        "NAME|VHOST NAME|DOMAINS|MATCH|VIRTUAL SERVICE",
        _route_rows,
        lambda plan: [
            {"name": _table_name(each), "listener": each["name"], "virtual_hosts": each["virtual_hosts"]}
            for each in _with_routes(plan)
        ],
    ),
    "clusters": _Table(
        "SERVICE FQDN|PORT|SUBSET|DIRECTION|TYPE|DESTINATION RULE", _cluster_rows, lambda plan: plan["clusters"]
    ),
    "endpoints": _Table(
        "ENDPOINT|STATUS|OUTLIER CHECK|CLUSTER",
        _endpoint_rows,
        lambda plan: [{"cluster": each["name"], "endpoints": each["endpoints"]} for each in plan["clusters"]],
    ),
    "listeners": _Table(
        "ADDRESSES|PORT|MATCH|DESTINATION",
        _listener_rows,
        lambda plan: [{k: v for k, v in each.items() if k != "virtual_hosts"} for each in plan["listeners"]],
    ),
}
