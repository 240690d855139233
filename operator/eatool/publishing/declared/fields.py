"""Field types shared by the declared resources."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict

from eatool.domain.kind import SpecObject
from eatool.domain.text import Text

#: Longest name of an EventBroker or EventReplay: what derives from it must fit in 63 characters.
NAME_MAX = 48

ResourceName = Annotated[
    str,
    Text(
        253,
        pattern=r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?",
        legal="the metadata.name of an object: lower-case letters, digits, inner hyphens and dots",
        trim=False,
    ),
]
SecretKey = Annotated[
    str,
    Text(253, pattern=r"[-._a-zA-Z0-9]+", legal="a key of a Secret: letters, digits, - _ and ."),
]
#: One topic level or more, without placeholders; no leading or trailing slash.
TopicPrefix = Annotated[
    str,
    Text(
        120,
        pattern=r"[^/+#*>$\s{}][^/+#*>\s{}]*(?:/[^/+#*>\s{}]+)*",
        legal="topic levels such as replay/2026, without wildcards, placeholders and blanks",
    ),
]
Seconds = Annotated[int, Strict(), Field(ge=1, le=31_536_000)]


class SecretRef(SpecObject):
    """One key of a Secret in the namespace of this object."""

    name: ResourceName = Field(description="Name of the Secret.")
    key: SecretKey = Field(description="Key in the Secret.")


class TlsSecretRef(SpecObject):
    """A Secret of type kubernetes.io/tls in the namespace of this object."""

    name: ResourceName = Field(description="Name of the Secret, with tls.crt and tls.key.")
