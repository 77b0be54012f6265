"""TLS to an upstream as Envoy's transport socket. Files stay files; of a Secret only what is no secret is written out."""

from __future__ import annotations

from meshproxy.export.messages import Json, extension, present
from meshproxy.plan.upstream_tls import Material, Pem, UpstreamTls

_SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


def export_upstream_tls(tls: UpstreamTls) -> Json:
    validation: Json = {}
    if tls.verify:
        names = [{"san_type": kind, "matcher": {"exact": name}} for name in tls.names for kind in ("DNS", "URI")]
        validation = {
            "trusted_ca": _source(tls.ca) or {"filename": _SYSTEM_ROOTS},
            "crl": _source(tls.crl),
            "match_typed_subject_alt_names": names,
        }
    pair = {"certificate_chain": _source(tls.certificate), "private_key": _source(tls.key)}
    common = {
        "tls_certificates": [pair] if all(pair.values()) else [],
        "validation_context": present(validation),
        "alpn_protocols": list(tls.alpn),
    }
    return extension(
        "envoy.transport_sockets.tls",
        "transport_sockets.tls.v3.UpstreamTlsContext",
        **present({"common_tls_context": present(common), "sni": tls.sni}),
    )


def _source(material: Material) -> Json | None:
    if isinstance(material, Pem):
        return {"inline_string": material.content.decode()} if b"PRIVATE KEY" not in material.content else None
    return {"filename": material} if material else None
