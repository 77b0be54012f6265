"""Names: short-name expansion, wildcard hosts, exportTo, gateway references, cluster names."""

from collections.abc import Iterable

DOMAIN = "cluster.local"


def resolve_host(name: str, namespace: str) -> str:
    """The full name of a host as written in a resource of `namespace`: a name without a dot gets the namespace
    and the cluster's domain; `*` and IP addresses stay; anything with a dot is taken as complete."""
    raise NotImplementedError


def is_wildcard(host: str) -> bool:
    """`*`, `*.foo.com`, `*-foo`."""
    return host.startswith("*")


def host_matches(host: str, pattern: str) -> bool:
    """Whether `pattern` (exact or wildcard) covers `host` (which may be a wildcard itself)."""
    raise NotImplementedError


def host_intersection(one: str, other: str) -> str | None:
    """The narrower of two hosts of which one covers the other, or None."""
    raise NotImplementedError


def is_exported(export_to: Iterable[str], owner: str, client: str) -> bool:
    """Whether an object of namespace `owner` with this exportTo is visible in namespace `client`."""
    raise NotImplementedError


def resolve_gateway(name: str, namespace: str) -> str:
    """`namespace/name` of a gateway named in a resource of `namespace`; `mesh` stays."""
    raise NotImplementedError


def cluster_name(port: int, subset: str, host: str) -> str:
    """`outbound|9080|v1|reviews.default.svc.cluster.local`."""
    return f"outbound|{port}|{subset}|{host}"
