"""Whether there is a Kubernetes API to talk to, asked before anything is watched."""

from __future__ import annotations

from typing import Final

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from eatool.kube.credentials import api_client
from eatool.publishing.os_errors import in_words

#: Seconds for one question.
_TIMEOUT: Final = 5.0


async def unreachable() -> str | None:
    """Why the API server does not answer, with its address; ``None`` when it does.

    A refusal is an answer. ``CannotSignIn`` when there is nothing to ask with.
    """
    transport = await api_client()
    try:
        await client.VersionApi(transport).get_code(_request_timeout=_TIMEOUT)
    except ApiException:
        return None
    except aiohttp.ClientConnectorError as error:
        return f"{transport.configuration.host}: {in_words(error.os_error)}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"{transport.configuration.host}: {type(error).__name__}"
    finally:
        await transport.close()
    return None
