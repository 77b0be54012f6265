"""What becomes of a request in words, by subject: two decisions are the same to a client where these words are."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.admin.decision_json import rewritten
from meshproxy.admin.decision_text import fault_lines, operation_lines, retry_line
from meshproxy.admin.ladder import cluster_policies, policy_text
from meshproxy.admin.stream_text import terminated
from meshproxy.admin.target_json import address, percent
from meshproxy.base.units import duration_text
from meshproxy.plan.explain import Decision
from meshproxy.plan.explain_stream import StreamDecision
from meshproxy.plan.explain_target import Target
from meshproxy.plan.rewrite import DirectResponse
from meshproxy.plan.route import Mirror, Route

Outcome = dict[str, str]

_OF = " of "
"""In the name of a subject that only means something where both sides send to the same destination."""


def outcome(decision: Decision) -> Outcome:
    """Subject → words; only what is there."""
    return {subject: words for subject, words in _subjects(decision) if words}


def stream_outcome(decision: StreamDecision) -> Outcome:
    """The same of a connection."""
    return {subject: words for subject, words in _of_stream(decision) if words}


def _of_stream(decision: StreamDecision) -> Iterator[tuple[str, str]]:
    reply, chain = decision.reply, decision.chain
    if reply is not None:
        why = f" ({reply.cause})" if reply.cause else ""
        yield "ends", f"{reply.status or 'closed'} {reply.flag}{why}"
    if chain is not None:
        yield "TLS", ", ".join(terminated(chain.tls)) if chain.tls is not None else ""
        yield "HTTP", f"by the listener {chain.http}" if chain.http else ""
    yield "sends to", _shares(decision)
    for target in decision.targets:
        yield from _cluster(target)
        if target.cluster is not None:
            yield f"idle timeout{_OF}{_name(target)}", duration_text(target.cluster.stream_idle_timeout)


def differences(before: Outcome, after: Outcome) -> dict[str, tuple[str, str]]:
    """The subjects whose words differ, with both; of destinations, those that both have."""
    subjects = dict.fromkeys((*before, *after))
    return {
        subject: (before.get(subject, "none"), after.get(subject, "none"))
        for subject in subjects
        if before.get(subject) != after.get(subject)
        and (_OF not in subject or (subject in before and subject in after))
    }


def _subjects(decision: Decision) -> Iterator[tuple[str, str]]:
    reply, route = decision.reply, decision.route
    if reply is not None:
        flag = f" {reply.flag}" if reply.flag else ""
        yield "answers", f"{reply.status}{flag} ({reply.cause})"
    yield "sends to", _shares(decision)
    for target in decision.targets:
        yield from _cluster(target)
    if route is not None:
        yield from _policies(route, decision)


def _shares(decision: Decision | StreamDecision) -> str:
    total = sum(getattr(target.to, "weight", 0) for target in decision.targets)
    return " + ".join(
        f"{100 * getattr(target.to, 'weight', 0) / total:.4g}% {_name(target)}"
        if len(decision.targets) > 1
        else _name(target)
        for target in decision.targets
    )


def _name(target: Target) -> str:
    to = target.to
    return f"{to.host}:{to.port}" + (f" subset {to.subset}" if to.subset else "")


def _cluster(target: Target) -> Iterator[tuple[str, str]]:
    cluster = target.cluster
    if cluster is None:
        return
    usable = sorted(
        address(each) + (f" (weight {each.weight})" if each.weight != 1 else "")
        for each in cluster.endpoints
        if each.healthy
    )
    yield f"endpoints{_OF}{_name(target)}", ", ".join(usable) or "none"
    yield f"balancer{_OF}{_name(target)}", cluster.balancer.value
    yield f"policies{_OF}{_name(target)}", "; ".join(f"{label} {words}" for label, words in cluster_policies(cluster))
    yield f"hashing{_OF}{_name(target)}", policy_text(cluster.hashing) if cluster.hashing is not None else ""
    yield f"connect timeout{_OF}{_name(target)}", duration_text(cluster.connect_timeout)


def _policies(route: Route, decision: Decision) -> Iterator[tuple[str, str]]:
    yield "timeout", duration_text(route.timeout) if route.timeout is not None else ""
    yield "retries", retry_line(route.retry) if decision.targets else ""
    yield "fault", ", ".join(fault_lines(route.fault)) if route.fault is not None else ""
    yield "rewritten to", "".join(reversed(rewritten(route.rewrite, decision))) if route.rewrite is not None else ""
    yield "request", ", ".join(operation_lines(route.request_headers)) if route.request_headers is not None else ""
    yield "response", ", ".join(operation_lines(route.response_headers)) if route.response_headers is not None else ""
    yield "hashes", ", ".join(map(policy_text, route.hashes))
    yield "cors", str(route.cors) if route.cors is not None else ""
    yield (
        "mirrors",
        " + ".join(
            f"{percent(each.to.share):g}% {_name(each)}" for each in decision.mirrors if isinstance(each.to, Mirror)
        ),
    )
    if isinstance(route.action, DirectResponse):
        yield "body", route.action.body.decode("utf-8", "replace")
    for target in decision.targets:
        for direction in ("request_headers", "response_headers"):
            ops = getattr(target.to, direction, None)
            if ops is not None:
                yield f"{direction.partition('_')[0]} to {_name(target)}", ", ".join(operation_lines(ops))
