"""The status that is written, and when it is worth a write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.kube.kstatus import kstatus

from eatool.kube.rollout.wording import essence, human, refused_status, status_of
from eatool.rollout.criteria import Outcome, Result
from eatool.rollout.declared import EventSourcingRolloutSpec
from eatool.rollout.findings import Parity
from eatool.rollout.ledger import Standing
from eatool.rollout.looking import Seen
from eatool.rollout.machine import decide
from eatool.rollout.phases import Phase
from eatool.rollout.status import RolloutStatus

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
SPEC = EventSourcingRolloutSpec.model_validate(
    {
        "entityKind": "Server",
        "targetPhase": "ProjectionOnly",
        "transitions": [
            {
                "to": "ProjectionOnly",
                "soakTime": "24h",
                "criteria": [
                    {"name": "p", "metric": "ParityMismatches", "op": "==", "threshold": "0"}
                ],
            }
        ],
    }
)


def parity(**figures: Any) -> Parity:
    facts = {
        "keys": 1000, "dirty": 0, "oldest": None, "coverage": 1.0, "mismatches": 0,
        "confirmed": 0, "ignored": 0, "errors": 0, "swept_at": NOW,
    }  # fmt: skip
    return Parity(**{**facts, **figures})


class Site:
    """One rollout that is looked at again and again."""

    def __init__(self) -> None:
        self.body: dict[str, Any] = {
            "metadata": {"name": "server", "generation": 3},
            "spec": SPEC.model_dump(mode="json", by_alias=True),
        }

    def look(
        self, *, after: timedelta = timedelta(), outcome: Outcome = Outcome.PASS, **figures: Any
    ) -> tuple[bool, dict[str, Any]]:
        """Whether it is worth a write, and the status; written in any case."""
        now = NOW + after
        told = self.body.get("status")
        result = Result("p", outcome, "ParityMismatches == 0", figures.get("value", 0.0), 900)
        standing = Standing("server", Phase.DUAL_WRITE, 2, NOW)
        seen = Seen(now=now, standing=standing, criteria=(result,))
        decision = decide(SPEC, RolloutStatus.from_json(told) if told else None, seen)
        figures.pop("value", None)
        status = status_of(self.body, decision, parity(**figures), DAY, now)
        turn = essence(told or {}) != essence(status)
        self.body["status"] = status
        return turn, status


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_glance_says_how_far_it_is(site: Site) -> None:
    _, first = site.look()
    assert (first["state"], first["criteriaSummary"]) == ("Soaking", "1/1")
    assert (first["parity"], first["soak"]) == ("0 at 100%", "0h of 24h")
    for minutes in range(4, 200, 4):
        _, status = site.look(after=timedelta(minutes=minutes))
    assert status["soak"] == "3h of 24h"


def test_all_means_all(site: Site) -> None:
    _, status = site.look(coverage=0.9999, mismatches=2)
    assert status["parity"] == "2 at 99%"
    _, status = site.look(errors=81)
    assert status["parity"] == "0, 81 in error at 100%"


def test_moved_figures_are_no_news(site: Site) -> None:
    assert site.look()[0]
    assert not site.look(after=timedelta(minutes=1), value=0.0)[0]
    assert site.look(after=timedelta(minutes=2), outcome=Outcome.FAIL, value=1.0)[0]
    assert not site.look(after=timedelta(minutes=3), outcome=Outcome.FAIL, value=2.0)[0]


def test_what_is_read_back_is_what_was_decided(site: Site) -> None:
    _, status = site.look()
    assert RolloutStatus.from_json(status).state == "Soaking"


def test_soaking_is_current_and_a_refusal_is_failed(site: Site) -> None:
    site.look()
    assert kstatus(site.body) == "Current"
    site.body["status"] = refused_status(site.body, "TableNotAdopted", "adopt it", NOW)
    assert kstatus(site.body) == "Failed"
    assert site.body["status"]["phase"] == "DualWrite", "what was true is kept"


def test_without_criteria_there_is_nothing_to_count() -> None:
    spec = SPEC.model_copy(update={"target_phase": Phase.DUAL_WRITE})
    standing = Standing("server", Phase.DUAL_WRITE, 2, NOW)
    decision = decide(spec, None, Seen(now=NOW, standing=standing))
    body = {"metadata": {"generation": 1}}
    status = status_of(body, decision, None, timedelta(), NOW)
    assert status["criteriaSummary"] == "-"
    assert "soak" not in status
    assert "parity" not in status


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (90, "90s"), (600, "10m"), (5400, "90m"), (86_400, "24h"), (1_209_600, "14d")],
)
def test_spans_are_told_in_one_unit(seconds: int, text: str) -> None:
    assert human(timedelta(seconds=seconds)) == text
