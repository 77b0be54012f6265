"""Certificates and keys in memory, for OpenSSL, which takes them from files only."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

Material = str | bytes
"""The path of a file, or PEM; empty: none."""


@contextlib.contextmanager
def as_file(material: Material) -> Iterator[str]:
    """A path that OpenSSL can read it from. Nothing reaches a disk where the system has memory files."""
    if isinstance(material, str):
        yield material
    elif hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, material)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:  # readable by us alone
            file.write(material)
            file.flush()
            yield file.name
