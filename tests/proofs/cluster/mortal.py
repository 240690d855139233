"""``eatool run`` in a process that meets its fate at one exact moment of a transition.

``python -m tests.proofs.cluster.mortal`` reads the fate from ``FATE``, see :class:`Fate`.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any, Final, Self
from unittest.mock import patch

from sqlalchemy import Connection

from eatool.cli import main
from eatool.legacy import triggers
from eatool.rollout.lease import SqlLease
from eatool.rollout.ledger import Cause, Standing
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.phases import Phase
from eatool.rollout.view import PhaseView
from eatool.store.port import Append, Appended

VARIABLE: Final = "FATE"
#: Where to die: everybody is told; the commit has begun; its event is written; the retired
#: table's triggers are gone. All but the first are in the middle of a database transaction.
ANNOUNCED, BEFORE, APPENDED, RENAMING = "announced", "before", "appended", "renaming"
#: Not to die, but to hear of no phase any more, as after a long pause of the whole process.
DEAF: Final = "deaf"


@dataclass(frozen=True)
class Fate:
    """Die at ``where`` in the transition of a kind (by aggregate type) to ``to``."""

    kind: str
    to: Phase
    where: str

    def __str__(self) -> str:
        """As the environment has it."""
        return f"{self.kind}:{self.to}:{self.where}"

    @classmethod
    def read(cls, text: str) -> Self:
        """The way back."""
        kind, to, where = text.split(":")
        return cls(kind, Phase(to), where)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    raise AssertionError("unreachable")


def arm(fate: Fate) -> None:
    begin, commit, drop = SqlLedger.begin, SqlLedger.commit, triggers.drop

    def begin_and_die(ledger: SqlLedger, kind: str, to: Phase, cause: Cause) -> Standing:
        standing = begin(ledger, kind, to, cause)
        if (kind, to) == (fate.kind, fate.to):
            die()
        return standing

    def commit_and_die(ledger: SqlLedger, kind: str, epoch: int) -> Standing:
        if kind == fate.kind and ledger.standings()[kind].preparing is fate.to:
            store = ledger._store
            append_in = store.append_in

            def append_and_die(connection: Connection, *appends: Append) -> Appended:
                if fate.where == APPENDED:
                    append_in(connection, *appends)
                die()
                raise AssertionError("unreachable")

            patch.object(store, "append_in", append_and_die).start()
        return commit(ledger, kind, epoch)

    def drop_and_die(*arguments: Any) -> None:
        drop(*arguments)
        die()

    match fate.where:
        case "announced":
            patch.object(SqlLedger, "begin", begin_and_die).start()
        case "before" | "appended":
            patch.object(SqlLedger, "commit", commit_and_die).start()
        case "renaming":
            patch.object(triggers, "drop", drop_and_die).start()


def deafen() -> None:
    """See the phases once, and leave: nobody waits for this process, and it does not lead."""
    refresh = PhaseView.refresh
    heard: list[PhaseView] = []

    def once(view: PhaseView) -> None:
        if not heard:
            heard.append(view)
            refresh(view)
            view.ledger.leave(view.replica)

    patch.object(PhaseView, "refresh", once).start()
    patch.object(SqlLease, "hold", lambda *_: False).start()


if __name__ == "__main__":
    told = os.environ.get(VARIABLE, "")
    if told == DEAF:
        deafen()
    elif told:
        arm(Fate.read(told))
    main(["run"])
