"""The entry of the export: a whole Envoy configuration that needs nobody to talk to."""

from __future__ import annotations

from meshproxy.export.clusters import export_cluster
from meshproxy.export.gaps import exported
from meshproxy.export.listeners import Log, export_listener
from meshproxy.export.messages import Json
from meshproxy.plan.snapshot import Snapshot

_RUNTIME = {
    "envoy.reloadable_features.http_reject_path_with_fragment": False,
    "re2.max_program_size.error_level": 32768,
}
"""As istiod's bootstrap: the fragment of a path is cut, not refused; large patterns are patterns."""


def export_bootstrap(snapshot: Snapshot, *, admin: tuple[str, int], log: Log) -> Json:
    """`admin`: address and port of Envoy's own admin interface. `gaps.export_gaps` says what is left out."""
    return {
        "admin": {"address": {"socket_address": {"address": admin[0], "port_value": admin[1]}}},
        "static_resources": {
            "listeners": [export_listener(each, log) for each in snapshot.listeners if each.streams is None],
            "clusters": [export_cluster(each) for each in snapshot.clusters.values() if exported(each)],
        },
        "layered_runtime": {"layers": [{"name": "static", "static_layer": _RUNTIME}]},
    }
