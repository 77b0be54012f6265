"""TLS contexts of clusters: made when a connection first needs one, made anew when one of its files has changed."""

from __future__ import annotations

import ssl
from pathlib import Path

from meshproxy.plan.upstream_tls import Material, Pem, UpstreamTls
from meshproxy.wire.tls_client import client_context

_Stamp = tuple[tuple[int, int, int], ...]


class Contexts:
    """By their plan. Files are looked at, not read, for each new connection."""

    def __init__(self) -> None:
        self._made: dict[UpstreamTls, tuple[_Stamp, ssl.SSLContext]] = {}

    def of(self, plan: UpstreamTls) -> ssl.SSLContext:
        """Raises OSError, which names what cannot be used."""
        stamp = tuple(_stamp(each) for each in (plan.certificate, plan.key, plan.ca, plan.crl))
        made = self._made.get(plan)
        if made is not None and made[0] == stamp:
            return made[1]
        context = client_context(
            certificate=_given(plan.certificate),
            key=_given(plan.key),
            ca=_given(plan.ca),
            crl=_given(plan.crl),
            verify=plan.verify,
            alpn=plan.alpn,
        )
        self._made[plan] = stamp, context
        return context

    def keep(self, plans: set[UpstreamTls]) -> None:
        """Forgets all others."""
        self._made = {plan: made for plan, made in self._made.items() if plan in plans}


def _stamp(material: Material) -> tuple[int, int, int]:
    """What changes with a file: also where it is a link to another one, as in Kubernetes' volumes."""
    if isinstance(material, Pem) or not material:
        return 0, 0, 0
    try:
        status = Path(material).stat()
    except OSError as error:
        raise OSError(error.errno, f"{material}: {error.strerror}") from None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _given(material: Material) -> str | bytes:
    if not isinstance(material, Pem):
        return material
    if not material.content:
        raise OSError(0, f"the credential {material.name} lacks what the connection needs")
    return material.content
