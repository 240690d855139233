"""The state of a broker, as its connections see it: one message VPN.

Everything here happens in the thread of the broker's event loop, except what says otherwise.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from eatool.dev.smf.faults import Faults, Limits
from eatool.dev.smf.flows import FlowTable, PublisherFlow
from eatool.dev.smf.journal import Entry, Journal
from eatool.dev.smf.login import Access, LoginAttempt
from eatool.dev.smf.messages import Outcome, ReceivedMessage
from eatool.dev.smf.queues import Queue, as_direct
from eatool.dev.smf.replies import (
    INVALID_TOPIC,
    MESSAGE_TOO_LARGE,
    NO_SUBSCRIPTION_MATCH,
    OK,
    SPOOL_OVER_QUOTA,
    Reply,
)
from eatool.dev.smf.topics import is_valid_topic
from eatool.dev.smf.wire import Frame


class Client(Protocol):
    """What the state knows of a client that has logged in."""

    client_name: str
    direct_count: int
    """Direct messages it was sent."""
    keep_alives: int
    """Keep-alives it has sent."""
    send: Callable[[Frame], None]

    def subscribed(self, topic: str) -> bool:
        """Whether a direct message of this topic is for it."""

    def close_flow(self) -> None:
        """End its publisher flow from the broker's side."""


class Link(Protocol):
    """A connection, whether or not a client has logged in on it."""

    ended: asyncio.Future[None]

    def resume(self) -> None:
        """Go on after a silence."""

    def drop(self) -> None:
        """Cut it."""


