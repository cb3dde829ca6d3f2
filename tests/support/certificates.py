"""A certificate authority, a broker's and a client's certificate, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificates:
    """PEM files."""

    ca: Path
    server: Path
    """Key and certificate in one, for 127.0.0.1."""
    client: Path
    client_key: Path
    """Encrypted."""
    client_key_password: str


def make_certificates(folder: Path) -> Certificates:
    """Make them; valid for a day."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl: apt-get install openssl")
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    new = ("req", "-newkey", "rsa:2048", "-keyout")
    self_signed = ("-x509", "-days", "1", "-subj", "/CN=Test CA")
    _openssl(*new, str(ca_key), "-nodes", *self_signed, "-out", str(ca))
    server = _sign(folder, "broker", "subjectAltName=IP:127.0.0.1", None)
    client = _sign(folder, "alice", "extendedKeyUsage=clientAuth", "key-password-7")
    combined = folder / "broker-both.pem"
    combined.write_bytes((folder / "broker.key").read_bytes() + server.read_bytes())
    return Certificates(ca, combined, client, folder / "alice.key", "key-password-7")


def _sign(folder: Path, name: str, extension: str, password: str | None) -> Path:
    """Make a key and a certificate signed by the authority in the folder."""
    key, request, signed = (folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
    (folder / f"{name}.ext").write_text(extension)
    protect = ("-nodes",) if password is None else ("-passout", f"pass:{password}")
    new = ("req", "-newkey", "rsa:2048", "-keyout", str(key), *protect)
    _openssl(*new, "-subj", f"/CN={name}", "-out", str(request))
    authority = ("-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca.key"))
    _openssl(
        *("x509", "-req", "-days", "1", "-in", str(request), *authority, "-CAcreateserial"),
        *("-extfile", str(folder / f"{name}.ext"), "-out", str(signed)),
    )
    return signed


def _openssl(*arguments: str) -> None:
    """Run openssl; its output is shown on failure."""
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
