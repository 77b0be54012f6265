"""ClientTLSSettings to the TLS that a cluster's connections begin with (Istio, `cluster_tls.go`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from meshproxy.compiler.options import BuildOptions
from meshproxy.compiler.registry import Service
from meshproxy.compiler.report import NO_CERTIFICATE, Report
from meshproxy.model.catalog import Catalog
from meshproxy.model.connection_pool import ClientTLSSettings
from meshproxy.model.service_entry import ServiceEntry
from meshproxy.plan.upstream_tls import Material, Pem, UpstreamTls

WORKLOAD_CERTIFICATES = "/etc/certs"
"""Where Istio mounts a workload's own certificate."""
_CHAIN, _KEY, _ROOT = (f"{WORKLOAD_CERTIFICATES}/{name}.pem" for name in ("cert-chain", "key", "root-cert"))
_ISTIO_ALPN = ("istio-http/1.1", "istio", "http/1.1")
_CHAIN_KEYS, _KEY_KEYS = ("tls.crt", "cert"), ("tls.key", "key")
_CA_KEYS, _CRL_KEYS = ("ca.crt", "cacert"), ("ca.crl", "crl")
_CONFIG_MAP = "configmap://"
_FILES = ("client_certificate", "private_key", "ca_certificates", "ca_crl")


class ClientCertificates:
    """What clients may present and trust: files, and Secrets of this workload's namespace."""

    def __init__(self, catalog: Catalog, options: BuildOptions, report: Report) -> None:
        self._secrets = {secret.meta.full_name: secret.values for secret in catalog.secrets}
        self._options = options
        self._report = report

    def build(
        self, settings: ClientTLSSettings | None, service: Service, *, port: int, subset: str, selected: bool
    ) -> UpstreamTls | None:
        """None: plain text. `selected`: the rule has a workloadSelector, without which Istio's sidecars take no
        credentialName and fall back to plain text."""
        if settings is None or settings.mode in ("", "DISABLE"):
            return None
        if settings.mode == "ISTIO_MUTUAL":
            return self._istio_mutual(settings, service, port, subset)
        if settings.credential_name and not selected:
            message = "a sidecar takes a credentialName only of a rule with a workloadSelector: plain text is sent"
            self._report.warn(NO_CERTIFICATE, message, settings.at.field("credential_name"))
            return None
        names = settings.subject_alt_names or _entry_names(service)
        verify = not settings.insecure_skip_verify
        values = self._credential(settings)
        mutual = settings.mode == "MUTUAL"
        if not settings.credential_name:
            self._tell_missing(settings, _FILES if mutual else _FILES[2:])
        named = settings.credential_name
        return UpstreamTls(
            mode=settings.mode,
            certificate=_material(named, values, _CHAIN_KEYS, settings.client_certificate) if mutual else "",
            key=_material(named, values, _KEY_KEYS, settings.private_key) if mutual else "",
            ca=_material(named, values, _CA_KEYS, settings.ca_certificates),
            crl=_material(
                named if any(values.get(key) for key in _CRL_KEYS) else "", values, _CRL_KEYS, settings.ca_crl
            ),
            sni=settings.sni,
            names=names if verify else (),
            verify=verify,
            verify_host=verify and not names and not settings.sni,
        )

    def _istio_mutual(self, settings: ClientTLSSettings, service: Service, port: int, subset: str) -> UpstreamTls:
        missing = [path for path in (_CHAIN, _KEY, _ROOT) if self._cannot_read(path)]
        if missing:
            message = f"{' and '.join(missing)} cannot be read: connections with ISTIO_MUTUAL fail"
            self._report.warn(NO_CERTIFICATE, message, settings.at.field("mode"))
        return UpstreamTls(
            mode=settings.mode,
            certificate=_CHAIN,
            key=_KEY,
            ca=_ROOT,
            sni=settings.sni or f"outbound_.{port}_.{subset}_.{service.host}",
            names=settings.subject_alt_names,
            alpn=_ISTIO_ALPN,
        )

    def _credential(self, settings: ClientTLSSettings) -> Mapping[str, bytes]:
        name = settings.credential_name
        if not name:
            return {}
        found = self._secrets.get(f"{self._options.namespace}/{name}", {})
        if not found and name.startswith(_CONFIG_MAP):
            self._report.unsupported(f"credentialName {_CONFIG_MAP}", settings.at.field("credential_name"))
        elif not found:
            message = f"there is no Secret {self._options.namespace}/{name}: connections fail"
            self._report.warn(NO_CERTIFICATE, message, settings.at.field("credential_name"))
        return found

    def _tell_missing(self, settings: ClientTLSSettings, names: Iterable[str]) -> None:
        for name in names:
            path = getattr(settings, name)
            if path and self._cannot_read(path):
                self._report.warn(NO_CERTIFICATE, f"{path} cannot be read: connections fail", settings.at.field(name))

    def _cannot_read(self, path: str) -> bool:
        """Said only where certificates are looked at at all: not where a file is checked on another machine."""
        return self._options.credentials is not None and not os.access(path, os.R_OK)


def _material(name: str, values: Mapping[str, bytes], keys: Iterable[str], path: str) -> Material:
    """A Secret that lacks it holds nothing, with which no connection can be made."""
    if not name:
        return path
    return Pem(name, next((values[key] for key in keys if values.get(key)), b""))


def _entry_names(service: Service) -> tuple[str, ...]:
    """Of the ServiceEntries that define the host: a rule without names takes theirs."""
    entries = (source for source in service.sources if isinstance(source, ServiceEntry))
    return tuple(dict.fromkeys(name for entry in entries for name in entry.subject_alt_names))