class BrokerState:
    """Clients, flows, queues and the log of all messages; durable if the journal is."""

    def __init__(
        self,
        *,
        access: Access,
        limits: Limits,
        faults: Faults,
        reject_unmatched: bool,
        keep: int | None,
        journal: Journal,
    ) -> None:
        """``keep`` bounds the log of messages, None for all."""
        self.access = access
        self.limits = limits
        self.faults = faults
        self.reject_unmatched = reject_unmatched
        self.flows = FlowTable()
        self.queues: dict[str, Queue] = {}
        self.connections: dict[int, Link] = {}
        self.clients: dict[int, Client] = {}
        self.log: deque[ReceivedMessage] = deque(maxlen=keep)
        self.received = 0
        self.stored = 0
        self.acks = 0
        self.logins: list[LoginAttempt] = []
        self.protocol_errors: list[str] = []
        self._journal = journal
        self._condition = threading.Condition()

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until it holds; looked at after everything that happens. From other threads."""
        with self._condition:
            return self._condition.wait_for(condition, timeout)

    def changed(self) -> None:
        """Wake those that wait."""
        with self._condition:
            self._condition.notify_all()

    def resume(self) -> None:
        """End a silence."""
        self.faults.silent = False
        for connection in list(self.connections.values()):
            connection.resume()

    def has_client(self, name: str) -> bool:
        """Whether a client of this name is logged in."""
        return any(client.client_name == name for client in self.clients.values())

    # Messages

    def verdict(self, message: ReceivedMessage) -> Reply:
        """Whether a guaranteed message is stored (200), or why not."""
        rejection = self.faults.verdict(message)
        if rejection is not None:
            return rejection
        if not is_valid_topic(message.topic):
            return INVALID_TOPIC
        if len(message.payload) > self.limits.message_bytes:
            return MESSAGE_TOO_LARGE
        queues = self._attracted(message)
        if not queues and self.reject_unmatched:
            return NO_SUBSCRIPTION_MATCH
        return SPOOL_OVER_QUOTA if any(queue.is_full for queue in queues) else OK

    def take(self, message: ReceivedMessage) -> None:
        """Log a message; if it counts, hand it to the subscribers and queues it is for."""
        message.received_at = time.time()
        self._journal.append("message", **message.record())
        self._enter(message)
        if message.stored or message.outcome is Outcome.DIRECT:
            self._publish(message)
        self.changed()

    def lose_unacked(self, flow: PublisherFlow) -> None:
        """Forget the messages of a flow that were not acknowledged."""
        self._journal.append("lost", flow=flow.name)
        self._lose(flow)

    def _lose(self, flow: PublisherFlow) -> None:
        for message in self.log:
            if message.flow == flow.name and message.message_id > flow.acked_id and message.stored:
                message.outcome = Outcome.LOST
                self.stored -= 1
        for queue in self.queues.values():
            queue.drop(lambda message: message.outcome is Outcome.LOST)
        flow.rewind()

    def _enter(self, message: ReceivedMessage) -> None:
        self.log.append(message)
        self.received += 1
        self.stored += message.stored
        if message.stored or message.outcome is Outcome.DIRECT:
            for queue in self._attracted(message):
                queue.put(message)

    def _publish(self, message: ReceivedMessage) -> None:
        frame = as_direct(message.frame)
        for client in list(self.clients.values()):
            if client.subscribed(message.topic):
                client.direct_count += 1
                client.send(frame)

    def _attracted(self, message: ReceivedMessage) -> list[Queue]:
        return [queue for queue in self.queues.values() if queue.attracts(message.topic)]

    # Flows

    def open_flow(self, name: str, client_name: str) -> PublisherFlow | None:
        """A new flow for an empty name, else the one of that name, if it is still known."""
        if not name:
            flow = self.flows.create(client_name)
            self._journal.append(
                "flow", name=flow.name, client_name=client_name, publisher_id=flow.publisher_id
            )
            return flow
        if self.faults.forget_flows:
            self.forget_flow(name)
        return self.flows.get(name)

    def forget_flow(self, name: str) -> None:
        """Have a flow expire."""
        self._journal.append("forgotten", name=name)
        self.flows.forget(name)

    def forget_flows(self) -> None:
        """Have all flows expire."""
        for name in self.flows.names():
            self.forget_flow(name)

    def close_flows(self) -> None:
        """Have all flows expire, and tell their clients."""
        for client in self.clients.values():
            client.close_flow()

    def told(self, flow: PublisherFlow, message_id: int) -> None:
        """A client is being sent an acknowledgement up to this id."""
        self._journal.append("acked", flow=flow.name, message_id=message_id)
        flow.told(message_id)
        self.acks += 1
        self.changed()

    # Queues

    def add_queue(self, name: str, subscriptions: Iterable[str], max_messages: int | None) -> Queue:
        """Make a queue, or change one: its subscriptions are then these only."""
        topics = set(subscriptions)
        self._journal.append(
            "queue", name=name, subscriptions=sorted(topics), max_messages=max_messages
        )
        queue = self.queues.setdefault(name, Queue(name))
        queue.subscriptions, queue.max_messages = topics, max_messages
        return queue

    def subscribe_queue(self, queue: Queue, topic: str, *, add: bool) -> None:
        """Add or remove a subscription of a queue."""
        topics = queue.subscriptions | {topic} if add else queue.subscriptions - {topic}
        self.add_queue(queue.name, topics, queue.max_messages)

    def consumed(self, queue: Queue, numbers: list[int]) -> None:
        """A consumer has acknowledged messages of a queue."""
        if numbers:
            self._journal.append("consumed", queue=queue.name, numbers=numbers)
            self.changed()

    # Disk

    def restore(self) -> None:
        """Read what earlier runs wrote, into an empty state."""
        for entry in self._journal.replay():
            self._apply(entry.pop("kind"), entry)

    def _apply(self, kind: str, entry: Entry) -> None:
        match kind:
            case "message":
                self._restore_message(ReceivedMessage.from_record(entry))
            case "flow":
                self.flows.restore(**entry)
            case "forgotten":
                self.flows.forget(entry["name"])
            case "acked" | "lost":
                # A flow may be forgotten while its client still uses it.
                if (flow := self.flows.get(entry["flow"])) is None:
                    return
                if kind == "lost":
                    self._lose(flow)
                else:
                    flow.told(entry["message_id"])
            case "queue":
                self.add_queue(**entry)
            case "consumed":
                self.queues[entry["queue"]].consumed(entry["numbers"])

    def _restore_message(self, message: ReceivedMessage) -> None:
        flow = self.flows.get(message.flow)
        if flow is not None and (message.stored or message.outcome is Outcome.NACKED):
            flow.take(message.message_id, message.reply)
        self._enter(message)
