"""For programs that consume the published events; needs nothing but Python.

A broker delivers at least once. What makes the effects of a consumer happen once is one rule:
**store the last sequence of each stream in the same transaction as the effect.**

    verdict = judge(stored_progress, event.sequence)     # New, Duplicate, Gap, Late

:mod:`~eatool.consuming.inbox` applies it with SQLite, and shows how with any database.
"""

from eatool.consuming.events import Event, NotAnEvent, decode
from eatool.consuming.inbox import Inbox
from eatool.consuming.sequence import (
    Duplicate,
    Gap,
    Late,
    New,
    Progress,
    Subscription,
    Verdict,
    judge,
)

__all__ = [
    "Duplicate",
    "Event",
    "Gap",
    "Inbox",
    "Late",
    "New",
    "NotAnEvent",
    "Progress",
    "Subscription",
    "Verdict",
    "decode",
    "judge",
]
