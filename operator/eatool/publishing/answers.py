"""What became of one message, in the words of the port: publishers and encoders may surprise.

The text of an error that is not the port's own may hold values of a spec: only its type is shown.
"""

from __future__ import annotations

import asyncio

from eatool.publishing.port import PermanentPublishError, PublishError, TransientPublishError


def failed(error: Exception) -> asyncio.Future[None]:
    """The answer to a message that never left."""
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answer.set_exception(error)
    return answer


def error_of(answer: asyncio.Future[None]) -> PublishError | None:
    """Why the event is not acknowledged, if it is not."""
    if answer.cancelled():
        return TransientPublishError("cancelled")
    error = answer.exception()
    if error is None or isinstance(error, PublishError):
        return error
    return PublishError(f"cannot be sent: {type(error).__name__}")


def unencodable(error: Exception) -> PermanentPublishError:
    """What an encoder raised, as the answer to its event."""
    if isinstance(error, PermanentPublishError):
        return error
    return PermanentPublishError(f"cannot be encoded: {type(error).__name__}")
