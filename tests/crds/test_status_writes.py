"""How the API server takes the operator's status writes."""

from __future__ import annotations

import pytest
from kubernetes.aio import client, config
from tests.crds.cases import sample
from tests.crds.server import MERGE, Registry

from eatool.dev.controlplane import ControlPlane
from eatool.domain.kinds import by_kind
from eatool.kube.api import EntityApi
from eatool.kube.requests import ApiConflict, ApiUnavailable

OTHER = "00000000-0000-0000-0000-000000000000"


async def test_a_status_is_for_one_object_not_for_the_next_of_its_name(
    control_plane: ControlPlane, registry: Registry
) -> None:
    created = registry.create("Server", sample("Server"), dry_run=False).body
    uid = created["metadata"]["uid"]
    ref = by_kind("Server").ref(registry.namespace, created["metadata"]["name"])
    configuration = client.Configuration()
    await config.load_kube_config(
        config_file=str(control_plane.kubeconfig), client_configuration=configuration
    )
    async with client.ApiClient(configuration) as transport:
        api = EntityApi(transport, lambda _verb, _resource, _code: None)
        with pytest.raises(ApiConflict):
            await api.set_status(ref, OTHER, {"position": 1})
        with pytest.raises(ApiUnavailable, match="HTTP 422"):
            await api.set_status(ref, uid, {"position": "first"})
        written = await api.set_status(ref, uid, {"position": 1, "streamVersion": 2})
        assert written is not None
        assert written["status"] == {"position": 1, "streamVersion": 2}
        # An edit in between is no obstacle, and what a status no longer says is gone.
        path = registry.path("Server", ref.name)
        registry.client.call("PATCH", path, {"spec": {"region": "north"}}, content_type=MERGE)
        replaced = await api.set_status(ref, uid, {"position": 3})
        assert replaced is not None
        assert replaced["status"] == {"position": 3}


def test_a_merge_patch_could_not_name_the_object(registry: Registry) -> None:
    """Why it is a JSON patch: the uid counts for the object itself, not for its status."""
    registry.create("Server", sample("Server"), dry_run=False)
    patch = {"metadata": {"uid": OTHER}, "status": {"position": 1}}
    answers = [
        registry.call("PATCH", "Server", path, patch, content_type=MERGE).status
        for path in ("x", "x/status")
    ]
    assert answers == [422, 200]
