"""Which event it is that a broker answers by ending the session, or by silence.

Some brokers have no other way to refuse: MQTT 3.1.1 knows no reasons, and a malformed packet ends
any session. Others keep the session but answer nothing in it any more. Such an event at the head
would keep its whole destination from flowing for ever.

An event that was alone in flight when the session ended or fell silent is a suspect. From then on
it is sent only alone, after all others. It is convicted when that happened several times *and*
others were acknowledged in between: a broker that is down or flapping convicts nobody. An
acknowledged suspect shows that the broker breaks on innocent events too, and all counts begin anew.

Where nothing else is to be sent, a session that stayed up for a while without the suspect takes
the place of the others. That is weaker evidence, since a broker may break on every message, so it
convicts only one event until the broker acknowledges some other. After a silence it is none at
all: a broker that is short of disk or memory keeps sessions and answers nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterable


class Suspects(Container[str]):
    """Suspected events by their stream; an acknowledgement acquits."""

    def __init__(self, limit: int) -> None:
        """``limit``: ended or silent sessions that convict."""
        self._limit = limit
        self._ended: dict[str, int] = {}
        #: Streams whose last ended session was followed by an acknowledgement of another one.
        self._compared: set[str] = set()
        #: The present comparison is a session that survived without the suspect.
        self._quiet = False
        self._quiet_spent = False

    @property
    def unproven(self) -> bool:
        """There is one suspect, and only a quiet session can tell whether it is to blame."""
        return len(self._ended) == 1 and not self._compared and not self._quiet_spent

    def survived(self) -> None:
        """The session has stayed up for a while without the suspect being sent."""
        self._compared = set(self._ended)
        self._quiet = True

    def __bool__(self) -> bool:
        return bool(self._ended)

    def __contains__(self, stream_id: object) -> bool:
        return stream_id in self._ended

    def any_of(self, streams: Iterable[str]) -> bool:
        """Whether one of ``streams`` is suspected."""
        return not self._ended.keys().isdisjoint(streams)

    def accuse(self, stream_id: str, *, silent: bool = False) -> bool:
        """The session ended, or fell silent, with only this one in flight; True convicts it."""
        ended = self._ended.get(stream_id, 0)
        if not ended or stream_id in self._compared:
            ended += 1
        self._compared.discard(stream_id)
        self._ended[stream_id] = ended
        convicted = ended >= self._limit
        self._quiet_spent |= silent or (convicted and self._quiet)
        return convicted

    def acknowledged(self, stream_id: str) -> None:
        """The broker took an event of ``stream_id``."""
        if self._ended.pop(stream_id, None) is not None:
            self._ended = dict.fromkeys(self._ended, 1)
        self._compared = set(self._ended)
        self._quiet = self._quiet_spent = False

    def forget(self, stream_id: str) -> None:
        """Its events are somebody else's, or parked."""
        self._ended.pop(stream_id, None)
        self._compared.discard(stream_id)
