"""Words about names in messages: quoting, lists, and "did you mean"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from meshproxy.analysis.view import Host
from meshproxy.model.hosts import DOMAIN

_CLUSTER = f".svc.{DOMAIN}"
_END = '"?'
_MANY = 200


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean "reviews"?`, or nothing where no known name is close."""
    candidates = sorted(set(known) - {name})
    if len(candidates) > _MANY:
        # each comparison costs microseconds, and there is one for every missing name
        candidates = [each for each in candidates if each[:1] == name[:1] and abs(len(each) - len(name)) < 3]
    close = difflib.get_close_matches(name, candidates[:_MANY], n=1)
    return f'; did you mean "{close[0]}{_END}' if close else ""


def quoted(names: Iterable[str]) -> str:
    """`"a", "b"` in order."""
    return ", ".join(f'"{name}"' for name in names)


def known(what: str, names: Iterable[str], limit: int = 8) -> str:
    """`; known subsets: v1, v2`, or `; there are no subsets`; with at most `limit` names."""
    found = sorted(set(names))
    if not found:
        return f"; there are no {what}"
    more = f" and {len(found) - limit} more" if len(found) > limit else ""
    return f"; known {what}: {', '.join(found[:limit])}{more}"


def host_hint(written: str, full: str, namespace: str, hosts: Iterable[Host]) -> str:
    """What may have been meant by a host that is not there: the same name elsewhere, or a similar one."""
    label = written.partition(".")[0]
    elsewhere = [host.name for host in hosts if host.name.partition(".")[0] == label and host.name != full]
    if elsewhere and "." not in written:
        return f"; there is {quoted(elsewhere[:3])}: write the full name"
    if full.endswith(_CLUSTER) and "." in written:
        # what all names of the cluster have in common makes none of them similar
        local = (host.name.removesuffix(_CLUSTER) for host in hosts if host.name.endswith(_CLUSTER))
        hint = did_you_mean(written.removesuffix(_CLUSTER), local)
        return f"{hint.removesuffix(_END)}{_CLUSTER}{_END}" if hint else ""
    if "." in written:
        return did_you_mean(written, (host.name for host in hosts))
    return did_you_mean(written, (host.name.partition(".")[0] for host in hosts if host.namespace == namespace))
