"""Where an event goes: a topic template, filled with values that cannot break out of their level.

Sanitising is percent-encoding of exactly the characters that brokers give a meaning to
(``/ + # * >``), of ``%`` itself, of control characters, of surrogates and of a leading ``$``
(topics that start with it belong to the broker). Everything else, Unicode included, stays
readable, and :func:`decode_level` gives the original back. Kubernetes names pass unchanged, dots
included, unless the template is told to encode those as well: some brokers separate levels with
dots inside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from string import Formatter
from typing import Final
from urllib.parse import unquote

from eatool.domain.identity import EntityRef
from eatool.publishing.port import PermanentPublishError

#: No namespace level: put ``{namespace}`` into the template when one broker serves several
#: registries whose entities share names.
DEFAULT_TEMPLATE = "eatool/v1/{env}/{entity_type}/{event_type}/{entity_id}"
PLACEHOLDERS = frozenset(
    {"env", "namespace", "entity_type", "event_type", "event_version", "entity_id"}
)


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """What a protocol can carry: bytes of UTF-8, and levels (``None`` = any number)."""

    max_bytes: int
    max_levels: int | None = None


#: The length prefix has 16 bits.
MQTT_LIMITS: Final = TopicLimits(65_535)
SOLACE_LIMITS: Final = TopicLimits(250, 128)

_UNSAFE = re.compile(r"[/+#*>%\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]|^\$")
_UNSAFE_OR_DOT = re.compile(rf"{_UNSAFE.pattern}|\.")
_WILDCARDS = re.compile(r"[+#*>\x00-\x1f\x7f-\x9f]")


class TopicTemplateError(ValueError):
    """The template cannot be used; the message says what is legal."""


class TopicTooLong(PermanentPublishError):
    """The topic of this event exceeds the limit of its protocol."""


def encode_level(value: str, *, dots: bool = False) -> str:
    """Make ``value`` one topic level; UTF-8 percent-encoding, upper-case hex.

    ``dots``: encode them as well.
    """
    return (_UNSAFE_OR_DOT if dots else _UNSAFE).sub(_percent, value)


def decode_level(level: str) -> str:
    """The value that :func:`encode_level` made ``level`` from."""
    return unquote(level, encoding="utf-8", errors="surrogatepass")


def split_type(versioned_type: str) -> tuple[str, str]:
    """``ApplicationCreated.v1`` -> ``("ApplicationCreated", "v1")``."""
    name, _, version = versioned_type.rpartition(".")
    return (name, version) if name else (version, "")


@dataclass(frozen=True, slots=True)
class TopicTemplate:
    """A validated template bound to an environment; :meth:`topic` is cheap and pure.

    Raises :class:`TopicTemplateError` for unknown or malformed placeholders, wildcards, empty
    levels, a leading ``$``, more levels than ``limits`` allow, and a template that names neither
    entity nor event type.

    ``prefix``: levels before the template, without placeholders; empty = none. ``encode_dots``:
    in values; outside of them none is allowed then.
    """

    template: str = DEFAULT_TEMPLATE
    env: str = "dev"
    limits: TopicLimits = MQTT_LIMITS
    prefix: str = ""
    encode_dots: bool = False
    _render: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check once, so that filling in cannot fail except on length."""
        _check(self.template, self.env)
        if "{" in self.prefix or "}" in self.prefix:
            raise TopicTemplateError(f"topic prefix {self.prefix!r} must not have placeholders")
        whole = f"{self.prefix}/{self.template}" if self.prefix else self.template
        _check_literal(whole, self.limits)
        if self.encode_dots and "." in whole:
            raise TopicTemplateError(
                f"topic template {whole!r} has a dot; only dots in values are encoded"
            )
        # A literal ``%`` in the template stays as written; only values are encoded.
        env = self._level(self.env).replace("{", "{{").replace("}", "}}")
        object.__setattr__(self, "_render", whole.replace("{env}", env))

    def topic(self, ref: EntityRef, versioned_type: str) -> str:
        """Topic of one event; :class:`TopicTooLong` when it exceeds the limit in UTF-8."""
        name, version = _type_levels(versioned_type)
        topic = self._render.format(
            namespace=self._level(ref.namespace),
            entity_type=self._level(ref.aggregate_type),
            event_type=name,
            event_version=version,
            entity_id=self._level(ref.name),
        )
        size = len(topic) if topic.isascii() else len(topic.encode())
        if size > self.limits.max_bytes:
            raise TopicTooLong(f"topic is {size} bytes long, the limit is {self.limits.max_bytes}")
        return topic

    def _level(self, value: str) -> str:
        return encode_level(value, dots=self.encode_dots)


@lru_cache(maxsize=1024)
def _type_levels(versioned_type: str) -> tuple[str, str]:
    name, version = split_type(versioned_type)
    return encode_level(name), encode_level(version)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _check(template: str, env: str) -> None:
    legal = ", ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS))
    if not env:
        raise TopicTemplateError("env must not be empty")
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise TopicTemplateError(
            f"topic template {template!r}: {error}; legal placeholders: {legal}"
        ) from None
    used = set()
    for literal, name, spec, conversion in parts:
        if "{" in literal or "}" in literal:
            raise TopicTemplateError(f"topic template {template!r}: braces only mark {legal}")
        if name is None:
            continue
        if name not in PLACEHOLDERS or spec or conversion:
            shown = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise TopicTemplateError(
                f"topic template {template!r}: unknown placeholder {{{shown}}}; legal: {legal}"
            )
        used.add(name)
    if not used & {"entity_type", "event_type", "entity_id"}:
        raise TopicTemplateError(
            f"topic template {template!r} gives every event the same topic; "
            "use {entity_type}, {event_type} or {entity_id}"
        )


def _check_literal(template: str, limits: TopicLimits) -> None:
    """What holds for the topic as a whole, prefix included."""
    if template.startswith("$"):
        raise TopicTemplateError(f"topic template {template!r}: '$' starts the broker's own topics")
    levels = template.split("/")
    if "" in levels:
        raise TopicTemplateError(f"topic template {template!r} has an empty level")
    if limits.max_levels is not None and len(levels) > limits.max_levels:
        raise TopicTemplateError(
            f"topic template has {len(levels)} levels, the limit is {limits.max_levels}"
        )
    if found := _WILDCARDS.search(template):
        raise TopicTemplateError(
            f"topic template {template!r}: {found[0]!r} is a wildcard or control character"
        )
    literal = "".join(text for text, *_ in Formatter().parse(template))
    size = len(literal.encode("utf-8", "surrogatepass"))
    if size > limits.max_bytes:
        raise TopicTemplateError(
            f"topic template takes {size} bytes without its values, the limit is {limits.max_bytes}"
        )
