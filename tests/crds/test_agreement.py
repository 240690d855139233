"""The API server never refuses what the domain accepts: any spec, as written or canonical."""

from http import HTTPStatus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crds.server import Registry
from tests.domain.strategies import Raw, raw_specs

from eatool.dev.apiclient import ApiClient
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.domain.parsing import parse

ANY_SPEC = st.sampled_from(sorted(KINDS)).flatmap(
    lambda name: st.tuples(st.just(KINDS[name]), raw_specs(KINDS[name]))
)


@pytest.mark.usefixtures("crds")
@settings(max_examples=100, deadline=None, derandomize=True)
@given(ANY_SPEC)
def test_accepted_specs_pass_admission(admin: ApiClient, drawn: tuple[EntityKind, Raw]) -> None:
    kind, raw = drawn
    canonical = parse(kind, raw).model_dump(mode="json", by_alias=True, exclude_none=True)

    registry = Registry(admin, "default")
    for spec in (raw, canonical):
        reply = registry.create(kind.kind, spec)
        assert reply.status == HTTPStatus.CREATED, (spec, reply.body["message"])
