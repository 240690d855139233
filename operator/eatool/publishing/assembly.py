"""From a declared broker, or a replay to one, to a destination that a relay can serve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson

from eatool.domain.kinds import KINDS, downcast, event_types, upcast, versions
from eatool.domain.upcasting import split
from eatool.publishing.cloudevents import CloudEventsEncoder, ContentMode
from eatool.publishing.combinations import check_combinations
from eatool.publishing.connecting import Secrets, connections, publisher_factory, secrets_of
from eatool.publishing.declared.broker import (
    DeliverySpec,
    EventBrokerSpec,
    EventDeliverySpec,
    PinnedVersion,
    RateLimitSpec,
)
from eatool.publishing.declared.replay import EventReplaySpec
from eatool.publishing.declared.selection import SelectionSpec
from eatool.publishing.destination import REPLAY_PREFIX, Destination
from eatool.publishing.material import Material
from eatool.publishing.options import RelayOptions
from eatool.publishing.port import DEFAULT_DELIVERY, Delivery
from eatool.publishing.problems import SpecProblem, unknown
from eatool.publishing.ratelimit import RateLimit
from eatool.publishing.selection import Selection
from eatool.publishing.topics import (
    DEFAULT_TEMPLATE,
    MQTT_LIMITS,
    SOLACE_LIMITS,
    TopicTemplate,
    TopicTemplateError,
)

__all__ = [
    "Secrets",
    "assemble",
    "assemble_replay",
    "fingerprint",
    "replay_name",
    "secrets_of",
    "selection_of",
]

_WINDOW: Final = {"mqtt": 512, "solace": 200}
_LIMITS: Final = {"mqtt": MQTT_LIMITS, "solace": SOLACE_LIMITS}
_AGGREGATE_TYPES: Final = {kind.kind: name for name, kind in KINDS.items()}
_EVENT_TYPES: Final = frozenset(split(versioned)[0] for versioned in event_types())


def replay_name(name: str) -> str:
    """Destination of the EventReplay ``name``."""
    return f"{REPLAY_PREFIX}{name}"


def assemble(
    name: str,
    spec: EventBrokerSpec,
    secrets: Secrets,
    *,
    environment: str,
    material: Path,
    start: int = 0,
) -> Destination:
    """The destination ``name``; raises :class:`SpecProblem`.

    ``material``: a private directory for certificates. ``start``: position that a destination
    without checkpoints starts after.
    """
    check_combinations(spec)
    window = spec.window or _WINDOW[spec.type]
    files = Material(material / sha256(name.encode()).hexdigest()[:16])
    return Destination(
        name,
        publisher_factory(connections(name, spec, secrets, files, window=window)),
        _encoder(spec, environment),
        _selection(spec.select),
        RelayOptions(window=window, rate=_rate(spec.rate_limit), start=start),
        files,
    )


def assemble_replay(
    name: str,
    replay: EventReplaySpec,
    broker: EventBrokerSpec,
    secrets: Secrets,
    *,
    environment: str,
    material: Path,
    until: int,
    start: int,
) -> Destination:
    """The destination of the EventReplay ``name``: positions after ``start`` up to ``until``.

    The broker is sent again what it was sent: a replay selects within its selection. The slower
    of the two rate limits holds. Raises :class:`SpecProblem`.
    """
    own = _selection(replay.select, replay.streams)
    try:
        live = assemble(
            f"{replay.broker}-replay",
            broker,
            secrets,
            environment=environment,
            material=material / "replays" / name,
        )
        encoder = _encoder(broker, environment, prefix=replay.topic_prefix)
    except SpecProblem as problem:
        message = f"EventBroker {replay.broker} cannot be used: {problem}"
        raise SpecProblem("spec.broker", problem.reason, message) from None
    limits = [each for each in (live.options.rate, _rate(replay.rate_limit)) if each]
    rate = min(limits, key=lambda each: each.events_per_second, default=None)
    return Destination(
        replay_name(name),
        live.publisher_factory,
        encoder,
        _within(own, live.selection),
        replace(live.options, rate=rate, start=start, until=until),
        live.material,
    )


def selection_of(spec: EventBrokerSpec) -> Selection:
    """What a broker is sent; raises :class:`SpecProblem`."""
    return _selection(spec.select)


def fingerprint(
    spec: EventBrokerSpec, secrets: Secrets, replay: EventReplaySpec | None = None
) -> str:
    """Changes when what is assembled from these would change; for :meth:`Fleet.put`."""
    exclude = {"required", "start", "suspended"}
    parts = [spec.model_dump_json(exclude=exclude).encode()]
    if replay is not None:
        parts.append(replay.model_dump_json(exclude=exclude).encode())
    for name in sorted(secrets_of(spec)):
        data = {key: sha256(value).hexdigest() for key, value in secrets.get(name, {}).items()}
        parts.append(orjson.dumps([name, data], option=orjson.OPT_SORT_KEYS))
    return sha256(b"\n".join(parts)).hexdigest()


# -- what and how ----------------------------------------------------------------------------


def _encoder(spec: EventBrokerSpec, environment: str, *, prefix: str = "") -> CloudEventsEncoder:
    try:
        template = TopicTemplate(
            spec.topic_template or DEFAULT_TEMPLATE,
            environment,
            _LIMITS[spec.type],
            prefix,
            encode_dots=bool(spec.mqtt and spec.mqtt.encode_dots),
        )
    except TopicTemplateError as error:
        raise SpecProblem("spec.topicTemplate", "InvalidTopicTemplate", str(error)) from None
    general = _delivery(spec.delivery, DEFAULT_DELIVERY)
    return CloudEventsEncoder(
        template,
        ContentMode.of(spec.content_mode or "Structured"),
        upcast=upcast,
        downcast=downcast,
        accepted=_accepted(spec.accepted_versions),
        delivery=general,
        delivery_of=_exceptions(spec.event_delivery, general),
    )


def _delivery(spec: DeliverySpec | None, general: Delivery) -> Delivery:
    if spec is None:
        return general
    eligible, priority = spec.dmq_eligible, spec.priority
    return Delivery(
        general.ttl if spec.ttl_seconds is None else spec.ttl_seconds,
        general.dmq_eligible if eligible is None else eligible,
        general.priority if priority is None else priority,
    )


def _exceptions(specs: Iterable[EventDeliverySpec], general: Delivery) -> dict[str, Delivery]:
    found: dict[str, Delivery] = {}
    for number, spec in enumerate(specs):
        field = f"spec.eventDelivery[{number}].eventType"
        _once(field, spec.event_type, found)
        found[spec.event_type] = _delivery(spec, general)
    return found


def _accepted(pins: Iterable[PinnedVersion]) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, pin in enumerate(pins):
        field = f"spec.acceptedVersions[{number}]"
        _once(f"{field}.eventType", pin.event_type, found)
        legal = versions(pin.event_type)
        if pin.version not in legal:
            shown = str(legal[0]) if len(legal) == 1 else f"{legal[0]} to {legal[-1]}"
            raise SpecProblem(
                f"{field}.version",
                "UnreachableVersion",
                f"{pin.event_type} cannot be published as version {pin.version}; legal: {shown}",
            )
        found[pin.event_type] = pin.version
    return found


def _once(field: str, event_type: str, found: Iterable[str]) -> None:
    if event_type not in _EVENT_TYPES:
        raise unknown(field, "UnknownEventType", "event type", event_type, _EVENT_TYPES)
    if event_type in found:
        raise SpecProblem(field, "DuplicateEventType", f"{event_type} is named twice")


def _rate(spec: RateLimitSpec | None) -> RateLimit | None:
    if spec is None:
        return None
    return RateLimit(spec.events_per_second, spec.burst or spec.events_per_second)


# -- which events ----------------------------------------------------------------------------


def _selection(spec: SelectionSpec | None, streams: Iterable[str] = ()) -> Selection:
    spec = spec or SelectionSpec()
    for kind in spec.kinds:
        if kind not in _AGGREGATE_TYPES:
            raise unknown("spec.select.kinds", "UnknownKind", "kind", kind, _AGGREGATE_TYPES)
    for event_type in spec.event_types:
        if event_type not in _EVENT_TYPES:
            field = "spec.select.eventTypes"
            raise unknown(field, "UnknownEventType", "event type", event_type, _EVENT_TYPES)
    for stream in streams:
        aggregate_type = stream.partition("/")[0]
        if aggregate_type not in KINDS:
            raise unknown("spec.streams", "UnknownKind", "type of entity", aggregate_type, KINDS)
    return Selection(
        frozenset(_AGGREGATE_TYPES[kind] for kind in spec.kinds),
        frozenset(spec.event_types),
        frozenset(spec.namespaces),
        frozenset(streams),
    )


def _within(own: Selection, broker: Selection) -> Selection:
    """What both select; never an empty set, which would mean everything."""
    return Selection(
        _common("spec.select.kinds", own.aggregate_types, broker.aggregate_types),
        _common("spec.select.eventTypes", own.event_types, broker.event_types),
        _common("spec.select.namespaces", own.namespaces, broker.namespaces),
        own.streams,
    )


def _common(field: str, own: frozenset[str], broker: frozenset[str]) -> frozenset[str]:
    if not (own and broker):
        return own or broker
    if common := own & broker:
        return common
    raise SpecProblem(
        field, "NothingSelected", f"the broker is sent only {', '.join(sorted(broker))}"
    )
