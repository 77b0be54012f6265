"""Names: short-name expansion, wildcard hosts, exportTo, gateway references, cluster names.

What a name means; whether it is well formed is `checks.py`.
"""

from collections.abc import Iterable

from meshproxy.base.addresses import is_ip as is_ip

DOMAIN = "cluster.local"
MESH = "mesh"
"""The reserved gateway: every sidecar, here the outbound listener."""


def resolve_host(name: str, namespace: str) -> str:
    """The full name of a host as written in a resource of `namespace`, in lower case: a name without a dot gets the
    namespace and the cluster's domain; `*` and IP addresses stay; anything with a dot is taken as complete."""
    if "." in name or name == "*" or not name or is_ip(name):
        return name.lower()
    return f"{name.lower()}.{namespace}.svc.{DOMAIN}"


def is_wildcard(host: str) -> bool:
    """`*`, `*.foo.com`, `*-foo`."""
    return host.startswith("*")


def host_matches(host: str, pattern: str) -> bool:
    """Whether `pattern` covers all of `host`: each may be a wildcard. `*.foo.com` does not cover `foo.com`."""
    host, pattern = host.lower(), pattern.lower()
    if not is_wildcard(pattern):
        return host == pattern
    suffix = pattern[1:]
    return host.endswith(suffix) if is_wildcard(host) else host.endswith(suffix) and len(host) > len(suffix)


def host_intersection(one: str, other: str) -> str | None:
    """The narrower of two hosts of which one covers the other, or None."""
    if host_matches(one, other):
        return one
    return other if host_matches(other, one) else None


def wildcard_order(host: str) -> tuple[bool, int, str]:
    """Sorts hosts from the most specific: exact names first, then the longest wildcards."""
    return is_wildcard(host), -len(host), host


def is_exported(export_to: Iterable[str], owner: str, client: str) -> bool:
    """Whether an object of namespace `owner` with this exportTo is visible in namespace `client`.

    Nothing written means everywhere; `.` is the own namespace, `*` all, `~` none.
    """
    names = tuple(export_to)
    if not names:
        return True
    return any(name == "*" or (owner if name == "." else name) == client for name in names)


def resolve_gateway(name: str, namespace: str) -> str:
    """`namespace/name` of a gateway named in a resource of `namespace`; `mesh` stays.

    `./gw` is the own namespace, `gw.ns.svc.cluster.local` the old spelling of `ns/gw`.
    """
    if name == MESH:
        return name
    if "/" in name:
        owner, _, rest = name.partition("/")
        return f"{namespace if owner == '.' else owner}/{rest}"
    short, dot, rest = name.partition(".")
    return f"{rest.partition('.')[0] if dot else namespace}/{short}"


def service_host(name: str, namespace: str) -> str:
    """The host of a Kubernetes Service."""
    return f"{name}.{namespace}.svc.{DOMAIN}"


def cluster_name(port: int, subset: str, host: str) -> str:
    """`outbound|9080|v1|reviews.default.svc.cluster.local`."""
    return f"outbound|{port}|{subset}|{host}"
