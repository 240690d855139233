"""Objects from before the admission policy have no actor, and get none by claiming one."""

from collections.abc import Iterator

import pytest
from tests.crds.cases import sample
from tests.crds.conftest import stamping
from tests.crds.server import MERGE, Registry

from eatool.dev.apiclient import ApiClient
from eatool.kube.contract import ACTOR, ACTOR_TYPE


@pytest.fixture
def old_object(registry: Registry, admin: ApiClient) -> Iterator[str]:
    """Created before the policy came into force, without any annotation."""
    created = registry.create("Application", sample("Application"), name="old", dry_run=False)
    assert "annotations" not in created.body["metadata"]
    with stamping(admin):
        yield "old"


def test_only_a_change_of_the_spec_names_an_actor(registry: Registry, old_object: str) -> None:
    def annotations(patch: dict[str, object]) -> object:
        reply = registry.call(
            "PATCH", "Application", old_object, patch, dry_run=False, content_type=MERGE
        )
        return reply.body["metadata"].get("annotations")

    claim = {ACTOR: "mallory", ACTOR_TYPE: "system"}
    assert annotations({"metadata": {"labels": {"tier": "gold"}}}) is None, "nothing to add"
    assert annotations({"metadata": {"annotations": claim}}) is None, "a claim is removed"
    assert annotations({"metadata": {"annotations": {**claim, "note": "x"}}}) == {"note": "x"}
    assert annotations({"metadata": {"annotations": None}}) is None
    assert annotations({"spec": {"owner": "b"}}) == {ACTOR: "admin", ACTOR_TYPE: "user"}
