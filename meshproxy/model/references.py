"""Rules several kinds share about naming others: gateways, exportTo, workload selectors."""

from collections.abc import Iterator, Mapping

from meshproxy.model.checks import dns_label, domain, partial_wildcard, wildcard_domain
from meshproxy.model.hosts import is_ip
from meshproxy.model.place import Place
from meshproxy.model.problem import Problem


def gateway_name_problems(at: Place, names: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with the `gateways` at `at`. As Istio's, the check ends at the first name without a slash."""
    for index, name in enumerate(names):
        owner, slash, gateway = name.partition("/")
        if not slash:
            if wrong := domain(name):
                yield at.error("gateways", wrong, index)
            elif "." in name:
                short, namespace = name.split(".")[:2]
                yield at.warning("gateways", f'"{name}" is an old spelling: write "{namespace}/{short}"', index)
            return
        if not (owner and gateway):
            yield at.error("gateways", f'"{name}" is not of the form namespace/name', index)
            continue
        for part, said in ((owner, "namespace"), (gateway, "gateway")):
            if wrong := dns_label(part):
                yield at.error("gateways", f"the {said} of {name}: {wrong}", index)


def export_to_problems(
    at: Place, names: tuple[str, ...], namespace: str, *, none_allowed: bool = False
) -> Iterator[Problem]:
    """What is wrong with the `exportTo` of an object in `namespace`; `~` (nobody) is for ServiceEntries."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        meant = namespace if name == "." else name
        if meant in seen:
            same = f'"." and "{namespace}" are the same' if meant == namespace else f'"{name}" stands here twice'
            yield at.error("export_to", same, index)
        elif name == "~" and not none_allowed:
            yield at.error("export_to", '"~" (nobody) is only for ServiceEntries', index)
        elif meant not in ("*", "~") and (wrong := dns_label(meant)):
            yield at.error("export_to", f'{wrong}; or write "." (own namespace) or "*" (all)', index)
        seen.add(meant)
    for whole, said in (("*", "all"), ("~", "nobody")):
        if whole in seen and len(names) > 1:
            yield at.error("export_to", f'"{whole}" ({said}) excludes other entries')


def selector_problems(at: Place, labels: Mapping[str, str]) -> Iterator[Problem]:
    """A selector without labels selects everything in the namespace, which is seldom meant."""
    if not labels:
        yield at.warning("", "a workload selector without labels applies to the whole namespace")


def gateway_host_problem(written: str) -> str | None:
    """What is wrong with a host of a Gateway's server: `host`, `ns/host`, `./host` or `*/host`."""
    namespace, slash, host = written.partition("/")
    if not slash:
        return scoped_host_problem(written, ip_allowed=True)
    if not (namespace and host):
        return f'"{written}" is not of the form namespace/host'
    if namespace not in ("*", ".") and (wrong := dns_label(namespace)):
        return f"the namespace of {written}: {wrong}"
    return scoped_host_problem(host, ip_allowed=True)


def scoped_host_problem(host: str, *, ip_allowed: bool = False) -> str | None:
    """A host beside a namespace is a full name, `*.domain` or `*`."""
    if ip_allowed and is_ip(host):
        return None
    if host != "*" and "." not in host:
        return f'"{host}" is a short name: write the full name, such as {host or "reviews"}.default.svc.cluster.local'
    return wildcard_domain(host) or partial_wildcard(host)
