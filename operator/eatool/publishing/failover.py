"""Several addresses of one broker behind one publisher."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from eatool.publishing.port import Fault, Message, Publisher, PublisherFactory, SessionLost


class Endpoint(NamedTuple):
    """One address, as people know it, and what makes an unconnected publisher to it."""

    address: str
    factory: PublisherFactory


class FailoverPublisher:
    """See :class:`~eatool.publishing.port.Publisher`; goes to the first address that answers.

    Every connection starts from the first address again, so that the preferred one is back in
    use as soon as a session ends after its return. Addresses that took a session but acknowledged
    nothing in it come last, until something is acknowledged.
    """

    def __init__(self, endpoints: Sequence[Endpoint], useless: list[str] | None = None) -> None:
        """``useless``: those addresses, newest last; shared by the sessions of a destination."""
        self._endpoints = endpoints
        self._useless = [] if useless is None else useless
        self._publisher: Publisher | None = None
        self._asked = self._acknowledged = False
        self.address: str | None = None

    async def connect(self) -> None:
        """Try the addresses in order; :class:`SessionLost` says why each of them failed.

        Its fault is the most telling of theirs.
        """
        failures: list[SessionLost] = []
        for address, factory in sorted(self._endpoints, key=self._uselessness):
            publisher = factory()
            try:
                await publisher.connect()
            except SessionLost as error:
                await publisher.close()
                failures.append(error)
            except BaseException:
                await publisher.close()
                raise
            else:
                self._publisher, self.address = publisher, address
                return
        faults = [each.fault for each in failures]
        telling = min(faults, key=list(Fault).index, default=Fault.CONNECTION)
        raise SessionLost("; ".join(map(str, failures)), telling)

    def publish(self, message: Message) -> asyncio.Future[None]:
        """See the port."""
        answer = self._connected.publish(message)
        if not self._acknowledged:
            self._asked = True
            answer.add_done_callback(self._note)
        return answer

    async def lost(self) -> SessionLost:
        """See the port."""
        return await self._connected.lost()

    async def close(self) -> None:
        """See the port."""
        if self._publisher is None:
            return
        if self._asked and not self._acknowledged and self.address is not None:
            if self.address in self._useless:
                self._useless.remove(self.address)
            self._useless.append(self.address)
        await self._publisher.close()

    def _uselessness(self, endpoint: Endpoint) -> int:
        found = endpoint.address in self._useless
        return self._useless.index(endpoint.address) + 1 if found else 0

    def _note(self, answer: asyncio.Future[None]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self._acknowledged = True
            self._useless.clear()

    @property
    def _connected(self) -> Publisher:
        if self._publisher is None:
            raise SessionLost("not connected")
        return self._publisher
