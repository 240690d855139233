"""A stand-in of a Solace PubSub+ broker, for tests and demos with the real client library.

It speaks SMF, the wire protocol, over TCP or TLS: login, keep-alive, publisher flows,
acknowledgements and rejections, topic subscriptions, queues. It is no broker: it has one message
VPN, no permissions, no replay, no transactions. docs/solace-stand-in.md says what it does, what
it does not do, and what nobody has compared with a real broker.
"""

from eatool.dev.smf.broker import SmfBroker
from eatool.dev.smf.faults import Faults, Limits, Nack
from eatool.dev.smf.login import Access
from eatool.dev.smf.messages import DeliveryMode, Outcome, ReceivedMessage
from eatool.dev.smf.replies import Reply

__all__ = [
    "Access",
    "DeliveryMode",
    "Faults",
    "Limits",
    "Nack",
    "Outcome",
    "ReceivedMessage",
    "Reply",
    "SmfBroker",
]
