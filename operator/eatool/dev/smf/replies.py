"""Answers of a broker: a code and a text.

The client library goes by the text: it looks it up in a table of its own and makes a sub code
of it, so every character counts. These texts are those the library knows.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Reply(NamedTuple):
    """A response code, 200 being success, and its text."""

    code: int
    text: str

    @classmethod
    def parse(cls, line: str) -> Reply:
        """``503 Spool Over Quota`` as a reply; ValueError if it does not begin with a number."""
        code, _, text = line.partition(" ")
        return cls(int(code), text)

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


OK: Final = Reply(200, "OK")

# Of a login
UNAUTHORIZED: Final = Reply(401, "Unauthorized")
CLIENT_ACL_DENIED: Final = Reply(403, "Forbidden")
CLIENT_USERNAME_SHUTDOWN: Final = Reply(403, "Client Username Is Shutdown")
CLIENT_NAME_IN_USE: Final = Reply(403, "Client Name Already In Use")
VPN_NOT_ALLOWED: Final = Reply(403, "Message VPN Not Allowed")
VPN_UNAVAILABLE: Final = Reply(503, "Message VPN Unavailable")
SERVICE_UNAVAILABLE: Final = Reply(503, "Service Unavailable")

# Of a guaranteed message
PUBLISH_ACL_DENIED: Final = Reply(403, "Publish ACL Denied")
NO_SUBSCRIPTION_MATCH: Final = Reply(503, "No Subscription Match")
SPOOL_OVER_QUOTA: Final = Reply(503, "Spool Over Quota")
MESSAGE_TOO_LARGE: Final = Reply(400, "Document Is Too Large")
INVALID_TOPIC: Final = Reply(400, "Topic Parse Error")
QUEUE_SHUTDOWN: Final = Reply(503, "Queue Shutdown")
REPLICATION_IS_STANDBY: Final = Reply(503, "Replication Is Standby")

# Of a flow or an endpoint
UNKNOWN_FLOW_NAME: Final = Reply(400, "Unknown Flow Name")
UNKNOWN_QUEUE: Final = Reply(503, "Unknown Queue")
ALREADY_EXISTS: Final = Reply(400, "Already Exists")
PERMISSION_NOT_ALLOWED: Final = Reply(403, "Permission Not Allowed")
