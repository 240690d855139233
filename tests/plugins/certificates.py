"""A throw-away certificate authority for TLS tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificates:
    """PEM files. The server's name is ``broker.test``, not the address it listens on."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path

    @classmethod
    def create(cls, folder: Path) -> Certificates:
        """Make all of them, valid for an hour."""
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca = _certificate("test CA", ca_key.public_key(), "test CA", ca_key, ca=True)
        files = {"ca": _write(folder / "ca.pem", ca.public_bytes(serialization.Encoding.PEM))}
        for role, name in (("server", "broker.test"), ("client", "relay")):
            key = ec.generate_private_key(ec.SECP256R1())
            made = _certificate(name, key.public_key(), "test CA", ca_key, ca=False)
            files[role] = _write(
                folder / f"{role}.pem", made.public_bytes(serialization.Encoding.PEM)
            )
            files[f"{role}_key"] = _write(
                folder / f"{role}.key",
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                ),
            )
        return cls(**files)


def _certificate(
    name: str,
    public: ec.EllipticCurvePublicKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signer, hashes.SHA256())
    )


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
