"""Kubernetes events about rollouts: transitions that ended, and people who are waited for."""

from __future__ import annotations

from typing import Final

from eatool.kube.announcing import Poster
from eatool.kube.platform.resources import Body

_SEVERITY: Final = {"RolledBack": "Warning", "Aborted": "Warning"}
#: States in which nothing goes on before a person has acted.
_ASKING: Final = {"AwaitingApproval": "Normal", "Held": "Warning"}


class RolloutAnnouncer(Poster):
    """Posts what is new in a status that was just written."""

    def __call__(self, before: Body, after: Body) -> None:
        """Announce what changed between two versions of an object."""
        was, now = before.get("status") or {}, after.get("status") or {}
        known = {entry["epoch"] for entry in was.get("history") or ()}
        for entry in now.get("history") or ():
            if entry["epoch"] not in known and was:
                note = f"{entry.get('from', 'nothing')} to {entry['to']}: {entry['reason']}"
                result = entry["result"]
                self.post(after, _SEVERITY.get(result, "Normal"), result, note)
        if was.get("retiredTable") and "retiredTable" not in now:
            self.post(after, "Normal", "LegacyTableDropped", f"{was['retiredTable']} is gone")
        state = now.get("state")
        if state in _ASKING and state != was.get("state"):
            self.post(after, _ASKING[state], state, now["message"])
