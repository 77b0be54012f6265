"""ServerTLSSettings to the TLS a server terminates: where its certificates come from, and what is wrong with them.

A credentialName is a Secret among the manifests, of our namespace, the Gateway's or the root namespace, else a
directory of `--credentials`. ISTIO_MUTUAL uses the workload's own certificate, which Istio's SDS calls `default`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from meshproxy.base.origin import Origin
from meshproxy.compiler.destination_rules import ROOT_NAMESPACE
from meshproxy.compiler.options import BuildOptions, Credentials
from meshproxy.compiler.report import CERTIFICATE_DATES, NO_CERTIFICATE, Report
from meshproxy.model.catalog import Catalog
from meshproxy.model.server_tls import CIPHER_SUITES, ServerTLSSettings
from meshproxy.plan.server_tls import ClientCertificates, KeyPair, ServerTls
from meshproxy.wire.certificates import CertificateError, first_certificate, validity

WORKLOAD = "default"
TERMINATING = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL")
_CLIENTS = {
    "MUTUAL": ClientCertificates.REQUIRED,
    "ISTIO_MUTUAL": ClientCertificates.REQUIRED,
    "OPTIONAL_MUTUAL": ClientCertificates.OPTIONAL,
}
_VERSIONS = {"TLSV1_0": "TLSv1", "TLSV1_1": "TLSv1.1", "TLSV1_2": "TLSv1.2", "TLSV1_3": "TLSv1.3"}
_PAIR_KEYS = (("tls.crt", "tls.key"), ("cert", "key"))
_CA_KEYS = ("ca.crt", "cacert")
_CRL_KEYS = ("ca.crl", "crl")
_SOON = 14 * 24 * 3600
"""A certificate that expires within this time is told of."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a credential or a set of files holds, and where it is written."""

    name: str
    certificate: bytes
    key: bytes
    origin: Origin


