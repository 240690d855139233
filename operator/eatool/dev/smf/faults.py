"""Things that go wrong on purpose, and the limits of the broker.

Fields may be changed at any time, from any thread; each says when it takes effect.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field, with_config

from eatool.dev.smf.messages import ReceivedMessage
from eatool.dev.smf.replies import Reply
from eatool.dev.smf.topics import matches

_MEBIBYTE: Final = 1024 * 1024

# What is set by hand, over HTTP, must not be misspelt without notice.
_known_only = with_config(extra="forbid")
_Count = Annotated[int, Field(ge=0)]


@_known_only
@dataclass(slots=True)
class Nack:
    """Reject guaranteed messages whose topic a subscription matches, all or the next few."""

    reply: Reply
    topic: str = ">"
    times: _Count | None = None
    """How many more; goes down to 0. None: all."""

    def strikes(self, message: ReceivedMessage) -> bool:
        """Whether it rejects this message; counts it."""
        if self.times == 0 or not matches(self.topic, message.topic):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@_known_only
@dataclass(slots=True)
class Faults:
    """All at rest by default."""

    refuse_connections: bool = False
    """Reset each new TCP connection, as while a broker restarts behind a load balancer."""
    refuse_login: Reply | None = None
    """Answer logins with this, whatever the credentials."""
    refuse_publisher_flow: Reply | None = None
    """Answer the opening of publisher flows with this."""
    forget_flows: bool = False
    """Answer the reopening of a publisher flow with ``400 Unknown Flow Name``: what a broker
    says three minutes after a disconnection, or after a failover to one without its state."""
    silent: bool = False
    """Take connections and bytes, but handle and send nothing: a broker that hangs, or a network
    that swallows packets. Lifted, it goes on with the next bytes that come;
    ``SmfBroker.resume()`` goes on at once."""
    ignore_keep_alives: bool = False
    """Leave keep-alives unanswered."""
    ack_delay: Annotated[float, Field(ge=0)] = 0.0
    """Seconds to hold each acknowledgement back; their order stays."""
    withhold_acks: bool = False
    """Store messages but do not acknowledge them. Once lifted, the client's next
    retransmission, of which it makes one every 2 s, gets everything acknowledged."""
    nacks: list[Nack] = field(default_factory=list)
    """Rejections; the first that strikes wins."""
    cut_after: _Count | None = None
    """Cut the connection after storing this many more guaranteed messages, before they are
    acknowledged; goes back to None when it happens."""
    cut_loses_unacked: bool = False
    """With ``cut_after``: forget what was not acknowledged, as a broker that had not stored
    it. Otherwise the reopened flow acknowledges it."""

    def verdict(self, message: ReceivedMessage) -> Reply | None:
        """The rejection of a new guaranteed message, if there is one."""
        return next((nack.reply for nack in self.nacks if nack.strikes(message)), None)


@_known_only
@dataclass(slots=True)
class Limits:
    """Sizes in bytes."""

    message_bytes: _Count = 10 * _MEBIBYTE
    """Largest payload that is stored; a greater one gets ``400 Document Is Too Large``. A
    queue of a real broker has 10 MB by default."""
    announced_message_bytes: _Count = 30 * _MEBIBYTE
    """What the login response says: the client itself refuses guaranteed messages above."""
