"""Several addresses of one broker behind one publisher."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from eatool.publishing.port import Message, Publisher, PublisherFactory, SessionLost


class Endpoint(NamedTuple):
    """One address, as people know it, and what makes an unconnected publisher to it."""

    address: str
    factory: PublisherFactory


class FailoverPublisher:
    """See :class:`~eatool.publishing.port.Publisher`; goes to the first address that answers.

    Every connection starts from the first address again, so that the preferred one is back in
    use as soon as a session ends after its return.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints
        self._publisher: Publisher | None = None
        self.address: str | None = None

    async def connect(self) -> None:
        """Try the addresses in order; :class:`SessionLost` says why each of them failed."""
        reasons = []
        for address, factory in self._endpoints:
            publisher = factory()
            try:
                await publisher.connect()
            except SessionLost as error:
                await publisher.close()
                reasons.append(str(error))
            except BaseException:
                await publisher.close()
                raise
            else:
                self._publisher, self.address = publisher, address
                return
        raise SessionLost("; ".join(reasons))

    def publish(self, message: Message) -> asyncio.Future[None]:
        """See the port."""
        return self._connected.publish(message)

    async def lost(self) -> SessionLost:
        """See the port."""
        return await self._connected.lost()

    async def close(self) -> None:
        """See the port."""
        if self._publisher is not None:
            await self._publisher.close()

    @property
    def _connected(self) -> Publisher:
        if self._publisher is None:
            raise SessionLost("not connected")
        return self._publisher
