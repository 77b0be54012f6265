"""Listeners: one HTTP connection manager each, set as istiod sets a sidecar's outbound listener or a gateway's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from meshproxy.export.messages import KEEP_CASE, Json, extension, typed
from meshproxy.export.virtual_hosts import export_routes
from meshproxy.plan.listener import Listener

_MANAGER = "filters.network.http_connection_manager.v3.HttpConnectionManager"
_FILTERS = ("fault.v3.HTTPFault", "cors.v3.Cors", "router.v3.Router")
"""In their order: a fault comes before CORS."""
_MAX_HEAD_KIB = 60
_MAX_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Log:
    """Where requests are logged and how: `format` is text, or the operators of a JSON object by key."""

    path: str
    format: str | Mapping[str, str]


def export_listener(listener: Listener, log: Log) -> Json:
    manager = typed(
        _MANAGER,
        stat_prefix=listener.name,
        codec_type="AUTO",
        route_config=export_routes(listener),
        normalize_path=True,
        merge_slashes=False,
        path_with_escaped_slashes_action="KEEP_UNCHANGED",
        use_remote_address=listener.is_gateway,
        server_name="istio-envoy" if listener.is_gateway else "envoy",
        generate_request_id=True,
        stream_idle_timeout="300s",
        max_request_headers_kb=_MAX_HEAD_KIB,
        common_http_protocol_options={"max_headers_count": _MAX_FIELDS},
        http_protocol_options={"accept_http_10": True, "enable_trailers": True, "header_key_format": KEEP_CASE},
        upgrade_configs=[{"upgrade_type": "websocket"}],
        access_log=[_file_log(log)],
        http_filters=[
            extension(f"envoy.filters.http.{each.partition('.')[0]}", f"filters.http.{each}") for each in _FILTERS
        ],
    )
    return {
        "name": listener.name,
        "address": {"socket_address": {"address": listener.host, "port_value": listener.port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _file_log(log: Log) -> Json:
    form = log.format
    how: Json = (
        {"text_format_source": {"inline_string": form}} if isinstance(form, str) else {"json_format": dict(form)}
    )
    return extension("envoy.access_loggers.file", "access_loggers.file.v3.FileAccessLog", path=log.path, log_format=how)
