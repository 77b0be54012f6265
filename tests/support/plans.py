"""Small YAML texts to plans, for tests of the compiler and what lies above it."""

import textwrap

from meshproxy.base.message import Request
from meshproxy.compiler.build import build_snapshot
from meshproxy.compiler.options import BuildOptions, parse_bind, parse_map
from meshproxy.model.catalog import Source, read_catalog
from meshproxy.model.problem import Level

API = "apiVersion: networking.istio.io/v1"

REVIEWS = """
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  selector: {app: reviews}
  ports: [{name: http, port: 9080}]
"""

TWO_PORTS = """
apiVersion: v1
kind: Service
metadata: {name: two}
spec:
  ports: [{name: http-a, port: 8080}, {name: http-b, port: 8081}, {name: tcp, port: 5000}]
"""


def built(*texts, maps=(), binds=(), **options):
    """Snapshot and findings of the YAML `texts`; no text may have an error."""
    sources = [Source(f"{index}.yaml", textwrap.dedent(text).encode()) for index, text in enumerate(texts)]
    namespace = options.get("namespace", "default")
    catalog, problems = read_catalog(sources, namespace=namespace)
    assert [str(p) for p in problems if p.level is Level.ERROR] == []
    given = BuildOptions(maps=tuple(map(parse_map, maps)), binds=dict(map(parse_bind, binds)), **options)
    return build_snapshot(catalog, given)


def plan(*texts, **options):
    return built(*texts, **options)[0]


def virtual_service(http, *, name="reviews", hosts="[reviews]", namespace="default", **more):
    """One VirtualService; `http` is its list of rules, indented or not; `more` are further fields, as flow YAML."""
    fields = "".join(f"\n  {key}: {value}" for key, value in more.items())
    rules = textwrap.indent(textwrap.dedent(http).strip("\n"), "  ")
    head = f"{API}\nkind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  hosts: {hosts}"
    return f"{head}{fields}\n  http:\n{rules}\n"


def listener(snapshot, name="mesh"):
    return next(each for each in snapshot.listeners if each.name == name)


def host_of(snapshot, host, name="mesh"):
    return listener(snapshot, name).virtual_hosts.find(host.encode())


def routes_of(snapshot, host="reviews", name="mesh"):
    found = host_of(snapshot, host, name)
    return found.routes.routes if found is not None else ()


def request(path="/", *, method="GET", host="reviews", headers=(), query=None):
    fields = [(key.encode(), value.encode()) for key, value in headers]
    return Request(method.encode(), path.encode(), query.encode() if query is not None else None, host.encode(), fields)


def found_route(snapshot, asked, name="mesh"):
    """The route a request takes, or None."""
    host = host_of(snapshot, asked.host.decode(), name)
    return host.routes.find(asked) if host is not None else None


def clusters_of(route):
    return [destination.cluster for destination in route.action.destinations]


def endpoints_of(snapshot, cluster):
    return [(endpoint.address, endpoint.port) for endpoint in snapshot.clusters[cluster].endpoints]
