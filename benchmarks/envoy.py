"""The same mesh as istiod tells it to Envoy: one HTTP proxy listener, filters, virtual host, subset clusters.

Left out is only what stock Envoy lacks (istio.metadata_exchange, istio.alpn, istio.stats) or what Istio adds beyond
routing (1 % trace sampling): all of it would make Envoy dearer, none of it cheaper. Stats are at Envoy's defaults.
"""

from pathlib import Path

from benchmarks.certificate import certificate
from benchmarks.mesh import FQDN, HOST, PORT, SUBSETS, Document, Setup, paths

TYPE = "type.googleapis.com/envoy.extensions.filters"
UNLIMITED = 4294967295
# istio/istio pilot/pkg/networking/core/route/retry: the policy of a route that names none.
RETRY_POLICY: Document = {
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
    "host_selection_retry_max_attempts": "5",
}
# Istio's default text format.
ACCESS_LOG_FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)


def bootstrap(setup: Setup, *, port: int, admin: int, upstream_port: int, access_log: Path) -> Document:
    chain = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": _connection_manager(setup, access_log),
    }
    secured = {"transport_socket": _terminated()} if setup.edge == "tls" else {}
    chains = [{"filters": [chain], **secured}]
    listener = {"name": "http_proxy", "address": _address("127.0.0.1", port), "filter_chains": chains}
    return {
        "admin": {"address": _address("127.0.0.1", admin)},
        "static_resources": {
            "listeners": [listener],
            "clusters": [_cluster(subset, upstream_port) for subset in SUBSETS],
        },
    }


def _terminated() -> Document:
    chain, key = certificate()
    pair = {"certificate_chain": {"filename": str(chain)}, "private_key": {"filename": str(key)}}
    config = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificates": [pair], "alpn_protocols": ["http/1.1"]},
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}


def _connection_manager(setup: Setup, access_log: Path) -> Document:
    manager: Document = {
        "@type": f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"outbound_127.0.0.1_{PORT}",
        "normalize_path": True,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "use_remote_address": False,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {"name": "http_proxy", "validate_clusters": False, "virtual_hosts": [_virtual_host(setup)]},
        "http_filters": [
            _filter("grpc_stats.v3.FilterConfig", emit_filter_state=True, stats_for_all_methods=False),
            _filter("fault.v3.HTTPFault"),
            _filter("cors.v3.Cors"),
            _filter("router.v3.Router"),
        ],
    }
    if setup.access_log:
        manager["access_log"] = [_access_log(access_log)]
    return manager


def _virtual_host(setup: Setup) -> Document:
    names = (HOST, f"{HOST}.default", f"{HOST}.default.svc", FQDN)
    jason = {"name": "end-user", "string_match": {"exact": "jason"}}
    routes = [_route({"prefix": "/", "headers": [jason]}, "v2")]
    routes += [_route({"path" if kind == "exact" else kind: path}, "v3") for kind, path in paths(setup)]
    routes += [_route({"prefix": "/"}, "v3")]
    return {
        "name": f"{FQDN}:{PORT}",
        "domains": [form for name in names for form in (name, f"{name}:{PORT}")],
        "routes": routes,
        "include_request_attempt_count": True,
    }


def _route(match: Document, subset: str) -> Document:
    action = {
        "cluster": _cluster_name(subset),
        "timeout": "0s",
        "retry_policy": RETRY_POLICY,
        "max_grpc_timeout": "0s",
    }
    return {"match": match, "route": action, "decorator": {"operation": f"{FQDN}:{PORT}/*"}}


def _cluster(subset: str, upstream_port: int) -> Document:
    endpoints = [{"endpoint": {"address": _address(address, upstream_port)}} for address in SUBSETS[subset]]
    limits = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    name = _cluster_name(subset)
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [{**dict.fromkeys(limits, UNLIMITED), "track_remaining": True}]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _cluster_name(subset: str) -> str:
    return f"outbound|{PORT}|{subset}|{FQDN}"


def _filter(message: str, **fields: object) -> Document:
    name = f"envoy.filters.http.{message.partition('.')[0]}"
    return {"name": name, "typed_config": {"@type": f"{TYPE}.http.{message}", **fields}}


def _access_log(path: Path) -> Document:
    config = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": str(path),
        "log_format": {"text_format_source": {"inline_string": ACCESS_LOG_FORMAT}},
    }
    return {"name": "envoy.access_loggers.file", "typed_config": config}


def _address(host: str, port: int) -> Document:
    return {"socket_address": {"address": host, "port_value": port}}
