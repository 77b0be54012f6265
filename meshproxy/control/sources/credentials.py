"""The certificates a configuration names: the files of credentials in `--credentials DIR` and those named by path.

A credential is a directory of DIR, laid out as a mounted Secret: `tls.crt tls.key ca.crt`. Only what is named is read.
What is not there is no error here: the compiler says so, at the line that names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from meshproxy.compiler.gateway_tls import WORKLOAD
from meshproxy.compiler.options import Credentials
from meshproxy.control.sources.contents import content
from meshproxy.model.catalog import Catalog
from meshproxy.model.connection_pool import ClientTLSSettings
from meshproxy.model.reader import Message
from meshproxy.model.server_tls import ServerTLSSettings, TLSCertificate

_KEYS = ("tls.crt", "tls.key", "ca.crt", "cert", "key", "cacert", "ca.crl", "crl")
_PATHS = ("server_certificate", "client_certificate", "private_key", "ca_certificates", "ca_crl")
_NAMES = ("credential_name", "ca_cert_credential_name")


@dataclass(frozen=True, slots=True)
class Named:
    """Every file that matters, whether or not it is there: `credentials` by name and key, `paths` as written."""

    credentials: Mapping[str, Mapping[str, str]]
    paths: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """All of them, for whoever watches."""
        return (*(path for files in self.credentials.values() for path in files.values()), *self.paths)


def named(catalog: Catalog, directory: str) -> Named:
    """What the Gateways, Sidecars and DestinationRules of a catalog name. Without `directory` no credential is."""
    names: dict[str, None] = {}
    paths: dict[str, None] = {}
    for resources in (catalog.gateways, catalog.sidecars, catalog.destination_rules):
        for message in _tls(resources):
            for name in _mentioned(message):
                names.update(dict.fromkeys((name, f"{name}-cacert")))
            paths.update(dict.fromkeys(path for field in _PATHS if (path := getattr(message, field, ""))))
    top = Path(directory)
    return Named(
        {name: {key: str(top / name / key) for key in _KEYS} for name in names if _is_plain(name)} if directory else {},
        tuple(paths),
    )


def read(wanted: Named) -> Credentials:
    """What of `wanted` is there."""
    secrets = {
        name: {key: held for key, path in files.items() if (held := content(path))}
        for name, files in wanted.credentials.items()
    }
    return Credentials(
        secrets={name: values for name, values in secrets.items() if values},
        files={path: held for path in wanted.paths if (held := content(path))},
    )


def _tls(value: object) -> Iterator[Message]:
    """Every message inside that names certificates."""
    if isinstance(value, tuple):
        for each in value:
            yield from _tls(each)
    elif isinstance(value, Message):
        if isinstance(value, ServerTLSSettings | ClientTLSSettings | TLSCertificate):
            yield value
        kind: type = type(value)
        for name in _inside(kind):
            yield from _tls(getattr(value, name))


@cache
def _inside(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls) if field.name not in ("at", "meta"))


def _mentioned(message: Message) -> Iterator[str]:
    if getattr(message, "mode", "") == "ISTIO_MUTUAL":
        yield WORKLOAD
    yield from (name for field in _NAMES if (name := getattr(message, field, "")))
    yield from getattr(message, "credential_names", ())


def _is_plain(name: str) -> bool:
    """A name, and no way out of the directory."""
    return "/" not in name and name not in (".", "..")
