"""Everything that can be configured, in one frozen object read once at start.

Each field is an environment variable ``EATOOL_{NAME}`` (upper case). Secrets may come as files:
``EATOOL_SECRETS_DIR`` names a directory with one file per field (``eatool_store_url``), which is
how the chart mounts Kubernetes Secrets.
"""

from __future__ import annotations

import os
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from eatool.domain.kinds import KINDS

Environment = Literal["dev", "staging", "prod"]

_STORE_SCHEMES = ("sqlite", "postgresql", "postgresql+psycopg")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Settings(BaseSettings):
    """Operator settings. Durations are seconds unless a name says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="EATOOL_",
        frozen=True,
        extra="ignore",
        secrets_dir=os.environ.get("EATOOL_SECRETS_DIR"),
    )

    environment: Environment = "dev"
    """Which landscape this is; the ``{env}`` level of every topic."""

    store_url: SecretStr = SecretStr("sqlite:///eatool.db")
    """SQLAlchemy URL of the event store: ``sqlite:///FILE`` or ``postgresql+psycopg://...``."""

    namespace: str = "default"
    """The operator's own namespace: EventBrokers, EventReplays and the Secrets they name."""

    namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    """Namespaces to watch, comma-separated; none = the whole cluster."""

    rollout: bool = True
    """Serve EventSourcingRollouts; costs one small query a second while no kind is under rollout.
    Off, every kind is written as if there were none."""

    rollout_interval: Annotated[float, Field(ge=0.1)] = 5.0
    """Seconds between looks at the criteria of a rollout; phase changes are looked at sooner."""

    legacy_namespace: str = "default"
    """The namespace whose entities have rows in the registry that is migrated away from."""

    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """Objects reconciled at the same time."""

    resync_interval: Annotated[float, Field(ge=5)] = 600.0
    """How often every object is listed and compared with what the watches delivered."""

    reference_retry: Annotated[float, Field(ge=1)] = 60.0
    """Fallback re-check of an object that waits; arrivals of a target wake it at once."""

    http_host: str = "0.0.0.0"  # noqa: S104 - probes and Prometheus come from outside the pod
    """Address of health and metrics."""

    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port of health and metrics; 0 = any free one."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Threshold of the JSON log."""

    log_format: Literal["json", "console"] = "json"
    """``console`` is for people at a terminal."""

    policy_require_reason: Annotated[frozenset[str], NoDecode] = frozenset()
    """Aggregate types whose deletions and classified changes need ``eatool.io/reason``."""

    policy_require_approval: Annotated[frozenset[str], NoDecode] = frozenset()
    """Aggregate types that need ``eatool.io/approval-id`` where the domain asks for one."""

    policy_strict_lifecycle: Annotated[frozenset[str], NoDecode] = frozenset()
    """Aggregate types whose state machines refuse backward steps."""

    trusted_actor_annotation: bool = False
    """The admission policy that stamps ``eatool.io/actor`` is installed: believe it."""

    @field_validator(
        "namespaces",
        "policy_require_reason",
        "policy_require_approval",
        "policy_strict_lifecycle",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("namespaces")
    @classmethod
    def _plain_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """No patterns: the rights of a Role do not reach far enough to look for matches."""
        for name in value:
            if not _NAMESPACE.fullmatch(name):
                message = f"{name!r} is not the name of a namespace"
                raise ValueError(message)
        return value

    @field_validator("namespace", "legacy_namespace")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not _NAMESPACE.fullmatch(value):
            message = f"{value!r} is not the name of a namespace"
            raise ValueError(message)
        return value

    @field_validator("policy_require_reason", "policy_require_approval", "policy_strict_lifecycle")
    @classmethod
    def _known_types(cls, value: frozenset[str]) -> frozenset[str]:
        """A misspelt name must not pass for a policy that is on."""
        if unknown := sorted(value - KINDS.keys()):
            message = f"unknown: {', '.join(unknown)}; aggregate types are {', '.join(KINDS)}"
            raise ValueError(message)
        return value

    @field_validator("store_url")
    @classmethod
    def _known_store(cls, value: SecretStr) -> SecretStr:
        scheme = urlsplit(value.get_secret_value()).scheme
        if scheme not in _STORE_SCHEMES:
            message = f"scheme must be one of {', '.join(_STORE_SCHEMES)}; got {scheme!r}"
            raise ValueError(message)
        return value


def pod_identity() -> str:
    """Name of this process among its peers: the pod's name, or host and pid."""
    return os.environ.get("POD_NAME") or f"{os.uname().nodename}-{os.getpid()}"
