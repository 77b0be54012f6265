"""ServerTLSSettings: the TLS a Gateway server or a Sidecar's ingress listener terminates."""

from collections.abc import Iterator
from dataclasses import dataclass

from meshproxy.model.fields import boolean, enum, messages, text, texts
from meshproxy.model.place import json_name
from meshproxy.model.problem import Problem
from meshproxy.model.reader import Message

_VERSIONS = ("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")
CIPHER_SUITES = frozenset(
    """ALL ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384
    ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305 ECDHE-ECDSA-AES128-SHA
    ECDHE-RSA-AES128-SHA ECDHE-ECDSA-AES256-SHA ECDHE-RSA-AES256-SHA AES128-GCM-SHA256 AES256-GCM-SHA384 AES128-SHA
    AES256-SHA DES-CBC3-SHA""".split()
)
_CREDENTIALS = (
    "server_certificate",
    "private_key",
    "ca_certificates",
    "tls_certificates",
    "credential_name",
    "credential_names",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSCertificate(Message):
    server_certificate: str = text()
    private_key: str = text()
    ca_certificates: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLSSettings(Message):
    https_redirect: bool = boolean()
    mode: str = enum("PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL")
    server_certificate: str = text()
    private_key: str = text()
    ca_certificates: str = text()
    ca_crl: str = text()
    credential_name: str = text()
    credential_names: tuple[str, ...] = texts()
    ca_cert_credential_name: str = text()
    tls_certificates: tuple[TLSCertificate, ...] = messages(TLSCertificate)
    subject_alt_names: tuple[str, ...] = texts()
    verify_certificate_spki: tuple[str, ...] = texts()
    verify_certificate_hash: tuple[str, ...] = texts()
    min_protocol_version: str = enum(*_VERSIONS)
    max_protocol_version: str = enum(*_VERSIONS)
    cipher_suites: tuple[str, ...] = texts()
    insecure_skip_verify: bool | None = boolean(None)

    @property
    def has_files(self) -> bool:
        """Whether any certificate or key is named by its path."""
        return bool(self.server_certificate or self.private_key or self.ca_certificates)

    def rules(self) -> Iterator[Problem]:
        yield from self._cipher_problems()
        if not self.mode and "mode" in self.at.marks:
            return  # unreadable, and said so
        if self.mode == "ISTIO_MUTUAL":
            for name in _CREDENTIALS:
                if getattr(self, name):
                    yield self.at.error(name, f"ISTIO_MUTUAL uses the mesh's certificates: remove {json_name(name)}")
            return
        if self.mode in ("", "PASSTHROUGH", "AUTO_PASSTHROUGH"):
            named = next((name for name in (*_CREDENTIALS, "ca_crl") if getattr(self, name)), None)
            if named is not None:
                yield self.at.warning(named, f"{self.mode or 'PASSTHROUGH'} uses no certificates: this is ignored")
        sources = (
            bool(self.server_certificate and self.private_key),
            bool(self.credential_name),
            bool(self.credential_names),
            bool(self.tls_certificates),
        )
        if sum(sources) > 1:
            message = "write one of credentialName, credentialNames, serverCertificate with privateKey, tlsCertificates"
            yield self.at.error("", message)
        if self.mode in ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"):
            if self.credential_name or self.credential_names:
                return
            yield from self._file_problems()
        if self.ca_crl and (self.credential_name or self.mode == "SIMPLE"):
            said = "credentialName" if self.credential_name else "mode SIMPLE"
            yield self.at.error("ca_crl", f"caCrl cannot be used with {said}")

    def _file_problems(self) -> Iterator[Problem]:
        if self.mode != "SIMPLE" and not self.ca_certificates:
            yield self.at.error("ca_certificates", f"mode {self.mode} needs caCertificates to check clients by")
        if len(self.tls_certificates) > 2:
            yield self.at.warning("tls_certificates", "at most two certificates (RSA and ECDSA) are used")
        for certificate in self.tls_certificates or (self,):
            for name in ("server_certificate", "private_key"):
                if not getattr(certificate, name):
                    message = f"mode {self.mode} needs a {json_name(name)} (or a credentialName)"
                    yield certificate.at.error(name, message)

    def _cipher_problems(self) -> Iterator[Problem]:
        if self.min_protocol_version in ("TLSV1_0", "TLSV1_1") and not self.cipher_suites:
            message = "TLS below 1.2 needs cipherSuites: the defaults have none for it"
            yield self.at.warning("min_protocol_version", message)
        for index, suite in enumerate(self.cipher_suites):
            if suite[:1].isalnum() and suite not in CIPHER_SUITES:
                yield self.at.warning("cipher_suites", f'"{suite}" is not a cipher suite of the proxy: ignored', index)
            elif suite in self.cipher_suites[:index]:
                yield self.at.warning("cipher_suites", f'"{suite}" stands here twice', index)
