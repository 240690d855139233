"""How the operator signs in: once for kopf's watches, once for its own writes, from one place."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf
import yaml
from kubernetes.aio import client, config
from kubernetes.aio.config.config_exception import ConfigException

#: kopf keeps a token until it is told that it expired; projected service-account tokens rotate
#: (nolar/kopf#926, #980), so it has to sign in again well within their shortest life.
_LIFETIME = timedelta(minutes=5)
#: The library writes certificates of a kubeconfig to files that it shares between clients, and
#: names a file to the next client before it has content.
_SIGNING_IN = threading.Lock()


def in_cluster() -> bool:
    """Running in a pod, without a kubeconfig of its own."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ


class CannotSignIn(Exception):
    """Nothing to sign in with; the message names the setting, and quotes no credential."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"KUBECONFIG: {problem}")
        self.problem = problem


async def api_client() -> client.ApiClient:
    """Client for ``KUBECONFIG``, the default kubeconfig, or the pod's service account.

    :class:`CannotSignIn` when what there is cannot be used.
    """
    await asyncio.to_thread(_SIGNING_IN.acquire)
    try:
        configuration = client.Configuration()
        if in_cluster():
            # Installs a hook that reads the token file again before it expires.
            config.load_incluster_config(client_configuration=configuration)
        else:
            # The library looks at KUBECONFIG once, when it is imported.
            file = os.environ.get("KUBECONFIG")
            await config.load_kube_config(config_file=file, client_configuration=configuration)
        return client.ApiClient(configuration)
    except (ConfigException, OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise CannotSignIn(_complaint(error)) from error
    finally:
        _SIGNING_IN.release()


def _complaint(error: Exception) -> str:
    # Only the library's own words: a parser quotes the file, in which there are tokens.
    why = str(error).partition("\n")[0] if isinstance(error, ConfigException) else "not readable"
    if in_cluster():
        return f"not set, and the pod has no service account that works: {why}"
    if (given := os.environ.get("KUBECONFIG")) is None:
        return f"not set, and ~/.kube/config is none that works: {why}"
    return f"{given} is no kubeconfig that works: {why}"


def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Credentials for kopf's watches, with an expiry so that kopf asks again."""
    info = (
        kopf.login_with_service_account(**kwargs)
        if in_cluster()
        else kopf.login_with_kubeconfig(**kwargs)
    )
    if info is None:
        return None
    return replace(info, expiration=datetime.now(UTC) + _LIFETIME)
