"""Kubeconfig files with everything inline, readable by their owner only."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import yaml

from eatool.dev.certificates import KeyPair, write_private


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token."""

    value: str


Credentials = KeyPair | Token


def write_kubeconfig(
    path: Path, *, server: str, ca: bytes | None, user: str, credentials: Credentials
) -> Path:
    """Write a kubeconfig with one cluster, one user and one context."""
    cluster = {"server": server}
    if ca is not None:
        cluster["certificate-authority-data"] = _inline(ca)
    match credentials:
        case Token(value):
            user_entry = {"token": value}
        case KeyPair(certificate, key):
            user_entry = {
                "client-certificate-data": _inline(certificate),
                "client-key-data": _inline(key),
            }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "eatool-dev", "cluster": cluster}],
        "users": [{"name": user, "user": user_entry}],
        "contexts": [
            {
                "name": "eatool-dev",
                "context": {"cluster": "eatool-dev", "user": user, "namespace": "default"},
            }
        ],
        "current-context": "eatool-dev",
    }
    return write_private(path, yaml.safe_dump(document, sort_keys=False).encode())


def _inline(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
