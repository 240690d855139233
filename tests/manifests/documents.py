"""Manifests to load."""

from __future__ import annotations

from typing import Any

import yaml


def manifest(kind: str, name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "eatool.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, **metadata},
            "spec": spec or {"name": name},
        }
    )


def documents(*texts: str) -> str:
    return "---\n".join(texts)
