"""Topics: what a subscription matches, and what is a topic at all."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

#: Limits of a real broker, which counts bytes of UTF-8, not characters.
MAX_TOPIC_BYTES: Final = 250
MAX_TOPIC_LEVELS: Final = 128

_NO_EXPORT: Final = "#noexport/"


def is_valid_topic(topic: str) -> bool:
    """Whether a message may be published to ``topic``."""
    return 0 < len(topic.encode()) <= MAX_TOPIC_BYTES and topic.count("/") < MAX_TOPIC_LEVELS


def matches(subscription: str, topic: str) -> bool:
    """Whether ``subscription`` attracts messages of ``topic``.

    ``*`` at the end of a level stands for the rest of it, alone for one whole level; ``>`` as
    the last level stands for one or more. Anywhere else both are ordinary characters. Topics
    that begin with ``#`` are the broker's own: no wildcard matches them, unless the
    subscription begins with ``#`` too.
    """
    if topic.startswith("#") and not subscription.startswith("#"):
        return False
    return _pattern(subscription).fullmatch(topic) is not None


@lru_cache(maxsize=1024)
def _pattern(subscription: str) -> re.Pattern[str]:
    *parents, last = subscription.removeprefix(_NO_EXPORT).split("/")
    levels = [*map(_level, parents), ".+" if last == ">" else _level(last)]
    return re.compile("/".join(levels), re.DOTALL)


def _level(level: str) -> str:
    if level == "*":
        return "[^/]+"
    if level.endswith("*"):
        return re.escape(level[:-1]) + "[^/]*"
    return re.escape(level)
