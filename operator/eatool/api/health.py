"""Named checks behind ``/healthz`` and ``/readyz``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """Answer of one check. ``why`` is shown to anybody who can reach the port: no secrets."""

    ok: bool
    why: str = ""


#: One check. An exception counts as not ok and its text stays in the log.
Check = Callable[[], Awaitable[Health]]

#: Whether the process is worth keeping. Must be quick: it runs in the event loop.
Liveness = Callable[[], Health]


@dataclass(frozen=True, slots=True)
class Report:
    """All answers of one moment."""

    checks: Mapping[str, Health]

    @property
    def ok(self) -> bool:
        """Every check passed."""
        return all(health.ok for health in self.checks.values())

    def to_json(self) -> dict[str, object]:
        """``{"ok": false, "checks": {"store": {"ok": false, "why": "timed out"}}}``."""
        return {
            "ok": self.ok,
            "checks": {
                name: {"ok": health.ok, "why": health.why} for name, health in self.checks.items()
            },
        }


async def examine(checks: Mapping[str, Check], *, limit: float) -> Report:
    """Run all checks at once; each has ``limit`` seconds of its own."""
    answers = await asyncio.gather(
        *(_examine_one(name, check, limit) for name, check in checks.items())
    )
    return Report(dict(zip(checks, answers, strict=True)))


async def _examine_one(name: str, check: Check, limit: float) -> Health:
    try:
        async with asyncio.timeout(limit):
            return await check()
    except TimeoutError:
        return Health(ok=False, why=f"no answer within {limit:g} s")
    except Exception as error:
        _log.exception("Check failed", check=name)
        return Health(ok=False, why=type(error).__name__)
