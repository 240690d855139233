"""``ParkedStream``: an entity whose events one broker refuses, made visible by the operator."""

from __future__ import annotations

from pydantic import Field

from eatool.domain.kind import SpecObject
from eatool.publishing.declared.fields import ResourceName
from eatool.publishing.declared.replay import StreamName


class ParkedStreamSpec(SpecObject):
    """An entity that one broker is not sent any more until somebody asks for it.

    Written by the operator. Annotate it with ``platform.eatool.io/resend`` (any new value) to send
    what was passed over, in order, and to go on with the entity.
    """

    broker: ResourceName = Field(description="EventBroker that refused.")
    stream: StreamName = Field(description="The entity, as type/namespace/name.")
