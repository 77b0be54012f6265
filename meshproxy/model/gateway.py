"""Gateway: its servers, their ports, hosts and TLS."""

from collections.abc import Mapping
from dataclasses import dataclass

from meshproxy.model.fields import boolean, enum, message, messages, text, text_map, texts, whole
from meshproxy.model.reader import Message
from meshproxy.model.resource import Resource

_VERSIONS = ("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port(Message):
    number: int = whole()
    protocol: str = text()
    name: str = text()
    target_port: int = whole()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Message):
    port: Port | None = message(Port)
    bind: str = text()
    hosts: tuple[str, ...] = texts()
    tls: ServerTLSSettings | None = message(ServerTLSSettings)
    default_endpoint: str = text()
    name: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway(Resource):
    servers: tuple[Server, ...] = messages(Server)
    selector: Mapping[str, str] = text_map()
