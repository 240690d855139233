"""What must be there before the operator can work: sign-in, port, database, Kubernetes API.

What a person has to mend ends the process, with the setting. What comes up by itself is waited for.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.engine import make_url
from starlette.types import ASGIApp

from eatool.api.server import serve
from eatool.kube.credentials import CannotSignIn, api_client
from eatool.kube.reaching import unreachable
from eatool.projections.inline import ReadModels
from eatool.projections.tables import PROJECTION
from eatool.publishing.os_errors import in_words
from eatool.registry.opening import OpenRegistry, open_registry, policy_of
from eatool.rollout.feed import InlineByPhase
from eatool.rollout.measuring import SampledAppender
from eatool.rollout.process import Outset
from eatool.settings import Settings
from eatool.store.port import StoreError
from eatool.store.sql.migrate import SchemaNewer
from eatool.telemetry.metrics import Metrics
from eatool.telemetry.recording import (
    MeasuredAppender,
    MeasuredCommits,
    MeasuredProjection,
    count_retries,
)

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.runtime")

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 30.0
#: An API server that restarts is back soon, and objects wait for the operator.
_LONGEST_API_WAIT: Final = 5.0


class ConfigurationError(Exception):
    """A setting that cannot work; ``variable`` names it and the text never quotes a secret."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"{variable}: {problem}")


async def signed_in() -> None:
    """See that there is something to sign in to Kubernetes with."""
    try:
        transport = await api_client()
    except CannotSignIn as error:
        raise ConfigurationError("KUBECONFIG", error.problem) from error
    await transport.close()


@asynccontextmanager
async def served(app: ASGIApp, settings: Settings) -> AsyncIterator[int]:
    """The HTTP server for the length of the block; yields its port."""
    async with AsyncExitStack() as stack:
        try:
            port = await stack.enter_async_context(
                serve(app, settings.http_host, settings.http_port)
            )
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                problem = f"{settings.http_port}: {in_words(error)}; 0 takes any free port"
                raise ConfigurationError("EATOOL_HTTP_PORT", problem) from error
            # Python adds its own account of the call.
            why = (error.strerror or "").partition(" (while ")[0]
            problem = f"{settings.http_host}: {why}"
            raise ConfigurationError("EATOOL_HTTP_HOST", problem) from error
        yield port


async def reached(stopping: asyncio.Event) -> bool:
    """Wait until the Kubernetes API answers; false when asked to stop."""
    async for pause in _tries(stopping, _LONGEST_API_WAIT):
        if (why := await unreachable()) is None:
            return True
        _log.warning(
            "the Kubernetes API does not answer", setting="KUBECONFIG", why=why,
            next_try_seconds=pause,
        )  # fmt: skip
    return False


async def opened(
    stack: AsyncExitStack,
    settings: Settings,
    metrics: Metrics,
    stopping: asyncio.Event,
    outset: Outset,
) -> OpenRegistry | None:
    """Open the log, however long the database takes to come up; ``None`` when asked to stop."""
    url = settings.store_url.get_secret_value()
    _check_folder(url)
    async for pause in _tries(stopping, _LONGEST_WAIT):
        opening = open_registry(
            url,
            policy=policy_of(settings),
            around=lambda appender: MeasuredAppender(
                SampledAppender(appender, outset.samples, outset.standings.of), metrics, PROJECTION
            ),
            committing=lambda store: MeasuredCommits(store, metrics),
            inline=lambda _: [
                MeasuredProjection(
                    InlineByPhase(outset.standings, settings.legacy_namespace)
                    if settings.rollout
                    else ReadModels(),
                    metrics,
                )
            ],
            retried=count_retries(metrics),
        )
        try:
            return await stack.enter_async_context(opening)
        except (ValueError, SchemaNewer) as error:
            raise ConfigurationError("EATOOL_STORE_URL", str(error)) from error
        except StoreError as error:
            metrics.store_up(up=False)
            _log.warning(
                "store not open yet", setting="EATOOL_STORE_URL", why=str(error),
                next_try_seconds=pause,
            )  # fmt: skip
    return None


async def _tries(stopping: asyncio.Event, longest: float) -> AsyncIterator[float]:
    """A try at each turn, until asked to stop; yields the seconds to the next one."""
    pause = _FIRST_WAIT
    while not stopping.is_set():
        yield pause
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause)
        pause = min(2 * pause, longest)


def _check_folder(url: str) -> None:
    """SQLite makes files, not folders."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return
    folder = Path(parsed.database).absolute().parent
    if not folder.is_dir():
        raise ConfigurationError("EATOOL_STORE_URL", f"there is no folder {folder}; create it")
