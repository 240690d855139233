"""How late brokers are, by the checkpoints of real relays' tables: the worst of them counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from tests.rollout.phased import KIND, Site, make_old_registry, site

from eatool.publishing import lag
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.lag import LagReader
from eatool.publishing.required import RequiredBrokers, no_brokers
from eatool.publishing.selection import EVERYTHING, Selection
from eatool.rollout.criteria import Outcome, Result, evaluate
from eatool.rollout.declared import CriterionSpec
from eatool.rollout.phases import Phase
from eatool.rollout.publish_lag import PublishLag
from eatool.rollout.samples import Reading, Samples
from eatool.store.clock import utc_now

ORGANIZATION = KIND.aggregate_type
CRITERION = CriterionSpec.model_validate(
    {"name": "publish", "metric": "PublishLagSecondsP99", "op": "<", "threshold": "60"}
)
LATER = timedelta(minutes=10)


@dataclass
class Scene:
    """A kind whose events go to brokers; ten minutes go by before anybody looks."""

    site: Site
    required: RequiredBrokers
    checkpoints: SqlCheckpoints
    acknowledged: Reading | None = None

    async def happens(self, *names: str) -> None:
        for name in names:
            await self.site.registry.apply(self.site.change(name, name=name))

    def sent(self, broker: str, *, up_to: int | None = None) -> None:
        """The broker has acknowledged everything, or everything up to a position."""
        cursors = self.checkpoints.claim(broker, "relay", lease=60.0).held
        position = self.site.store.head().position if up_to is None else up_to
        self.checkpoints.save(
            broker, "relay", [replace(each, position=position) for each in cursors]
        )

    def judged(self) -> Result:
        reader = LagReader(self.site.store, self.checkpoints)
        publishing = PublishLag(
            self.required,
            reader,
            lambda _kind, _window: self.acknowledged,
            clock=lambda: utc_now() + LATER,
        )
        samples = Samples()
        samples.supply("PublishLagSecondsP99", publishing.reading)
        (result,) = evaluate([CRITERION], ORGANIZATION, samples, None)
        return result


@pytest.fixture
async def scene(url: str) -> AsyncIterator[Scene]:
    make_old_registry(url)
    async with site(url) as opened:
        await opened.enter(Phase.PROJECTION_ONLY)
        yield Scene(opened, no_brokers(), SqlCheckpoints(opened.store.engine))


async def test_without_a_required_broker_it_does_not_apply(scene: Scene) -> None:
    await scene.happens("a")
    scene.required.replace({"elsewhere": Selection(aggregate_types=frozenset({"server"}))})
    result = scene.judged()
    assert (result.outcome, result.value) == (Outcome.PASS, 0)
    assert result.message == "no required EventBroker is sent events of this kind"


async def test_nobody_can_say_before_the_brokers_are_known(scene: Scene) -> None:
    scene.required = RequiredBrokers()
    result = scene.judged()
    assert (result.outcome, result.value) == (Outcome.INCONCLUSIVE, None)
    assert result.message == "the EventBrokers are not known yet"
    scene.required.listed.set()
    scene.required.replace({"new": EVERYTHING})
    assert scene.judged().message == "broker new has not begun"


async def test_nothing_to_publish_is_no_lag(scene: Scene) -> None:
    await scene.happens("a")
    scene.required.replace({"one": EVERYTHING})
    scene.sent("one")
    result = scene.judged()
    assert (result.outcome, result.value) == (Outcome.PASS, 0)
    assert result.message == "there was nothing to publish"


async def test_a_dead_broker_counts_beside_a_living_one(scene: Scene) -> None:
    scene.required.replace({"living": EVERYTHING, "dead": EVERYTHING})
    scene.sent("dead")
    await scene.happens("a", "b")
    scene.sent("living")
    scene.acknowledged = Reading(0.2, 2)  # by the living one
    result = scene.judged()
    assert result.outcome is Outcome.FAIL
    assert result.message == "an event waits for broker dead"
    assert result.value is not None
    assert LATER.total_seconds() <= result.value < LATER.total_seconds() + 120
    scene.sent("dead")
    result = scene.judged()
    assert (result.outcome, result.value, result.samples) == (Outcome.PASS, 0.2, 2)


async def test_slow_acknowledgements_count_when_nothing_waits_any_more(scene: Scene) -> None:
    scene.required.replace({"one": EVERYTHING})
    scene.sent("one")
    scene.acknowledged = Reading(75.0, 9)
    assert (scene.judged().outcome, scene.judged().value) == (Outcome.FAIL, 75.0)


@pytest.mark.parametrize(
    ("selection", "outcome"),
    [
        (Selection(namespaces=frozenset({"default"})), Outcome.FAIL),
        (Selection(namespaces=frozenset({"elsewhere"})), Outcome.PASS),
        (Selection(event_types=frozenset({"OrganizationCreated"})), Outcome.FAIL),
        (Selection(event_types=frozenset({"OrganizationDeleted"})), Outcome.PASS),
    ],
)
async def test_what_a_broker_is_not_sent_does_not_wait_for_it(
    scene: Scene, selection: Selection, outcome: Outcome
) -> None:
    scene.required.replace({"one": selection})
    scene.sent("one")
    await scene.happens("a")
    assert scene.judged().outcome is outcome


async def test_far_behind_is_never_told_too_short(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "_COUNTED", 2)
    scene.required.replace({"one": EVERYTHING})
    scene.sent("one", up_to=0)
    await scene.happens("a", "b", "c")
    first = next(
        each for each in scene.site.store.read_all() if each.stream_id.startswith(ORGANIZATION)
    )
    assert first.position > 2
    result = scene.judged()
    assert result.value is not None
    assert result.value >= LATER.total_seconds()
    assert result.outcome is Outcome.FAIL
