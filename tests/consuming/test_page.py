"""What docs/consumers.md says to subscribe to matches what it says it matches."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from paho.mqtt.client import topic_matches_sub

from eatool.dev.smf.topics import matches
from eatool.domain.identity import EntityRef
from eatool.publishing.topics import SOLACE_LIMITS, TopicTemplate

PAGE = (Path(__file__).parents[2] / "docs" / "consumers.md").read_text()
ROWS = re.findall(
    r"^\| ([^|`]+?)(?: with [^|]*)? \| `([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE
)

WEBSHOP = EntityRef("application", "shop", "webshop")
LIVE = TopicTemplate(env="prod", limits=SOLACE_LIMITS)
REPLAY = TopicTemplate(env="prod", limits=SOLACE_LIMITS, prefix="replay/2026-11")
TOPICS = {
    "created": LIVE.topic(WEBSHOP, "ApplicationCreated.v1"),
    "deleted": LIVE.topic(WEBSHOP, "ApplicationDeleted.v1"),
    "another": LIVE.topic(EntityRef("application", "shop", "erp"), "ApplicationDeleted.v1"),
    "server": LIVE.topic(EntityRef("server", "shop", "db-01"), "ServerCreated.v1"),
    "step": LIVE.topic(EntityRef("rollout", "-", "server"), "RolloutPhaseChanged.v1"),
    "dev": TopicTemplate(env="dev").topic(WEBSHOP, "ApplicationCreated.v1"),
    "replayed": REPLAY.topic(WEBSHOP, "ApplicationCreated.v1"),
}
WANTED = {
    "everything": {"created", "deleted", "another", "server", "step"},
    "one kind": {"created", "deleted", "another"},
    "steps of rollouts": {"step"},
    "one event type": {"deleted", "another"},
    "one entity": {"created", "deleted"},
    "a replay": {"replayed"},
}


def test_every_row_is_checked() -> None:
    assert [wanted for wanted, _, _ in ROWS] == list(WANTED)


@pytest.mark.parametrize(("wanted", "mqtt", "solace"), ROWS, ids=[row[0] for row in ROWS])
def test_subscriptions(wanted: str, mqtt: str, solace: str) -> None:
    found = {name for name, topic in TOPICS.items() if topic_matches_sub(mqtt, topic)}
    assert found == WANTED[wanted]
    assert {name for name, topic in TOPICS.items() if matches(solace, topic)} == WANTED[wanted]


def test_the_python_on_the_page_is_python() -> None:
    for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        compile(code, "docs/consumers.md", "exec")