class Certificates:
    """All certificates there are, by name and by path."""

    def __init__(self, catalog: Catalog, options: BuildOptions, report: Report) -> None:
        self._secrets = {secret.meta.full_name: secret.values for secret in catalog.secrets}
        self._given = options.credentials or Credentials()
        # without --credentials and files nothing can be said of what is not there
        self._knows_all = options.credentials is not None
        self._namespace = options.namespace
        self._now = options.now
        self._report = report

    def build(self, settings: ServerTLSSettings, owner: str, alpn: tuple[str, ...]) -> ServerTls:
        """The TLS of a server of a Gateway in namespace `owner`; without pairs where there is no certificate."""
        if settings.insecure_skip_verify:
            self._report.unsupported("insecureSkipVerify", settings.at.field("insecure_skip_verify"))
        pairs = tuple(pair for found in self._found(settings, owner) if (pair := self._pair(found)) is not None)
        clients = _CLIENTS.get(settings.mode, ClientCertificates.NONE)
        asks = clients is not ClientCertificates.NONE
        ca = self._ca(settings, owner) if asks else b""
        return ServerTls(
            pairs=pairs if ca or not asks else (),
            clients=clients,
            ca=ca,
            crl=self._crl(settings, owner) if asks else b"",
            minimum=_VERSIONS.get(settings.min_protocol_version, "TLSv1.2"),
            maximum=_VERSIONS.get(settings.max_protocol_version, "TLSv1.3"),
            cipher_suites=_suites(settings.cipher_suites),
            alpn=alpn,
            subject_alt_names=frozenset(settings.subject_alt_names),
            key_hashes=self._hashes(settings, "verify_certificate_spki", base64.b64decode),
            certificate_hashes=self._hashes(settings, "verify_certificate_hash", _from_hex),
            origin=settings.at.origin,
        )

    def _found(self, settings: ServerTLSSettings, owner: str) -> Iterable[_Found]:
        if settings.mode == "ISTIO_MUTUAL":
            yield from self._named(WORKLOAD, owner, settings.at.field("mode"))
        if settings.credential_name:
            yield from self._named(settings.credential_name, owner, settings.at.field("credential_name"))
        for index, name in enumerate(settings.credential_names[:2]):
            yield from self._named(name, owner, settings.at.field("credential_names", index))
        for files in settings.tls_certificates[:2] or ((settings,) if settings.server_certificate else ()):
            origin = files.at.field("server_certificate")
            certificate = self._file(files.server_certificate, origin)
            key = self._file(files.private_key, files.at.field("private_key"))
            if certificate and key:
                yield _Found(files.server_certificate, certificate, key, origin)

    def _named(self, name: str, owner: str, origin: Origin) -> Iterable[_Found]:
        values = self._secret(name, owner)
        for certificate, key in _PAIR_KEYS:
            if values.get(certificate) and values.get(key):
                yield _Found(name, values[certificate], values[key], origin)
                return
        if values:
            self._report.warn(NO_CERTIFICATE, f'the credential "{name}" has no certificate with its key', origin)
        elif self._knows_all:
            where = f"no Secret and no directory of --credentials has the name {name}"
            self._report.warn(NO_CERTIFICATE, f"{where}: connections to this server are closed", origin)

    def _secret(self, name: str, owner: str) -> Mapping[str, bytes]:
        for namespace in dict.fromkeys((self._namespace, owner, ROOT_NAMESPACE)):
            if found := self._secrets.get(f"{namespace}/{name}"):
                return found
        return self._given.secrets.get(name, {})

    def _file(self, path: str, origin: Origin) -> bytes:
        content = self._given.files.get(path, b"")
        if not content and self._knows_all and path:
            self._report.warn(NO_CERTIFICATE, f"{path} cannot be read: connections to this server are closed", origin)
        return content

    def _ca(self, settings: ServerTLSSettings, owner: str) -> bytes:
        if settings.mode == "ISTIO_MUTUAL":
            names, origin = [WORKLOAD], settings.at.field("mode")
        elif settings.ca_certificates:
            return self._file(settings.ca_certificates, settings.at.field("ca_certificates"))
        else:
            names = [settings.ca_cert_credential_name] if settings.ca_cert_credential_name else []
            for name in (settings.credential_name, *settings.credential_names):
                names += [name, f"{name}-cacert"] if name else []
            origin = settings.at.field("ca_cert_credential_name" if settings.ca_cert_credential_name else "mode")
        found = self._first(names, _CA_KEYS, owner)
        if not found and self._knows_all:
            message = f"mode {settings.mode} finds no ca.crt to check clients by: connections to this server are closed"
            self._report.warn(NO_CERTIFICATE, message, origin)
        return found

    def _crl(self, settings: ServerTLSSettings, owner: str) -> bytes:
        if settings.ca_crl:
            return self._file(settings.ca_crl, settings.at.field("ca_crl"))
        return self._first([settings.credential_name, *settings.credential_names], _CRL_KEYS, owner)

    def _first(self, names: Iterable[str], keys: Iterable[str], owner: str) -> bytes:
        held = [self._secret(name, owner) for name in names if name]
        return next((values[key] for values in held for key in keys if values.get(key)), b"")

    def _pair(self, found: _Found) -> KeyPair | None:
        """What is told of a certificate that is no good; one that has expired is served all the same, as in Envoy."""
        try:
            not_before, not_after = validity(first_certificate(found.certificate))
        except CertificateError as error:
            self._report.warn(NO_CERTIFICATE, f"{found.name}: {error}", found.origin)
            return None
        now = self._now
        if now and not not_before <= now:
            self._report.warn(CERTIFICATE_DATES, f"the certificate {found.name} is not valid yet", found.origin)
        elif now and now > not_after:
            self._report.warn(CERTIFICATE_DATES, f"the certificate {found.name} has expired", found.origin)
        elif now and now > not_after - _SOON:
            days = int(not_after - now) // 86400
            self._report.warn(CERTIFICATE_DATES, f"the certificate {found.name} expires in {days} days", found.origin)
        return KeyPair(name=found.name, certificate=found.certificate, key=found.key, not_after=not_after)

    def _hashes(self, settings: ServerTLSSettings, field: str, decode: Callable[[str], bytes]) -> frozenset[bytes]:
        found: set[bytes] = set()
        for index, text in enumerate(getattr(settings, field)):
            try:
                digest = decode(text)
            except (binascii.Error, ValueError):
                digest = b""
            if len(digest) != 32:
                self._report.warn(NO_CERTIFICATE, f'"{text}" is no SHA-256 digest', settings.at.field(field, index))
            # a digest that nothing can have: whoever asked for it wants nobody else
            found.add(digest)
        return frozenset(found)


def _from_hex(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _suites(written: Iterable[str]) -> tuple[str, ...]:
    """Envoy's alternatives `[A|B]` are both taken; what is no suite has been warned of."""
    names = (name for group in written for name in group.strip("[]").split("|"))
    return tuple(dict.fromkeys(name for name in names if name in CIPHER_SUITES))
