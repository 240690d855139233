"""An annotation counts for the change that it came with, and for no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.registry.sites import APPLICATION, ref

from eatool.domain.kinds import KINDS
from eatool.domain.policies import Policy
from eatool.registry.annotations import with_annotations
from eatool.registry.change import Change, Provenance
from eatool.registry.opening import OpenRegistry, open_registry
from eatool.registry.outcome import Outcome, Recorded, Refused, Unchanged

REF = ref("Application", "webshop")
CRITICAL = APPLICATION | {"criticality": "high"}
SPENT = "; what is there counted for an earlier change"


class Object:
    """One application as its manifest has it: what is annotated stays."""

    def __init__(self, opened: OpenRegistry, uid: str = "u1") -> None:
        self.registry, self.uid = opened.registry, uid
        self.opened = opened
        self.generation = 0

    async def apply(
        self, spec: dict[str, Any], *, option: str | None = None, **told: str
    ) -> Outcome:
        """``told``: annotations by their name with underscores; ``option``: ``--reason``."""
        self.generation += 1
        return await self.registry.apply(self._change(spec, option, told))

    async def delete(self, *, option: str | None = None, **told: str) -> Outcome:
        return await self.registry.delete(self._change({}, option, told))

    def recorded(self) -> dict[str, Any]:
        """What the newest event says of why."""
        metadata = self.opened.store.read_stream(REF.stream_id)[-1].metadata
        names = ("reason", "approval_id", "override", "corrects_event_id", "spent")
        return {name: metadata[name] for name in names if name in metadata}

    def _change(self, spec: dict[str, Any], option: str | None, told: dict[str, str]) -> Change:
        annotations = {f"eatool.io/{key.replace('_', '-')}": text for key, text in told.items()}
        return Change(
            ref=REF,
            uid=self.uid,
            generation=self.generation,
            spec=spec,
            provenance=with_annotations(Provenance(reason=option), annotations),
        )


@asynccontextmanager
async def strict(url: str) -> AsyncIterator[Object]:
    async with open_registry(url, policy=Policy.strict(KINDS)) as opened:
        yield Object(opened)


def complaints(outcome: Outcome) -> list[str]:
    assert isinstance(outcome, Refused), outcome
    return [str(error) for error in outcome.errors]


async def test_the_reason_of_an_edit_is_not_that_of_a_deletion(sqlite_url: str) -> None:
    async with strict(sqlite_url) as webshop:
        await webshop.apply(APPLICATION, reason="new", approval_id="ARB-1")
        assert webshop.recorded() == {"reason": "new", "approval_id": "ARB-1"}
        assert complaints(await webshop.delete(reason="new", approval_id="ARB-1")) == [
            (
                "metadata.annotations: deleting an Application needs a reason: annotate it with "
                f"eatool.io/reason{SPENT}"
            ),
            (
                "metadata.annotations: deleting an Application needs an approval: annotate it with "
                f"eatool.io/approval-id{SPENT}"
            ),
        ]
        assert isinstance(await webshop.delete(reason="sold", approval_id="ARB-2"), Recorded)
        assert webshop.recorded() == {"reason": "sold", "approval_id": "ARB-2"}


async def test_what_counted_once_is_remembered_over_changes_that_need_none(sqlite_url: str) -> None:
    async with strict(sqlite_url) as webshop:
        await webshop.apply(APPLICATION)
        await webshop.apply(CRITICAL, reason="busy")
        for owner in ("a", "b"):
            await webshop.apply(CRITICAL | {"owner": owner}, reason="busy")
            assert webshop.recorded() == {"spent": {"reason": "busy"}}
        refused = await webshop.apply(APPLICATION | {"owner": "b"}, reason="busy")
        assert [line.split(":")[0] for line in complaints(refused)] == ["spec.criticality"]
    async with strict(sqlite_url) as restarted:
        restarted.generation = 9
        assert isinstance(await restarted.delete(reason="busy", approval_id="ARB-1"), Refused)
        assert isinstance(await restarted.delete(reason="sold", approval_id="ARB-1"), Recorded)


async def test_a_repeated_apply_uses_nothing_up_and_a_refusal_neither(sqlite_url: str) -> None:
    async with strict(sqlite_url) as webshop:
        await webshop.apply(APPLICATION)
        assert isinstance(await webshop.apply(APPLICATION, reason="busy"), Unchanged)
        assert isinstance(await webshop.delete(reason="busy"), Refused), "no approval"
        assert isinstance(await webshop.apply(CRITICAL, reason="busy"), Recorded)
        assert webshop.recorded() == {"reason": "busy"}
        assert isinstance(await webshop.apply(CRITICAL, reason="busy"), Unchanged)


async def test_a_revert_brings_back_the_reason_of_then(sqlite_url: str) -> None:
    async with strict(sqlite_url) as webshop:
        await webshop.apply(APPLICATION, reason="first")
        await webshop.apply(CRITICAL, reason="second")
        assert isinstance(await webshop.apply(APPLICATION, reason="first"), Recorded)
        assert webshop.recorded() == {"reason": "first"}
    async with strict(sqlite_url) as webshop:
        webshop.generation = 9
        assert isinstance(await webshop.apply(CRITICAL), Refused), "a manifest without any"


async def test_a_new_object_has_annotations_of_its_own(sqlite_url: str) -> None:
    async with strict(sqlite_url) as webshop:
        await webshop.apply(APPLICATION)
        await webshop.delete(reason="moved", approval_id="ARB-1")
        again = Object(webshop.opened, uid="u2")
        await again.apply(APPLICATION, reason="moved", approval_id="ARB-1")
        assert again.recorded() == {"reason": "moved", "approval_id": "ARB-1"}


async def test_an_override_is_used_again_with_a_new_reason(sqlite_url: str) -> None:
    ended = APPLICATION | {"lifecycle": "deprecated"}
    async with strict(sqlite_url) as webshop:
        await webshop.apply(ended)
        await webshop.apply(APPLICATION, override="reactivate", reason="needed")
        assert webshop.recorded() == {"override": "reactivate", "reason": "needed"}
        await webshop.apply(ended, override="reactivate", reason="needed")
        assert webshop.recorded() == {"spent": {"override": "reactivate", "reason": "needed"}}
        refused = await webshop.apply(APPLICATION, override="reactivate", reason="needed")
        assert complaints(refused) == [
            (
                "spec.lifecycle: the override reactivate needs a reason: annotate it with "
                f"eatool.io/reason{SPENT}"
            )
        ]
        await webshop.apply(APPLICATION, override="reactivate", reason="needed again")
        assert webshop.recorded() == {"override": "reactivate", "reason": "needed again"}


async def test_what_is_said_with_the_change_itself_counts_each_time(sqlite_url: str) -> None:
    async with strict(sqlite_url) as webshop:
        await webshop.apply(APPLICATION, option="bulk", reason="new")
        assert webshop.recorded() == {"reason": "new"}, "the manifest knows more than the command"
        await webshop.apply(CRITICAL, option="bulk", reason="new")
        assert webshop.recorded() == {"reason": "bulk", "spent": {"reason": "new"}}
        await webshop.apply(APPLICATION, option="bulk", reason="new")
        assert webshop.recorded() == {"reason": "bulk", "spent": {"reason": "new"}}
        assert isinstance(await webshop.delete(reason="new", approval_id="ARB-1"), Refused)


async def test_a_correction_names_the_event_that_was_wrong_once(sqlite_url: str) -> None:
    async with strict(sqlite_url) as webshop:
        created = await webshop.apply(APPLICATION)
        assert isinstance(created, Recorded)
        wrong = str(created.last.event_id)
        named = {"corrects_event_id": wrong.upper()}
        await webshop.apply(APPLICATION | {"owner": "shop"}, reason="typing error", **named)
        assert webshop.recorded() == {"reason": "typing error", "corrects_event_id": wrong}
        await webshop.apply(APPLICATION | {"owner": "erp"}, **named)
        assert webshop.recorded() == {"spent": {"corrects_event_id": wrong}}
        await webshop.apply(APPLICATION, corrects_event_id="the last one")
        assert webshop.recorded() == {}, "no id of an event"


@pytest.mark.parametrize("longest", ["r" * 2000, "r" * 1999 + " "])
async def test_what_is_cut_is_known_again(sqlite_url: str, longest: str) -> None:
    async with strict(sqlite_url) as webshop:
        await webshop.apply(APPLICATION, reason=longest + "and more")
        assert isinstance(
            await webshop.delete(reason=longest + "and more", approval_id="ARB-1"), Refused
        )
