"""Steps of rollouts are promised to consumers as the log has them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from tests.contract.conftest import Contract
from tests.contract.test_asyncapi import consumer_complaints
from tests.store.stores import DATABASES, database_url

from eatool.contract.asyncapi import document
from eatool.contract.published import compare, generated_schemas, read_schemas
from eatool.contract.rollout import ENTITY_TYPE, METADATA
from eatool.domain.kinds import REGISTRY_EVENTS
from eatool.publishing.cloudevents import CloudEventsEncoder, ContentMode
from eatool.publishing.topics import TopicTemplate
from eatool.rollout.criteria import Outcome
from eatool.rollout.dropping import TABLE_DROPPED, table_dropped
from eatool.rollout.ledger import PHASE_CHANGED, Cause, Trigger
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.phases import Phase
from eatool.rollout.status import CriterionStatus, GateStatus
from eatool.store.port import Append
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

CRITERION = CriterionStatus(
    name="parity",
    result=Outcome.PASS,
    demand="ParityMismatches == 0",
    value="0",
    samples=600,
    since=datetime(2027, 2, 1, tzinfo=UTC),
    message="told",
)
GATE = GateStatus(
    name="promote",
    type="Manual",
    state="Approved",
    message="approved",
    actor="jane",
    ticket="CHG-7",
)
APPROVED = Cause(
    Trigger.APPROVAL,
    "jane approved the last gate",
    "jane",
    "CHG-7",
    (CRITERION.model_dump(mode="json", by_alias=True, exclude_none=True),),
    (GATE.model_dump(mode="json", exclude_none=True),),
)


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlEventStore]:
    """With every kind of step recorded: put under rollout, promoted, rolled back."""
    store = SqlEventStore(open_engine(database_url(request.param, tmp_path, request)))
    ledger = SqlLedger(store)
    ledger.enroll("server", Cause(Trigger.ENROLLED, "declared"))
    for to, cause in (
        (Phase.DUAL_WRITE, APPROVED),
        (Phase.LEGACY, Cause(Trigger.SPEC, "the target is below the phase")),
    ):
        prepared = ledger.begin("server", to, cause).preparation
        assert prepared is not None
        ledger.commit("server", prepared.epoch)
    yield store
    store.close()


@pytest.mark.parametrize("mode", ContentMode)
def test_every_step_is_as_described(
    store: SqlEventStore, contract: Contract, mode: ContentMode
) -> None:
    described = document(read_schemas(), modes=[mode])
    encode = CloudEventsEncoder(TopicTemplate(env="prod"), mode)
    stored = store.read_stored()
    assert [each.type for each in stored] == [PHASE_CHANGED] * 3
    for each in stored:
        message = encode(each)
        payload = orjson.loads(message.payload)
        name = f"{PHASE_CHANGED}.{mode.value}"
        assert consumer_complaints(described, f"messages/{name}/payload", payload) == []
        data = payload if mode is ContentMode.BINARY else payload["data"]
        assert contract.complaints(PHASE_CHANGED, data) == []
        assert contract.complaints(PHASE_CHANGED, {**data, "to": "Somewhere"}) != []
        assert contract.complaints(PHASE_CHANGED, {**data, "metadata": {}}) != []
        if mode is ContentMode.BINARY:
            trait = f"messageTraits/{mode.value}/headers"
            assert consumer_complaints(described, trait, dict(message.attributes)) == []


def test_the_channel_is_the_topic_of_the_relay(store: SqlEventStore) -> None:
    channel = document(read_schemas(), env="prod")["channels"][ENTITY_TYPE]
    topic = CloudEventsEncoder(TopicTemplate(env="prod"))(store.read_stored()[0]).topic
    address: str = channel["address"]
    assert address.format(event_type="RolloutPhaseChanged", entity_id="server") == topic


@pytest.mark.parametrize("mode", ContentMode)
def test_the_drop_of_a_table_is_as_described(
    store: SqlEventStore, contract: Contract, mode: ContentMode
) -> None:
    standing = SqlLedger(store).standings()["server"]
    dropped = table_dropped(standing, "servers_retired_20270201", "jane", standing.since)
    store.append(Append("rollout/-/server", 3, (dropped,), fence=standing.fence))
    described = document(read_schemas(), modes=[mode])
    message = CloudEventsEncoder(TopicTemplate(env="prod"), mode)(store.read_stored()[-1])
    payload = orjson.loads(message.payload)
    name = f"{TABLE_DROPPED}.{mode.value}"
    assert consumer_complaints(described, f"messages/{name}/payload", payload) == []
    data = payload if mode is ContentMode.BINARY else payload["data"]
    assert contract.complaints(TABLE_DROPPED, data) == []
    assert contract.complaints(TABLE_DROPPED, {**data, "epoch": 0}) != []


def test_all_that_a_step_tells_is_described() -> None:
    properties = read_schemas()[PHASE_CHANGED]["properties"]
    for name, model in (("evidence", CriterionStatus), ("gates", GateStatus)):
        told = {info.alias or field for field, info in model.model_fields.items()}
        assert set(properties[name]["items"]["properties"]) == told
    assert properties["to"]["enum"] == [phase.value for phase in Phase]


def test_every_event_of_the_registry_itself_has_a_schema() -> None:
    schemas = read_schemas()
    assert METADATA in schemas
    assert {f"{name}.v{version}" for name, version in REGISTRY_EVENTS.items()} <= set(schemas)


def test_a_changed_promise_and_a_lost_file_are_told() -> None:
    published = read_schemas()
    changed = {**generated_schemas(), PHASE_CHANGED: {**published[PHASE_CHANGED], "type": "array"}}
    (told,) = compare(published, changed).broken
    assert told.startswith(f"{PHASE_CHANGED}: schema changed")
    assert told.endswith("give the event a new version, keep this one.")
    assert compare({k: v for k, v in published.items() if k != METADATA}, changed).missing == (
        METADATA,
    )
