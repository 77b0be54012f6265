"""What a route does with its requests besides choosing a cluster, as Envoy has it: header operations, retries, faults,
CORS, mirrors."""

from __future__ import annotations

from meshproxy.export.messages import Json, duration, extension, fraction, present, string_match, text, typed
from meshproxy.plan.cors import Cors
from meshproxy.plan.fault import Fault
from meshproxy.plan.header_ops import HeaderOps
from meshproxy.plan.retry import Retry
from meshproxy.plan.route import Mirror

_HOST_SELECTION_ATTEMPTS = 5
_OVERWRITE, _APPEND = "OVERWRITE_IF_EXISTS_OR_ADD", "APPEND_IF_EXISTS_OR_ADD"


def export_operations(request: HeaderOps | None, response: HeaderOps | None) -> Json:
    """The fields of a route or a weighted cluster that change headers."""
    fields: Json = {}
    for kind, ops in (("request", request), ("response", response)):
        if ops is None:
            continue
        options = [(ops.set, _OVERWRITE), (ops.add, _APPEND)]
        fields[f"{kind}_headers_to_add"] = [
            {"header": {"key": text(name), "value": template.text}, "append_action": action}
            for pairs, action in options
            for name, template in pairs
        ]
        fields[f"{kind}_headers_to_remove"] = sorted(map(text, ops.remove))
    return present(fields)


def export_retry(retry: Retry | None) -> Json | None:
    if retry is None:
        return None
    previous = extension(
        "envoy.retry_host_predicates.previous_hosts", "retry.host.previous_hosts.v3.PreviousHostsPredicate"
    )
    return present(
        {
            "retry_on": ",".join(sorted(retry.conditions)),
            "retriable_status_codes": sorted(retry.statuses),
            "num_retries": retry.attempts,
            "per_try_timeout": duration(retry.per_try_timeout) if retry.per_try_timeout is not None else None,
            "retry_back_off": {"base_interval": duration(retry.base), "max_interval": duration(retry.maximum)},
            "retry_host_predicate": [previous] if retry.avoid_previous_hosts else None,
            "host_selection_retry_max_attempts": _HOST_SELECTION_ATTEMPTS,
        }
    )


def export_mirrors(mirrors: tuple[Mirror, ...]) -> list[Json]:
    return [
        {
            "cluster": mirror.cluster,
            "runtime_fraction": {"default_value": fraction(mirror.share)},
            "trace_sampled": False,
            "disable_shadow_host_suffix_append": not mirror.shadow_suffix,
        }
        for mirror in mirrors
    ]


def export_filter_config(fault: Fault | None, cors: Cors | None) -> Json:
    """What the filters before the router do on this route."""
    return present(
        {
            "envoy.filters.http.fault": _fault(fault) if fault is not None else None,
            "envoy.filters.http.cors": _cors(cors) if cors is not None else None,
        }
    )


def _fault(fault: Fault) -> Json:
    fields: Json = {}
    if fault.delay_share:
        fields["delay"] = {"fixed_delay": duration(fault.delay), "percentage": fraction(fault.delay_share)}
    if fault.abort_share:
        grpc = fault.abort_grpc_status
        kind = {"http_status": fault.abort_status} if grpc is None else {"grpc_status": grpc}
        fields["abort"] = {**kind, "percentage": fraction(fault.abort_share)}
    return typed("filters.http.fault.v3.HTTPFault", **fields)


def _cors(cors: Cors) -> Json:
    fields: Json = {
        "allow_origin_string_match": [string_match(each) for each in cors.origins],
        "allow_methods": text(cors.methods),
        "allow_headers": text(cors.headers),
        "expose_headers": text(cors.expose_headers),
        "max_age": str(cors.max_age) if cors.max_age is not None else None,
        "allow_credentials": cors.credentials,
        "filter_enabled": {"default_value": {"numerator": 100}},
        "forward_not_matching_preflights": cors.forward_unmatched_preflights,
    }
    return typed("filters.http.cors.v3.CorsPolicy", **present(fields))
