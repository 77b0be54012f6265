"""The certificate of the peers that terminate TLS: RSA, as most are; made once a run."""

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path


@cache
def certificate() -> tuple[Path, Path]:
    """Certificate and key, in a directory of their own that peers of any user can read."""
    program = shutil.which("openssl")
    if program is None:
        raise RuntimeError("openssl is not installed")
    directory = Path(tempfile.mkdtemp(prefix="meshproxy-bench-tls-"))
    directory.chmod(0o755)
    chain, key = directory / "tls.crt", directory / "tls.key"
    argv = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7", "-subj", "/CN=bench.test"]
    subprocess.run([*argv, "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    key.chmod(0o644)
    return chain, key
