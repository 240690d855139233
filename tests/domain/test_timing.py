"""What time alone changes about a relation: whether it is in force, and how old its proof is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.domain.world import World, said

from eatool.domain.kinds import KINDS, by_kind
from eatool.domain.parsing import parse
from eatool.domain.timing import Timing, Validity

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)  # as in World
HOUR = timedelta(hours=1)
RELATION = by_kind("Relation")


def at(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def timing(**moments: datetime) -> Timing:
    fields = {name: at(moment) for name, moment in moments.items()}
    spec = World.relation("application/shop", "calls", "application/erp", **fields)
    return RELATION.timing(parse(RELATION, spec), NOON)


CASES: list[tuple[dict[str, datetime], Validity | None, datetime | None]] = [
    ({}, None, None),
    ({"effectiveFrom": NOON}, Validity.WITHIN, NOON),
    ({"effectiveFrom": NOON - HOUR}, Validity.WITHIN, None),
    ({"effectiveTo": NOON}, Validity.WITHIN, NOON),
    ({"effectiveTo": NOON - HOUR}, Validity.OVER, None),
    ({"effectiveTo": NOON + HOUR}, Validity.WITHIN, NOON + HOUR),
    (
        {"effectiveFrom": NOON + HOUR, "effectiveTo": NOON + 2 * HOUR},
        Validity.NOT_YET,
        NOON + HOUR,
    ),
    ({"effectiveFrom": NOON - 2 * HOUR, "effectiveTo": NOON - HOUR}, Validity.OVER, None),
]


@pytest.mark.parametrize(("window", "validity", "until"), CASES)
def test_a_window_includes_both_its_ends(
    window: dict[str, datetime], validity: Validity | None, until: datetime | None
) -> None:
    assert timing(**window) == Timing(validity, (), until)


def test_a_proof_grows_old_and_is_only_warned_of(populated: World) -> None:
    year = timedelta(days=365)
    fresh = timing(lastVerifiedAt=NOON - year)
    assert (fresh.advice, fresh.until) == ((), NOON)
    young = timing(lastVerifiedAt=NOON - HOUR, effectiveTo=NOON + 2 * year)
    assert (young.advice, young.until) == ((), NOON - HOUR + year)
    verified = at(NOON - year - HOUR)
    spec = World.relation("application/shop", "calls", "application/erp", lastVerifiedAt=verified)
    message = "RANGE spec.lastVerifiedAt: is more than 365 days ago: verify the relation again"
    assert said(populated.apply("Relation", "edge", spec).warnings) == [message]
    assert said(populated.apply("Relation", "edge", spec).warnings) == [message], "unchanged, too"


def test_other_kinds_do_not_depend_on_the_clock(populated: World) -> None:
    for ref, state in populated.registry.states.items():
        assert KINDS[ref.aggregate_type].timing(state.spec, NOON) == Timing()
