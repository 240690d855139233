"""The composition root: which parts one operator process is made of, and their life cycle."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import kopf
import structlog

from eatool.api.app import create_app
from eatool.api.health import Check, Health
from eatool.api.server import serve
from eatool.domain.kinds import KINDS
from eatool.domain.policies import Policy
from eatool.kube.handlers import handlers
from eatool.kube.operator import Operator
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.cloudevents import CloudEventsEncoder, ContentMode
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import parse_mqtt_url
from eatool.publishing.relay import Relay
from eatool.publishing.topics import TopicTemplate
from eatool.registry.opening import open_registry
from eatool.settings import Settings, pod_identity
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.migrate import is_at_head
from eatool.telemetry.labels import Labels
from eatool.telemetry.logs import configure
from eatool.telemetry.metrics import LogMetrics, Metrics, PublishingMetrics
from eatool.telemetry.prometheus import PrometheusMetrics
from eatool.telemetry.publishing import RelayMetrics
from eatool.telemetry.recording import MeasuredAppender

#: The one destination that settings can name.
DESTINATION = "default"

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.runtime")

_SAMPLING = 1.0
_RELAY_RESTART = 5.0


def policy_of(settings: Settings) -> Policy:
    """The policy switches as the domain takes them."""
    return Policy(
        settings.policy_require_reason,
        settings.policy_require_approval,
        settings.policy_strict_lifecycle,
    )


def make_relay(settings: Settings, url: str, store: SqlEventStore, metrics: Metrics) -> Relay:
    """A relay from the log to the broker at ``url``."""
    options = parse_mqtt_url(url)
    template = TopicTemplate(settings.topic_template, settings.environment)
    return Relay(
        store,
        lambda: MqttPublisher(options),
        SqlCheckpoints(store.engine),
        destination=DESTINATION,
        encoder=CloudEventsEncoder(template, ContentMode(settings.content_mode)),
        owner=pod_identity(),
        window=settings.relay_window,
        observer=RelayMetrics(metrics, DESTINATION),
    )


async def run(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT; raises when a vital part fails."""
    configure(settings.log_level, settings.log_format)
    brokers = (DESTINATION,) if settings.broker_url else ()
    metrics = PrometheusMetrics(Labels.of(KINDS.values(), brokers=brokers))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(
            open_registry(
                settings.store_url.get_secret_value(),
                policy=policy_of(settings),
                around=lambda appender: MeasuredAppender(appender, metrics),
            )
        )
        known = await log.registry.preload(log.entities.pages)
        operator = Operator(settings, log.registry, log.store, metrics)
        app = create_app(
            registry=metrics.registry, metrics=metrics, checks=_checks(log.store, operator)
        )
        port = await stack.enter_async_context(serve(app, settings.http_host, settings.http_port))
        _log.info("ready to watch", entities=known, http_port=port)
        background = [asyncio.create_task(_sample(log.store, metrics))]
        if settings.broker_url is not None:
            url = settings.broker_url.get_secret_value()
            publishing = _publish(
                lambda: make_relay(settings, url, log.store, metrics), metrics, stopping
            )
            background.append(asyncio.create_task(publishing))
        watching = asyncio.create_task(_watch(settings, operator, stopping))
        try:
            await watching
        finally:
            stopping.set()
            background[0].cancel()
            await asyncio.gather(*background, return_exceptions=True)


async def _watch(settings: Settings, operator: Operator, stopping: asyncio.Event) -> None:
    """Run kopf in a thread and loop of its own: at its end it cancels what it did not start."""
    stop, loop = threading.Event(), asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def target() -> None:
        outcome: Callable[[], None]
        try:
            kopf.run(
                registry=handlers(operator),
                standalone=True,
                clusterwide=not settings.namespaces,
                namespaces=list(settings.namespaces),
                stop_flag=stop,
            )
        except BaseException as error:
            failure = error
            outcome = lambda: ended.set_exception(failure)  # noqa: E731
        else:
            outcome = lambda: ended.set_result(None)  # noqa: E731
        loop.call_soon_threadsafe(outcome)

    thread = threading.Thread(target=target, name="kopf", daemon=True)
    thread.start()
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait((waiting, ended), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    unasked = not stopping.is_set()
    stop.set()
    await ended
    await asyncio.to_thread(thread.join)
    if unasked:
        raise RuntimeError("kopf stopped watching")


async def _publish(
    make: Callable[[], Relay], metrics: PublishingMetrics, stopping: asyncio.Event
) -> None:
    """Keep a relay running; its failures never stop the recording of changes."""
    while not stopping.is_set():
        relay = make()
        running = asyncio.create_task(relay.run())
        sampling = asyncio.create_task(_sample_relay(relay, metrics))
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        await relay.stop()
        sampling.cancel()
        waiting.cancel()
        try:
            await running
        except Exception:
            _log.exception("the relay failed; it starts again")
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _RELAY_RESTART)


async def _sample_relay(relay: Relay, metrics: PublishingMetrics) -> None:
    while True:
        status = relay.status()
        oldest = status.oldest_unpublished_at
        metrics.outbox(
            status.destination, status.lag_events, oldest.timestamp() if oldest else None
        )
        metrics.parked_streams(status.destination, status.parked)
        await asyncio.sleep(_SAMPLING)


async def _sample(store: SqlEventStore, metrics: LogMetrics) -> None:
    while True:
        health = await _store_reachable(store)
        metrics.store_up(up=health.ok)
        await asyncio.sleep(_SAMPLING * 5)


def _checks(store: SqlEventStore, operator: Operator) -> dict[str, Check]:
    async def migrations() -> Health:
        at_head = await asyncio.to_thread(is_at_head, store.engine)
        return Health(at_head, "" if at_head else "run `eatool store migrate`")

    async def watches() -> Health:
        complaint = operator.watches_alive()
        return Health(complaint is None, complaint or "")

    async def reachable() -> Health:
        return await _store_reachable(store)

    return {"store": reachable, "migrations": migrations, "watches": watches}


async def _store_reachable(store: SqlEventStore) -> Health:
    try:
        await asyncio.to_thread(store.head)
    except Exception as error:
        _log.warning("store unreachable", error=type(error).__name__)
        return Health(ok=False, why="unreachable")
    return Health(ok=True)
