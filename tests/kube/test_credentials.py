"""Signing in: a rotated token is taken into use by kopf and by our own client."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import kopf
import pytest
import yaml
from kopf._cogs.structs.credentials import Vault
from kubernetes.aio import client
from kubernetes.aio.config import incluster_config

from eatool.kube import credentials
from eatool.kube.registration import configure


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    write(path, "first")
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def write(path: Path, token: str) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    path.write_text(yaml.safe_dump(document))


def sign_in() -> kopf.ConnectionInfo:
    info = credentials.login(settings=kopf.OperatorSettings())
    assert info is not None
    return info


def test_kopf_is_told_to_sign_in_again(kubeconfig: Path) -> None:
    info = sign_in()
    assert info.expiration is not None
    assert timedelta(minutes=4) < info.expiration - datetime.now(UTC) <= timedelta(minutes=5)
    assert info.token == "first"
    write(kubeconfig, "second")
    assert sign_in().token == "second"


async def test_an_expired_sign_in_is_renewed_before_the_next_request(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kopf's own vault, with the expiry it is given."""
    vault = Vault()
    with monkeypatch.context() as past:
        past.setattr(credentials, "_LIFETIME", timedelta(seconds=-1))
        await vault.populate({"login": sign_in()})
    write(kubeconfig, "second")

    async def next_token() -> object:
        async for _, info, _ in vault.extended(lambda info: info):
            return getattr(info, "token", None)
        return None

    asking = asyncio.create_task(next_token())
    async with asyncio.timeout(5):
        await vault.wait_for_emptiness()
        await vault.populate({"login": sign_in()})
        assert await asking == "second"


async def test_both_sign_in_with_the_same_configuration(kubeconfig: Path) -> None:
    """Also when the variable was set after the client library had been imported."""
    async with await credentials.api_client() as api:
        assert api.configuration.host == sign_in().server
        assert await api.configuration.get_api_key_with_prefix("BearerToken") == "Bearer first"


def test_without_any_configuration_nobody_signs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert credentials.login(settings=kopf.OperatorSettings()) is None


async def test_our_client_reads_a_rotated_token_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    ca.write_text("only its presence is checked here")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    assert credentials.in_cluster()
    loader = incluster_config.InClusterConfigLoader(str(token), str(ca))
    configuration = client.Configuration()
    loader.load_and_set(configuration)
    assert await configuration.get_api_key_with_prefix("BearerToken") == "bearer first"
    token.write_text("second")
    loader.token_expires_at = datetime(2000, 1, 1)  # noqa: DTZ001 - the loader's clock is naive
    assert await configuration.get_api_key_with_prefix("BearerToken") == "bearer second"


@pytest.mark.parametrize("clusterwide", [True, False])
def test_kopf_is_told_to_keep_quiet(clusterwide: bool) -> None:
    settings = kopf.OperatorSettings()
    configure(settings, clusterwide=clusterwide)
    assert not settings.posting.loggers
    assert settings.scanning.disabled is not clusterwide
